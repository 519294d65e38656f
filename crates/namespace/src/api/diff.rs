//! What callers hear of the differences between two trees.

use nokv_types::{NodeId, NodeKind, NsPath, Version};

/// What is different.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DifferenceKind {
    /// A name (`to`) that is only in the second.
    Added,
    /// A name (`from`) that is only in the first.
    Removed,
    /// A node with another name (`from`, `to`). What lies below a directory that moved is not
    /// listed for that alone.
    Renamed,
    /// A file or symbolic link (`to`) with another body.
    Modified,
    /// Another mode, owner or group, or of a file with the same body another time of change.
    Attributes,
    /// Other extended attributes.
    Xattr,
}

/// One difference.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// Of what kind.
    pub kind: DifferenceKind,
    /// The node.
    pub node: NodeId,
    /// What it is.
    pub node_kind: NodeKind,
    /// Its path from the first directory.
    pub from: Option<NsPath>,
    /// Its path from the second.
    pub to: Option<NsPath>,
}

/// A part of the differences.
///
/// **Guarantees**: in order of paths, all as of the two versions. To continue, ask with both views
/// at these versions and `after: next`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DiffPage {
    /// The version of the first.
    pub from_version: Version,
    /// The version of the second.
    pub to_version: Version,
    /// What is different.
    pub differences: Vec<Difference>,
    /// How many differences to leave out to continue; `None` when they end here.
    pub next: Option<u64>,
}

/// Most differences of one comparison: bounds its memory.
pub const DIFFERENCES_MAX: usize = 1 << 20;
