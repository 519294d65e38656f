//! What a consistency check found.

use nokv_types::Version;

/// What does not fit together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ProblemKind {
    /// An entry leads to a node that does not exist, or is of another kind.
    DanglingEntry,
    /// A node has no entry and is no root.
    Unreachable,
    /// A link count is not the number of entries.
    WrongLinks,
    /// A directory is not where its record says, or its parents do not end at a root.
    WrongPlace,
    /// The counter of a directory is not a recount of its entries.
    WrongCount,
    /// A reference count is not a recount of the bodies that need the block.
    WrongReferences,
    /// Extents of a body are missing, or nobody's.
    WrongChunks,
    /// A branch is not where its record says, or rests on nothing.
    WrongBranch,
    /// The number of extended attributes is not what the node says.
    WrongXattrs,
    /// The usage of a quota is not a recount of what is below.
    WrongQuota,
}

/// One thing that does not fit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Problem {
    /// What kind of thing.
    pub kind: ProblemKind,
    /// What and where, in one line.
    pub message: String,
}

/// The outcome of a check.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CheckReport {
    /// The version that was checked.
    pub version: Version,
    /// Nodes of any kind.
    pub nodes: u64,
    /// Entries of directories.
    pub entries: u64,
    /// Bodies out of sight that are not reclaimed yet.
    pub dead_bodies: u64,
    /// Blocks with references.
    pub blocks: u64,
    /// What does not fit, at most [`CheckReport::PROBLEMS_MAX`] of it.
    pub problems: Vec<Problem>,
}

impl CheckReport {
    /// Most problems that a report lists: enough to see a pattern, and bounded.
    pub const PROBLEMS_MAX: usize = 10_000;
}
