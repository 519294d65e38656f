//! Family `counter`: what changes in a directory with every child, without conflict.
//!
//! Invariant: `ENTRIES` and `SUBDIRECTORIES` equal a recount of the entries; absent means none were
//! ever made. In a branch they say by how much it differs from its parent, and each may be below
//! zero.

use super::{COUNTER, node_and_branch};
use nokv_shard::{Change, Counter, Key, Slot};
use nokv_types::{BranchId, NodeId};

/// Entries of the directory.
pub(crate) const ENTRIES: Slot = Slot::new(0);
/// Those of them that are directories.
pub(crate) const SUBDIRECTORIES: Slot = Slot::new(1);
/// Last change of the entries, nanoseconds.
pub(crate) const MTIME: Slot = Slot::new(2);
/// The same for ctime.
pub(crate) const CTIME: Slot = Slot::new(3);

pub(crate) fn key(directory: NodeId, branch: BranchId) -> Key {
    Key::new(COUNTER, &node_and_branch(directory, branch))
}

/// Puts the counter of a layer over what the layers below it count.
pub(crate) fn over(below: &mut Counter, layer: &Counter) {
    for slot in [ENTRIES, SUBDIRECTORIES] {
        if let Some(count) = layer.get(slot) {
            below.change(slot, Change::Sum(count));
        }
    }
    for slot in [MTIME, CTIME] {
        if let Some(time) = layer.get(slot) {
            below.change(slot, Change::Set(time));
        }
    }
}
