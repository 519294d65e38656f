//! What callers say and hear of merges.

use nokv_types::{NodeId, NsPath, Version};

/// What becomes of what both sides changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnConflict {
    /// Nothing is merged; the conflicts are listed.
    Fail,
    /// The target keeps its own.
    Ours,
    /// The target gets that of the branch.
    Theirs,
}

/// What was changed on both sides.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ConflictKind {
    /// A name leads to different things.
    Name,
    /// A node has different attributes or bodies.
    Content,
    /// The branch changed or moved what the target removed.
    RemovedInTarget,
    /// The target changed what the branch removed.
    RemovedInBranch,
    /// A directory went to different places, or two into each other.
    Moved,
}

/// One conflict.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Conflict {
    /// Where, from the directory of the merge; in the target, or where that has it no more, in the
    /// branch.
    pub path: NsPath,
    /// Of what kind.
    pub kind: ConflictKind,
    /// Which node.
    pub node: NodeId,
}

/// What a merge came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MergeOutcome {
    /// The target has the changes of the branch, and the branch goes on from there.
    Merged,
    /// Nothing changed: it was only asked what would be.
    Tried,
    /// Nothing changed: there are conflicts, and the choice given does not settle all of them.
    Conflicts,
}

/// Whether a merge takes place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MergeRun {
    /// It does, if nothing is in the way.
    Merge,
    /// It is only asked what would be.
    DryRun,
}

/// Answer of a merge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Merged {
    /// The version of the merge, or the one that was looked at.
    pub version: Version,
    /// What came of it.
    pub outcome: MergeOutcome,
    /// Names and nodes of the target that it changes.
    pub changes: u64,
    /// What both sides changed, in order of paths, settled or not.
    pub conflicts: Vec<Conflict>,
}

/// Most names and nodes of one merge: bounds its command.
pub const MERGE_CHANGES_MAX: usize = 1 << 16;
