//! What watchers hear.

use nokv_types::{BranchId, Generation, MountId, Name, NodeId, NodeKind, NsPath, Version};

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
    /// The lease of a snapshot of a directory (`to`, unless it is a root) was extended.
    SnapshotRenewed,
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

/// One change, and where it happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Announced {
    /// The mount.
    pub mount: MountId,
    /// The change.
    pub change: Change,
    /// Every directory of the trunk that it happened below, and the node itself if it is of the
    /// trunk: the trees in whose scope it is.
    pub below: Vec<NodeId>,
}

impl Announced {
    /// Whether who listens so hears it.
    #[must_use]
    pub fn is_in(&self, mount: MountId, scope: Scope) -> bool {
        let is_near = |node| self.near().any(|near| near == node);
        self.mount == mount
            && match scope {
                Scope::Mount => true,
                Scope::Tree(top) => self.below.contains(&top),
                Scope::Node(node) => is_near(node),
            }
    }

    /// The nodes of the trunk in whose [`Scope::Node`] it is.
    pub fn near(&self) -> impl Iterator<Item = NodeId> {
        let change = &self.change;
        let places = [&change.from, &change.to].into_iter().flatten();
        let near = places.map(|place| place.directory).chain([change.node]);
        near.filter(|_| change.branch == BranchId::TRUNK)
    }
}

/// A part of the changes of all mounts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FeedPage {
    /// In commit order, whole commands.
    pub announced: Vec<Announced>,
    /// The cursor to continue at.
    pub through: Version,
}
