//! What a dump holds.

use bytes::Bytes;
use nokv_types::{Body, BranchId, Generation, Name, NodeId, NodeKind, TimeNanos, Version};

/// How a dump holds bodies that are not inline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bodies {
    /// By the objects of the store that it was made of: it can be loaded into that store only, and
    /// as long as that store keeps the objects.
    Referenced,
    /// The bytes themselves.
    Embedded,
}

/// How a dump begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    /// The store that it was made of.
    pub store_id: [u8; 16],
    /// The mount.
    pub mount: String,
    /// What was dumped, as a path of that mount.
    pub path: Bytes,
    /// As of which version.
    pub version: Version,
    /// When it was made, milliseconds since 1970.
    pub made_millis: u64,
    /// How it holds bodies.
    pub bodies: Bodies,
}

/// How a dump ends.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Tail {
    /// Nodes that it holds, one for each name.
    pub node_count: u64,
    /// Bytes of bodies that it embeds, inline ones not counted.
    pub data_bytes: u64,
}

/// One thing between head and tail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Item {
    /// A node under a name.
    Node(Box<NodeItem>),
    /// Bytes of the body of the file before: in ascending order, without overlap; what no data
    /// covers is a hole.
    Data {
        /// Where in the body.
        offset: u64,
        /// The bytes.
        bytes: Bytes,
    },
}

/// A node under a name.
///
/// **Shape**: the first has depth 0 and no name: it is what was dumped. Any other lies in the last
/// directory before it whose depth is one less; so a directory comes before what is in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeItem {
    /// Directories between it and the first.
    pub depth: u32,
    /// Its name in its directory; `None` for the first.
    pub name: Option<Name>,
    /// What it is in the store that was dumped. Names of one node have the same, and all say the
    /// same of the node.
    pub node: Identity,
    /// Kind, with the device number where there is one.
    pub kind: NodeKind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Names of the node, also outside of the dump; 1 for a directory.
    pub links: u32,
    /// Last access.
    pub atime: TimeNanos,
    /// Last change of the body or of the entries.
    pub mtime: TimeNanos,
    /// Last change of the node.
    pub ctime: TimeNanos,
    /// Creation.
    pub btime: TimeNanos,
    /// Number of the body.
    pub generation: Generation,
    /// Extended attributes, in order of their names.
    pub xattrs: Vec<(Bytes, Bytes)>,
    /// The limits of a directory.
    pub quota: Option<Quota>,
    /// What is in it.
    pub content: Content,
}

/// A node of the store that was dumped. A branch shares the ids of its origin, and may be met as it
/// is and as it was.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Identity {
    /// Its id.
    pub id: NodeId,
    /// The branch that it was seen through.
    pub branch: BranchId,
    /// As of which version it was seen, where that is not the dump's.
    pub at: Option<Version>,
}

/// Limits of a directory.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Quota {
    /// Of bytes.
    pub bytes: Option<u64>,
    /// Of names.
    pub inodes: Option<u64>,
}

/// What a node has inside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Content {
    /// Nothing: directories, pipes, sockets, devices.
    None,
    /// A file's body. With [`Bodies::Embedded`] its extents say where data is, and the data follows
    /// the first time that the node comes.
    Body(Body),
    /// Where a symbolic link leads.
    Target(Bytes),
}

impl NodeItem {
    /// Whether the bytes of its body lie in objects.
    #[must_use]
    pub fn has_extents(&self) -> bool {
        match &self.content {
            Content::Body(body) => {
                matches!(body.layout(), nokv_types::Layout::Extents(extents) if !extents.is_empty())
            }
            Content::None | Content::Target(_) => false,
        }
    }

    /// Whether a node like this can be: what fits its kind, and nothing else.
    pub(crate) fn flaw(&self) -> Option<&'static str> {
        let fits = match (&self.content, self.kind) {
            (Content::Body(_), NodeKind::File) | (Content::Target(_), NodeKind::Symlink) => true,
            (Content::None, kind) => !matches!(kind, NodeKind::File | NodeKind::Symlink),
            _ => false,
        };
        if !fits {
            return Some("content of the node's kind");
        }
        if self.name.is_none() != (self.depth == 0) {
            return Some("a name below the first node, and none for it");
        }
        if self.quota.is_some() && self.kind != NodeKind::Directory {
            return Some("a quota of a directory");
        }
        (self.mode > 0o7777 || self.links == 0).then_some("a mode and a number of links")
    }
}
