//! What mutations take and answer.

use crate::Node;
use bytes::Bytes;
use nokv_types::{Generation, NodeId, TimeNanos, Version};

/// What becomes of missing parent directories.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parents {
    /// They must exist.
    Required,
    /// They are made, as `mkdir -p` does (mode 0755), in the same command.
    Create,
}

/// A mutation that made or changed one node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Changed {
    /// The version of the change: a read at it sees it.
    pub version: Version,
    /// The node after the change.
    pub node: Node,
}

/// What a rename does when the target name is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RenameMode {
    /// As rename(2): a file replaces a file, a directory an empty directory.
    Plain,
    /// `AlreadyExists`.
    NoReplace,
    /// The two change places; both must exist.
    Exchange,
}

/// Answer of a rename.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Renamed {
    /// The version of the change.
    pub version: Version,
    /// The node that moved.
    pub node: NodeId,
    /// What was under the target name before: replaced, or with [`RenameMode::Exchange`] moved to
    /// the source name. `None` when the name was free or already led to the same node.
    pub displaced: Option<NodeId>,
}

/// What may be removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remove {
    /// Anything but a directory, as unlink(2).
    File,
    /// A directory without entries, as rmdir(2).
    EmptyDirectory,
    /// Anything; a directory with all that is below. It disappears at once, in one command; its
    /// records are reclaimed in the background ([`crate::Namespace::reclaim`]).
    Tree,
}

/// Answer of a removal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Removed {
    /// The version of the change. A read at the one before still sees what is gone while that is
    /// retained; [`crate::Namespace::undo`] of this one, or [`crate::Namespace::restore`] of the
    /// place at the one before, brings it back.
    pub version: Version,
    /// The node whose name was removed.
    pub node: NodeId,
}

/// A new time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SetTime {
    /// The time of the context.
    Now,
    /// This time.
    To(TimeNanos),
}

/// Changes of attributes; `None` keeps. `ctime` becomes the context's time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SetAttributes {
    /// Permission bits, at most `0o7777`.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Size of a file: cuts off, or extends by a hole, as truncate(2). Makes a new generation.
    pub size: Option<u64>,
    /// Last access.
    pub atime: Option<SetTime>,
    /// Last change of the body or of the entries.
    pub mtime: Option<SetTime>,
    /// Fail with `StaleGeneration` unless the body has this generation.
    pub expect: Option<Generation>,
}

/// What a subtree holds, itself included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// The version that was counted.
    pub version: Version,
    /// Bytes of the bodies of files and symbolic links; a file with several names in the subtree
    /// counts once.
    pub bytes: u64,
    /// Nodes that are not directories; one with several names counts once.
    pub files: u64,
    /// Directories.
    pub directories: u64,
}

/// A change of an extended attribute.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SetXattr {
    /// This value, whether there is one or not.
    Put(Bytes),
    /// This value; `AlreadyExists` when there is one.
    Create(Bytes),
    /// This value; `NotFound` when there is none.
    Replace(Bytes),
    /// None; `NotFound` when there is none.
    Remove,
}
