//! What callers say and hear of branches.

use nokv_types::{BranchId, NodeId, NsPath, Version};

/// A writable layer over a directory as of a version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Branch {
    /// Its number: [`crate::View::branch`] of reads by node, and of paths from its root.
    pub id: BranchId,
    /// Where it hangs; `None` when that is in a tree that was removed.
    pub path: Option<NsPath>,
    /// The branch that it rests on.
    pub parent: BranchId,
    /// The version of the parent that it rests on: where it began, or its last merge.
    pub base: Version,
    /// The directory that it shows.
    pub root: NodeId,
    /// When it was made, milliseconds since 1970.
    pub created_millis: u64,
    /// The version of the command that answers this: of the making, or of the reading.
    pub version: Version,
}

/// Answer of putting the past in place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Restored {
    /// The version of the change; undoing it brings back what was there.
    pub version: Version,
    /// What is there now.
    pub node: NodeId,
    /// The branch that a directory is now.
    pub branch: Option<BranchId>,
    /// What was there before.
    pub displaced: Option<NodeId>,
}

/// Answer of taking a command back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Undone {
    /// The version of the change; undoing it does again what was undone.
    pub version: Version,
    /// Names and nodes that changed.
    pub changes: u64,
}
