//! Making directories, symbolic links and special files.

use super::attributes::locate;
use super::read::{existing, shown};
use crate::failure::invalid;
use crate::fingerprint::Fingerprint;
use crate::plan::{Plan, taken};
use crate::reader::describe;
use crate::records::{NodeRecord, StoredBody, StoredLayout};
use crate::spot::Spot;
use crate::{Asker, Changed, Context, Follow, Namespace, Node, Parents, Place};
use bytes::Bytes;
use nokv_shard::Counter;
use nokv_types::{ClientId, Failure, Generation, NodeKind, Reason, SYMLINK_BYTES_MAX, Version};

impl Namespace {
    /// Makes a directory. With [`Parents::Create`] an existing directory is success, as `mkdir -p`.
    ///
    /// **Errors**: `AlreadyExists`, `NotFound` or `NotDirectory` (naming the parent),
    /// `InvalidArgument` (mode).
    pub fn make_dir<'a>(
        &self,
        context: &Context,
        place: impl Into<Place<'a>>,
        mode: u32,
        parents: Parents,
    ) -> Result<Changed, Failure> {
        let place = place.into();
        let mut fingerprint = Fingerprint::new("make_dir");
        fingerprint
            .place(place)
            .number(u64::from(mode))
            .debug(&parents);
        self.mutate(context, fingerprint.finish(), |plan| {
            plan.parents = parents;
            if parents == Parents::Create
                && let Some(node) = existing_directory(plan, place)?
            {
                plan.compare(node.generation, || shown(place.into()))?;
                return Ok(Changed {
                    version: Version::ZERO,
                    node,
                });
            }
            let (directory, name) = plan.place(place)?;
            if plan.checked_entry(directory, &name)?.is_some() {
                return Err(taken(&shown(place.into())));
            }
            plan.compare_absent(|| shown(place.into()))?;
            let record = plan.fresh_record(NodeKind::Directory, mode)?;
            let node = plan.add_node(directory, &name, record)?;
            made(plan, node)
        })
    }

    /// Makes an empty file, a named pipe, a socket or a device, as mknod(2). The name must be free.
    ///
    /// **Errors**: as [`Self::make_dir`]; `InvalidArgument` for a directory or a symbolic link,
    /// which have verbs of their own.
    pub fn make_node<'a>(
        &self,
        context: &Context,
        place: impl Into<Place<'a>>,
        kind: NodeKind,
        mode: u32,
    ) -> Result<Changed, Failure> {
        self.make(context, place.into(), (kind, mode), None)
    }

    /// Makes an empty file that a session has open from the first moment on: it stays until that is
    /// over, whoever removes it.
    ///
    /// **Errors**: as [`Self::make_node`], for anything but a file `InvalidArgument`;
    /// `SessionExpired`, `Unannounced`, `TooLarge` as [`Self::open_node`].
    pub fn make_open<'a>(
        &self,
        context: &Context,
        place: impl Into<Place<'a>>,
        mode: u32,
        client: ClientId,
    ) -> Result<Changed, Failure> {
        let file = (NodeKind::File, mode);
        let made = self.make(context, place.into(), file, Some(client))?;
        // A repeated request made nothing: it may have been open, and closed by a restart.
        let key = (made.node.branch, made.node.id);
        let now = self.monotonic();
        self.inner.clients.open(Asker::of(client), key, now)?;
        Ok(made)
    }

    fn make(
        &self,
        context: &Context,
        place: Place<'_>,
        (kind, mode): (NodeKind, u32),
        client: Option<ClientId>,
    ) -> Result<Changed, Failure> {
        if matches!(kind, NodeKind::Directory | NodeKind::Symlink) {
            return Err(invalid(
                "a directory or symbolic link is made by its own verb",
            ));
        }
        let mut fingerprint = Fingerprint::new("make_node");
        fingerprint
            .place(place)
            .debug(&kind)
            .number(u64::from(mode));
        self.mutate(context, fingerprint.finish(), |plan| {
            let record = plan.fresh_record(kind, mode)?;
            let made = add(plan, place, record)?;
            if let Some(client) = client {
                plan.opens(plan.root.with_node(made.node.id), client);
            }
            Ok(made)
        })
    }

    /// Makes a symbolic link to `target`, 1..=4095 bytes without NUL.
    ///
    /// **Errors**: as [`Self::make_dir`]; `InvalidArgument` (empty, NUL), `TooLarge`.
    pub fn symlink<'a>(
        &self,
        context: &Context,
        place: impl Into<Place<'a>>,
        target: Bytes,
    ) -> Result<Changed, Failure> {
        let place = place.into();
        let mut fingerprint = Fingerprint::new("symlink");
        fingerprint.place(place).bytes(&target);
        check_symlink(&target)?;
        self.mutate(context, fingerprint.finish(), |plan| {
            let record = symlink_record(plan, target.clone())?;
            add(plan, place, record)
        })
    }
}

fn add(plan: &mut Plan<'_>, place: Place<'_>, record: NodeRecord) -> Result<Changed, Failure> {
    let (directory, name) = plan.place(place)?;
    if plan.checked_entry(directory, &name)?.is_some() {
        return Err(taken(&shown(place.into())));
    }
    plan.compare_absent(|| shown(place.into()))?;
    let node = plan.add_node(directory, &name, record)?;
    made(plan, node)
}

fn made(plan: &Plan<'_>, spot: Spot) -> Result<Changed, Failure> {
    let found = plan.peek_node(spot)?;
    let record = found.expect("the plan has just added the node").record;
    let node = describe(spot, Version::ZERO, &record, &Counter::default());
    Ok(Changed {
        version: Version::ZERO,
        node,
    })
}

/// The directory that is at the place already: what `mkdir -p` is content with.
fn existing_directory(plan: &mut Plan<'_>, place: Place<'_>) -> Result<Option<Node>, Failure> {
    let reader = plan.reader;
    plan.rests_on_branch(plan.root);
    // Looking makes nothing yet.
    let parents = std::mem::replace(&mut plan.parents, Parents::Required);
    let found = locate(plan, place.into(), Follow::Yes)
        .and_then(|(spot, _)| Ok((spot, existing(&reader, spot)?)));
    plan.parents = parents;
    match found {
        Ok((spot, node)) if node.attributes.kind == NodeKind::Directory => {
            // A request is remembered by a command: it must still be there, and there, then.
            plan.checked_node(spot)?;
            Ok(Some(node))
        }
        Ok(_) => Ok(None),
        Err(failure) if failure.reason() == Reason::NotFound => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// The record of a symbolic link.
pub(super) fn symlink_record(plan: &Plan<'_>, target: Bytes) -> Result<NodeRecord, Failure> {
    let mut record = plan.fresh_record(NodeKind::Symlink, 0o777)?;
    record.generation = Generation::NONE;
    record.body = StoredBody {
        size: target.len() as u64,
        digest: None,
        layout: StoredLayout::Inline(target),
    };
    Ok(record)
}

/// Refuses targets that no link can have.
pub(super) fn check_symlink(target: &[u8]) -> Result<(), Failure> {
    if target.is_empty() || target.contains(&0) {
        return Err(invalid(
            "a symbolic link needs a target of at least one byte, without NUL",
        ));
    }
    if target.len() > SYMLINK_BYTES_MAX {
        return Err(Failure::new(
            Reason::TooLarge,
            format!(
                "the target of {} bytes is longer than {SYMLINK_BYTES_MAX}",
                target.len()
            ),
        ));
    }
    Ok(())
}
