//! What watchers hear.

use nokv_types::{BranchId, Generation, Name, NodeId, NodeKind, NsPath, Version};

/// What a watcher listens to. Answered at each change's own version: a change is heard if it was in
/// scope when it happened, wherever its directory is now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// Everything in the mount.
    Mount,
    /// One node of the trunk, and if it is a directory its entries.
    Node(NodeId),
    /// A directory of the trunk and everything below it, branches that hang there too.
    Tree(NodeId),
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ChangeKind {
    /// A name was made (`to`), by making, publishing or linking.
    Created,
    /// A name was removed (`from`); with a directory, all below it.
    Removed,
    /// A name moved (`from`, `to`) and took the place of `displaced`.
    Renamed,
    /// A node (`from`, `to`) and another (`displaced`) changed places.
    Exchanged,
    /// A branch was hung under a name (`to`) and took the place of `displaced`.
    Branched,
    /// A file (`to`) got another body.
    Published,
    /// Attributes changed (`to`, where the change was asked for by name).
    Attributes,
    /// An extended attribute changed (`to`, where the change was asked for by name).
    Xattr,
    /// A snapshot of a directory (`to`, unless it is a root) was made.
    Snapshot,
    /// One was removed.
    SnapshotRemoved,
    /// The quota of a directory (`to`, unless it is a root) was set or removed.
    Quota,
}

/// A name, as of a change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChangedPlace {
    /// The directory.
    pub directory: NodeId,
    /// The name in it.
    pub name: Name,
    /// The whole path at that moment; `None` in a tree that was removed, or when longer than a
    /// path may be.
    pub path: Option<NsPath>,
}

/// One change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// The version of the command; all changes of one command have the same.
    pub version: Version,
    /// The branch that changed; the directories and the node are seen through it.
    pub branch: BranchId,
    /// What happened.
    pub kind: ChangeKind,
    /// To which node.
    pub node: NodeId,
    /// What that is.
    pub node_kind: NodeKind,
    /// Generation of its body after the change.
    pub generation: Generation,
    /// Bytes of its body after the change.
    pub size: u64,
    /// The name that it had.
    pub from: Option<ChangedPlace>,
    /// The name that it has.
    pub to: Option<ChangedPlace>,
    /// The node whose place it took.
    pub displaced: Option<NodeId>,
}

/// A part of the changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChangePage {
    /// In commit order, whole commands.
    pub changes: Vec<Change>,
    /// The cursor to continue at.
    pub through: Version,
}
