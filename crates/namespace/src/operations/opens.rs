//! Opening and closing files, and making them open.

use super::read::{existing, find_spot};
use crate::fingerprint::Fingerprint;
use crate::reader::describe;
use crate::walk::not_directory;
use crate::{Asker, Changed, Context, Follow, Namespace, Node, Target, View};
use nokv_shard::Counter;
use nokv_types::{BranchId, ClientId, Failure, NodeId, NodeKind, Version};

impl Namespace {
    /// Notes that a session has a node open: from now on it stays, also without a name, until the
    /// session closes it or ends. Costs no commit.
    ///
    /// **Errors**: as [`Self::lookup`]; `SessionExpired`, `Unannounced`; `TooLarge`.
    pub fn open_node<'a>(
        &self,
        view: &View,
        target: impl Into<Target<'a>>,
        follow: Follow,
        asker: Asker,
    ) -> Result<Node, Failure> {
        let now = View { at: None, ..*view };
        let target = target.into();
        let spot = self.read(&now, |mut reader, root| {
            find_spot(&mut reader, root, target, follow)
        })?;
        let key = (spot.branch, spot.node);
        let opened = self.inner.clients.open(asker, key, self.monotonic())?;
        // What went before it was noted is seen to be gone here; what goes after sees it open.
        let found = self.read(&now, |reader, root| match target {
            Target::Node(node) => existing(&reader, root.with_node(node)),
            _ => existing(
                &reader,
                crate::spot::Spot {
                    at: reader.at,
                    ..spot
                },
            ),
        });
        if found.is_err() && opened {
            self.inner.clients.not_opened(asker.client, key);
        }
        found
    }

    /// Notes that a session has closed a node. One without a name goes with the last who has it
    /// open. Closing what is not open succeeds.
    ///
    /// **Errors**: `SessionExpired`, `Unannounced`.
    pub fn close_node(&self, asker: Asker, branch: BranchId, node: NodeId) -> Result<(), Failure> {
        let key = (branch, node);
        match self.inner.clients.close(asker, key, self.monotonic())? {
            true => self.reclaim_closed(&[key]),
            false => Ok(()),
        }
    }

    /// Makes an empty file without a name, open by a session, as `O_TMPFILE`: [`Self::link`] can
    /// name it. Without that it goes when it is closed. It counts against no quota before.
    ///
    /// **Errors**: as [`Self::make_node`]; `NotDirectory`; `SessionExpired`, `Unannounced`.
    pub fn make_unnamed<'a>(
        &self,
        context: &Context,
        directory: impl Into<Target<'a>>,
        mode: u32,
        client: ClientId,
    ) -> Result<Changed, Failure> {
        let target = directory.into();
        let mut fingerprint = Fingerprint::new("make_unnamed");
        fingerprint
            .target(target)
            .number(u64::from(mode))
            .number(client.get());
        self.mutate(context, fingerprint.finish(), |plan| {
            let mut reader = plan.reader;
            plan.rests_on_branch(plan.root);
            let directory = find_spot(&mut reader, plan.root, target, Follow::Yes)?;
            if existing(&reader, directory)?.attributes.kind != NodeKind::Directory {
                return Err(not_directory(&super::read::shown(target)));
            }
            plan.compare_absent(|| "a file without a name".to_owned())?;
            let record = plan.fresh_record(NodeKind::File, mode)?;
            let spot = directory.with_node(plan.fresh_id(directory)?);
            plan.add_nameless(spot, record, client)?;
            let record = plan.checked_node(spot)?;
            Ok(Changed {
                version: Version::ZERO,
                node: describe(spot, Version::ZERO, &record, &Counter::default()),
            })
        })
    }
}
