//! Atomic publish of any number of paths.

use crate::Parents;
use bytes::Bytes;
use nokv_types::{Body, Generation, NodeId, NsPath, SessionId, TimeNanos, Version};

/// A set of paths that become visible together.
///
/// **Shape**: 1..=`PUBLISH_ITEMS_MAX` items, each path at most once; later items may lie in
/// directories that earlier ones make.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Publish {
    /// What appears.
    pub items: Vec<PublishItem>,
    /// What becomes of missing parents.
    pub parents: Parents,
    /// The upload session of the blocks; needed as soon as a body has blocks uploaded for this
    /// publish.
    pub session: Option<SessionId>,
}

/// One path of a publish.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublishItem {
    /// Where. Symbolic links in the middle are followed, the last component never.
    pub path: NsPath,
    /// What.
    pub content: Content,
    /// How it looks.
    pub attributes: NewAttributes,
    /// What must be there before.
    pub expect: Expect,
}

/// What a publish puts in a place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Content {
    /// A file with this body. An existing file keeps its node and gets a new generation; a link or
    /// special file is replaced by a new node; a directory is `IsDirectory`.
    File(Body),
    /// A directory. An existing one stays, with the new attributes; anything else is
    /// `NotDirectory`.
    Directory,
    /// A symbolic link to these 1..=4095 bytes. Replaces anything but a directory.
    Symlink(Bytes),
}

/// Attributes of something published; `None` takes the context's owner and time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewAttributes {
    /// Permission bits, at most `0o7777`.
    pub mode: u32,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Last change of the body.
    pub mtime: Option<TimeNanos>,
}

impl NewAttributes {
    /// Only permission bits.
    #[must_use]
    pub const fn mode(mode: u32) -> Self {
        Self {
            mode,
            uid: None,
            gid: None,
            mtime: None,
        }
    }
}

/// Another body for a file that is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReplaceBody {
    /// The body.
    pub body: Body,
    /// The upload session of its blocks; needed as soon as it has some that were uploaded for it.
    pub session: Option<SessionId>,
    /// Fail with `StaleGeneration` unless the body has this generation.
    pub expect: Option<Generation>,
    /// Last change of the body; `None` takes the context's time.
    pub mtime: Option<TimeNanos>,
    /// Last change of the node; `None`, or one before that of the node, takes the context's time.
    pub ctime: Option<TimeNanos>,
}

/// What must be in a place for a publish to happen; checked when the command is applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expect {
    /// Whatever [`Content`] allows.
    Any,
    /// Nothing; else `AlreadyExists`.
    Absent,
    /// A file with this generation; else `StaleGeneration`, or `NotFound`.
    Generation(Generation),
}

/// Answer for one item, in the order of the items.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Published {
    /// Where.
    pub path: NsPath,
    /// The node there now.
    pub node: NodeId,
    /// The generation of its body; `NONE` for anything but a file.
    pub generation: Generation,
    /// The version of the publish: a read at it sees all items, one before it none.
    pub version: Version,
}

/// Most items of one publish: bounds the time that one command holds the log (65,536 small files
/// take about a quarter of a second).
pub const PUBLISH_ITEMS_MAX: usize = 65_536;
