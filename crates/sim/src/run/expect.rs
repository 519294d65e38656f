//! What the model says to an operation.

use super::ask::{Asked, made};
use crate::call::{Answer, LEASE_MS, OTHER_MOUNT};
use crate::model::{At, Choice, Joined, Kind, Merged, Outcome, Snapshot, World, merge};
use crate::op::Op;
use nokv_namespace::{ChangeKind, MergeOutcome};
use nokv_types::{Reason, Version};

/// What the model says.
pub(super) enum Said {
    /// This is the world now.
    World,
    /// This merge happened, and the model does not know all that it did: look.
    Learn(Box<Joined>),
}

/// What an operation does to a world; the world is of no use after a failure.
pub(super) fn expect(world: &mut World, asked: &Asked, answer: Option<&Answer>) -> Outcome<Said> {
    world.now = asked.now;
    let first = || asked.places.first().expect("asked with a place");
    let second = || asked.places.get(1).expect("asked with two places");
    match &asked.op {
        Op::MakeDir { parents, .. } => world.make_dir(first(), 0o700, *parents)?,
        Op::MakeNode { pipe, .. } => world.make_node(first(), made(*pipe), 0o600)?,
        Op::Symlink { target, .. } => {
            world.make_node(first(), Kind::Symlink((*target).to_string()), 0o777)?;
        }
        Op::Link { .. } => world.link(first(), second())?,
        Op::Publish { items, parents } => world.publish(asked.mount.0, items, *parents)?,
        Op::Rename { mode, .. } => world.rename(first(), second(), *mode)?,
        Op::Remove { what, .. } => world.remove(first(), *what)?,
        Op::SetAttributes {
            follow,
            mode,
            mtime,
            size,
            ..
        } => world.set_attributes(first(), *follow, *mode, *mtime, *size)?,
        Op::SetXattr {
            follow,
            name,
            change,
            ..
        } => world.set_xattr(first(), *follow, name.as_bytes(), change)?,
        Op::SetQuota { limits, .. } => {
            let directory = match asked.directory {
                Some(directory) => directory,
                None => world.lookup(first(), true)?,
            };
            if !world.is_dir(directory) {
                return Err(Reason::NotDirectory);
            }
            world.quotas.insert(directory, *limits);
        }
        Op::RemoveQuota { .. } => {
            let directory = world.lookup(first(), true)?;
            if !world.is_dir(directory) {
                return Err(Reason::NotDirectory);
            }
            // One whose counting was cut off limits nothing, and can be removed.
            if world.quotas.remove(&directory).is_none() && answer.is_none() {
                return Err(Reason::NotFound);
            }
        }
        _ => return expect_of_trees(world, asked, answer),
    }
    Ok(Said::World)
}

fn expect_of_trees(world: &mut World, asked: &Asked, answer: Option<&Answer>) -> Outcome<Said> {
    let first = || asked.places.first().expect("asked with a place");
    let past = asked.past.as_ref();
    match &asked.op {
        Op::Snapshot { .. } | Op::RenewSnapshot { .. } | Op::RemoveSnapshot { .. } => {
            expect_of_snapshots(world, asked, answer)?;
        }
        Op::Branch { .. } => {
            let to = asked.places.get(1).expect("asked with two places");
            let then = match (past, &asked.shown) {
                (Some(past), _) => (*past.world).clone(),
                (None, Some(shown)) => (**shown).clone(),
                (None, None) => world.clone(),
            };
            world.branch(&then, first(), to)?;
        }
        Op::Merge { choice, dry, .. } => return expect_merge(world, asked, answer, *choice, *dry),
        Op::Restore { .. } => {
            let past = past.expect("asked with a version");
            world.restore(&past.world, first())?;
        }
        Op::Undo { .. } => {
            let past = past.expect("asked with a version");
            undo(world, past)?;
        }
        Op::RegisterMount => {
            if world.mounts.contains_key(OTHER_MOUNT) {
                return Err(Reason::AlreadyExists);
            }
            world.mount(OTHER_MOUNT);
        }
        Op::RetireMount => {
            let layer = world.mounts.remove(OTHER_MOUNT).ok_or(Reason::NotFound)?;
            world.layers.remove(&layer);
        }
        Op::Collect { .. } | Op::Repeat { .. } => {}
        _ => unreachable!("an operation on names"),
    }
    Ok(Said::World)
}

fn millis(asked: &Asked) -> u64 {
    u64::try_from(asked.now / 1_000_000).unwrap_or(0)
}

fn expect_of_snapshots(world: &mut World, asked: &Asked, answer: Option<&Answer>) -> Outcome<()> {
    let now = millis(asked);
    let expired = |snapshot: &Snapshot| snapshot.end.is_some_and(|end| end <= now);
    match &asked.op {
        Op::Snapshot { name, lease, .. } => {
            if world.snapshots.contains_key(name) {
                return Err(Reason::AlreadyExists);
            }
            let at = answer
                .and_then(|answer| answer.shows)
                .unwrap_or(Version::ZERO);
            let end = lease.then_some(now + LEASE_MS);
            world.snapshots.insert(*name, Snapshot { at, end });
            world.announce_root(ChangeKind::Snapshot);
        }
        Op::RenewSnapshot { name, lease } => {
            let snapshot = world.snapshots.get_mut(name).ok_or(Reason::NotFound)?;
            if expired(snapshot) {
                return Err(Reason::SnapshotExpired);
            }
            let before = snapshot.end;
            snapshot.end = match (before, lease) {
                (Some(end), true) => Some(end.max(now + LEASE_MS)),
                _ => None,
            };
            if snapshot.end != before {
                world.announce_root(ChangeKind::SnapshotRenewed);
            }
        }
        Op::RemoveSnapshot { name } => {
            world.snapshots.remove(name).ok_or(Reason::NotFound)?;
            world.announce_root(ChangeKind::SnapshotRemoved);
        }
        _ => unreachable!("an operation on snapshots"),
    }
    Ok(())
}

/// Whether what a merge came to is what the three trees come to.
fn expect_merge(
    world: &mut World,
    asked: &Asked,
    answer: Option<&Answer>,
    choice: Choice,
    dry: bool,
) -> Outcome<Said> {
    let [source, target]: &[At; 2] = asked
        .places
        .as_slice()
        .try_into()
        .expect("asked with two places");
    let joined = world.join(source, target)?;
    let merged = merge(&joined.base, &joined.ours, &joined.theirs, choice);
    let is_closed = world.is_closed(&joined);
    let Some((outcome, conflicts)) = answer.and_then(|answer| answer.merged) else {
        return Ok(Said::World);
    };
    if is_closed && conflicts != merged.conflicts {
        return Err(Reason::Corrupt);
    }
    match (outcome, merged) {
        (MergeOutcome::Tried, _) if dry => Ok(Said::World),
        (MergeOutcome::Conflicts, Merged { tree: Some(_), .. }) if is_closed => {
            Err(Reason::Corrupt)
        }
        (MergeOutcome::Conflicts, _) => Ok(Said::World),
        (
            MergeOutcome::Merged,
            Merged {
                tree: Some(tree), ..
            },
        ) if is_closed && !dry => {
            world.put_merged(&joined, &tree);
            Ok(Said::World)
        }
        (MergeOutcome::Merged, _) if !dry && (choice != Choice::Fail || !is_closed) => {
            Ok(Said::Learn(Box::new(joined)))
        }
        _ => Err(Reason::Corrupt),
    }
}

fn undo(world: &mut World, past: &super::ask::Past) -> Outcome<()> {
    let changed = past.world.differing(&past.before);
    let [layer] = changed.as_slice() else {
        return Err(Reason::Unsupported);
    };
    if !world.layers.contains_key(layer) {
        return Err(Reason::NotFound);
    }
    let undone = world.undone(*layer, &past.before, &past.world);
    let tree = undone.tree.ok_or(Reason::Conflict)?;
    if !tree.same(world.layer(*layer)) {
        world.put_layer(*layer, tree);
    }
    Ok(())
}

/// Whether the model can say what taking this command back does.
pub(super) fn is_plain(op: &Op, before: &World, after: &World) -> bool {
    let names = matches!(
        op,
        Op::MakeDir { .. }
            | Op::MakeNode { .. }
            | Op::Symlink { .. }
            | Op::Link { .. }
            | Op::Publish { .. }
            | Op::Rename { .. }
            | Op::Remove { .. }
            | Op::SetAttributes { .. }
            | Op::SetXattr { .. }
    );
    let changed = after.differing(before);
    let [layer] = changed.as_slice() else {
        return false;
    };
    let (Some(was), Some(is)) = (before.layers.get(layer), after.layers.get(layer)) else {
        return false;
    };
    // A removed tree comes back as a branch, whose border the model does not know.
    let mut gone = was
        .nodes
        .keys()
        .filter(|id| was.is_dir(**id) && !is.is_dir(**id));
    names && gone.all(|id| was.entries(*id).next().is_none())
}
