//! How things are named: by path, by node, or as a name in a directory node.
//!
//! Path-level callers (CLI, SDK) pass `&NsPath`; node-level callers (a mount) pass a [`NodeId`] or
//! [`Target::Child`]; every operation takes both, so there is one implementation of each.

use nokv_types::{Name, NodeId, NsPath};

/// Something that exists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target<'a> {
    /// By path from the root of the mount.
    Path(&'a NsPath),
    /// The node itself.
    Node(NodeId),
    /// The entry `name` of a directory.
    Child {
        /// The directory.
        directory: NodeId,
        /// The entry.
        name: &'a Name,
    },
}

/// An entry that is made, moved or removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place<'a> {
    /// By path from the root of the mount; symbolic links in the middle are followed, the last
    /// component never.
    Path(&'a NsPath),
    /// The entry `name` of a directory.
    Child {
        /// The directory.
        directory: NodeId,
        /// The entry.
        name: &'a Name,
    },
}

impl<'a> From<&'a NsPath> for Target<'a> {
    fn from(path: &'a NsPath) -> Self {
        Self::Path(path)
    }
}

impl From<NodeId> for Target<'_> {
    fn from(node: NodeId) -> Self {
        Self::Node(node)
    }
}

impl<'a> From<&'a NsPath> for Place<'a> {
    fn from(path: &'a NsPath) -> Self {
        Self::Path(path)
    }
}

impl<'a> From<Place<'a>> for Target<'a> {
    fn from(place: Place<'a>) -> Self {
        match place {
            Place::Path(path) => Self::Path(path),
            Place::Child { directory, name } => Self::Child { directory, name },
        }
    }
}

/// Whether a symbolic link in the last component is followed. In the middle it always is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Follow {
    /// The node that the link leads to.
    Yes,
    /// The link itself.
    No,
}
