//! What a node is: kind, permissions, owner, times.

/// Nanoseconds since 1970, as POSIX times are; negative before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct TimeNanos(i64);

impl TimeNanos {
    /// The time this many nanoseconds after 1970.
    #[must_use]
    pub const fn new(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since 1970.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

/// The kind of a node, with what only that kind has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NodeKind {
    /// A regular file; its bytes are a [`crate::Body`].
    File,
    /// A directory.
    Directory,
    /// A symbolic link; the target is its inline body.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A Unix socket.
    Socket,
    /// A character device with its number.
    CharDevice(u64),
    /// A block device with its number.
    BlockDevice(u64),
}

impl NodeKind {
    /// The letter that `ls -l` shows.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::File => '-',
            Self::Directory => 'd',
            Self::Symlink => 'l',
            Self::Fifo => 'p',
            Self::Socket => 's',
            Self::CharDevice(_) => 'c',
            Self::BlockDevice(_) => 'b',
        }
    }
}

/// The attributes of a node. They live in its node record and nowhere else.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Attributes {
    /// Kind, with the device number where there is one.
    pub kind: NodeKind,
    /// Permission bits, `0o7777`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Names that lead to the node; for a directory 2 plus its subdirectories.
    pub links: u32,
    /// Bytes of the body; for a directory the number of its entries.
    pub size: u64,
    /// Last access.
    pub atime: TimeNanos,
    /// Last change of the body, or of a directory's entries.
    pub mtime: TimeNanos,
    /// Last change of the node.
    pub ctime: TimeNanos,
    /// Creation.
    pub btime: TimeNanos,
}
