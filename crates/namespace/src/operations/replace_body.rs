//! Giving a file another body, by node: what a mounted file system does when it writes back.

use super::attributes::locate;
use super::read::shown;
use crate::failure::invalid;
use crate::fingerprint::Fingerprint;
use crate::plan::Plan;
use crate::reader::describe;
use crate::records::NodeRecord;
use crate::records::event::EventKind;
use crate::{Changed, Context, Follow, Namespace, ReplaceBody, Target};
use nokv_shard::Counter;
use nokv_types::{Failure, Layout, NodeKind, Reason, Version};

impl Namespace {
    /// Gives a file another body: a new generation with the same node, owner and mode.
    ///
    /// **Errors**: as [`Self::lookup`]; `IsDirectory`, `InvalidArgument` for anything but a file;
    /// `StaleGeneration`; `SessionExpired`, `MissingBlock` as [`Self::publish`].
    pub fn replace_body<'a>(
        &self,
        context: &Context,
        target: impl Into<Target<'a>>,
        new: &ReplaceBody,
    ) -> Result<Changed, Failure> {
        let target = target.into();
        let fingerprint = fingerprint(target, new);
        let now_millis = self.now_millis();
        self.mutate(context, fingerprint, |plan| {
            if let Some(session) = new.session {
                plan.in_session(session, now_millis)?;
            }
            let (spot, at) = locate(plan, target, Follow::No)?;
            let mut record = plan.checked_node(spot)?;
            expect(&record, new, target)?;
            plan.compare(record.generation, || shown(target))?;
            plan.bury(spot, &record);
            plan.adopt(spot, &mut record, new.body.clone())?;
            put_times(plan, &mut record, new);
            plan.announce(EventKind::Published, spot, &record, None, at);
            let node = describe(spot, Version::ZERO, &record, &Counter::default());
            plan.put_node(spot, record)?;
            Ok(Changed {
                version: Version::ZERO,
                node,
            })
        })
    }
}

fn expect(record: &NodeRecord, new: &ReplaceBody, target: Target<'_>) -> Result<(), Failure> {
    match record.kind {
        NodeKind::File => {}
        NodeKind::Directory => {
            return Err(Failure::new(
                Reason::IsDirectory,
                format!("{} is a directory; it has no body", shown(target)),
            ));
        }
        _ => return Err(invalid(format!("{} is not a regular file", shown(target)))),
    }
    match new.expect {
        Some(expected) if expected != record.generation => Err(Failure::new(
            Reason::StaleGeneration,
            format!(
                "{} has generation {}, not {expected}; read it again",
                shown(target),
                record.generation
            ),
        )),
        _ => Ok(()),
    }
}

/// Times of writes that happened before this command; the node's own never go back.
fn put_times(plan: &Plan<'_>, record: &mut NodeRecord, new: &ReplaceBody) {
    let now = plan.context.now;
    record.mtime = new.mtime.unwrap_or(now);
    record.ctime = match new.ctime {
        Some(ctime) if ctime >= record.ctime => ctime,
        _ => now,
    };
}

fn fingerprint(target: Target<'_>, new: &ReplaceBody) -> u64 {
    let mut fingerprint = Fingerprint::new("replace_body");
    fingerprint
        .target(target)
        .debug(&new.session)
        .debug(&new.expect)
        .debug(&(new.mtime, new.ctime))
        .number(new.body.size())
        .debug(&new.body.digest());
    match new.body.layout() {
        Layout::Inline(bytes) => fingerprint.bytes(bytes),
        Layout::Extents(extents) => fingerprint.debug(extents),
    };
    fingerprint.finish()
}
