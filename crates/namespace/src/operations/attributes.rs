//! Changing attributes, size included.
//!
//! A size needs no bytes, except where an inline body would become too long to be inline: whoever
//! has its bytes uploads them and edits the body instead.

use super::read::shown;
use crate::failure::invalid;
use crate::fingerprint::Fingerprint;
use crate::plan::{Plan, check_mode};
use crate::reader::describe;
use crate::records::NodeRecord;
use crate::records::event::EventKind;
use crate::spot::Spot;
use crate::walk::{End, Walk, missing};
use crate::{Changed, Context, Follow, Namespace, SetAttributes, SetTime, Target, Topology};
use nokv_shard::Counter;
use nokv_types::{Draft, Failure, Generation, Name, NodeKind, Reason, Version};

impl Namespace {
    /// Changes attributes. Follows symbolic links as told.
    ///
    /// **Errors**: as [`Self::lookup`]; `InvalidArgument` (mode); `IsDirectory` for the size of a
    /// directory; `StaleGeneration`; `Unsupported` for a size that an inline body can't have: edit
    /// the body.
    pub fn set_attributes<'a>(
        &self,
        context: &Context,
        target: impl Into<Target<'a>>,
        follow: Follow,
        changes: SetAttributes,
    ) -> Result<Changed, Failure> {
        let target = target.into();
        let mut fingerprint = Fingerprint::new("set_attributes");
        fingerprint.target(target).debug(&follow).debug(&changes);
        if let Some(mode) = changes.mode {
            check_mode(mode)?;
        }
        self.mutate(context, fingerprint.finish(), |plan| {
            let (spot, at) = locate(plan, target, follow)?;
            let mut record = plan.checked_node(spot)?;
            expect_generation(&record, changes.expect, target)?;
            plan.compare(record.generation, || shown(target))?;
            apply(plan, spot, &mut record, &changes, target)?;
            let counter = match record.is_directory() {
                true => plan.counter_after(spot)?,
                false => Counter::default(),
            };
            plan.announce(EventKind::Attributes, spot, &record, None, at);
            let node = describe(spot, Version::ZERO, &record, &counter);
            plan.put_node(spot, record)?;
            Ok(Changed {
                version: Version::ZERO,
                node,
            })
        })
    }
}

/// The node of a target, and its entry where the walk knows it; the command rests on both.
pub(super) fn locate(
    plan: &mut Plan<'_>,
    target: Target<'_>,
    follow: Follow,
) -> Result<(Spot, Option<(Spot, Name)>), Failure> {
    if matches!(target, Target::Path(_)) {
        plan.rests_on(Topology::Rests);
    }
    let root = plan.root;
    match Walk::new(plan, root).find(target, follow)? {
        End::Node(spot) => Ok((spot, None)),
        End::Entry {
            directory, name, ..
        } => match plan.checked_entry(directory, &name)? {
            Some(entry) => Ok((entry.spot, Some((directory, name)))),
            None => Err(missing(&shown(target))),
        },
    }
}

pub(super) fn expect_generation(
    record: &NodeRecord,
    expect: Option<Generation>,
    target: Target<'_>,
) -> Result<(), Failure> {
    match expect {
        Some(expected) if expected != record.generation => Err(Failure::new(
            Reason::StaleGeneration,
            format!(
                "{} has generation {}, not {expected}",
                shown(target),
                record.generation
            ),
        )),
        _ => Ok(()),
    }
}

fn apply(
    plan: &mut Plan<'_>,
    spot: Spot,
    record: &mut NodeRecord,
    changes: &SetAttributes,
    target: Target<'_>,
) -> Result<(), Failure> {
    let now = plan.context.now;
    let time = |set: SetTime| match set {
        SetTime::Now => now,
        SetTime::To(time) => time,
    };
    if let Some(size) = changes.size {
        may_resize(record, target)?;
        if size != record.body.size {
            resize(plan, spot, record, size, target)?;
            record.mtime = now;
        }
    }
    record.mode = changes.mode.unwrap_or(record.mode);
    record.uid = changes.uid.unwrap_or(record.uid);
    record.gid = changes.gid.unwrap_or(record.gid);
    record.atime = changes.atime.map_or(record.atime, time);
    if let Some(mtime) = changes.mtime.map(time) {
        record.mtime = mtime;
        if record.is_directory() {
            plan.directory_change(spot).mtime = Some(mtime);
        }
    }
    record.ctime = now;
    Ok(())
}

/// Only regular files have a size to set, also one that they have already.
fn may_resize(record: &NodeRecord, target: Target<'_>) -> Result<(), Failure> {
    match record.kind {
        NodeKind::File => Ok(()),
        NodeKind::Directory => Err(Failure::new(
            Reason::IsDirectory,
            format!("{} is a directory; its size can't be set", shown(target)),
        )),
        _ => Err(invalid(format!("{} is not a regular file", shown(target)))),
    }
}

fn resize(
    plan: &mut Plan<'_>,
    spot: Spot,
    record: &mut NodeRecord,
    size: u64,
    target: Target<'_>,
) -> Result<(), Failure> {
    let mut draft = Draft::of(&plan.held_body(spot, record)?);
    draft
        .resize(size)
        .map_err(|error| Failure::from(error).context(shown(target)))?;
    plan.bury(spot, record);
    plan.adopt(spot, record, draft.finish(None))
}
