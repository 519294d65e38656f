//! What clients and the world around them do: the script of a run, as data.
//!
//! A script is all that decides a run, so leaving steps out gives another run: that is how a
//! failing one is made small.

use crate::model::{Choice, Item, Limits, Removal, Rename, XattrChange};

/// Names from the root of a mount.
pub type Path = Vec<&'static str>;

/// How an operation names an entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// Where.
    pub path: Path,
    /// By path, or by the node of its directory.
    pub by: By,
}

/// By path, or by node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    /// From the root of the mount.
    Path,
    /// By the node that the directory is when the operation begins.
    Node,
}

/// Which mount.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mount {
    /// The one that every store has.
    Default,
    /// One that comes and goes.
    Other,
}

/// One operation of a client.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "named as the operations of the namespace")]
pub enum Op {
    MakeDir {
        at: Place,
        parents: bool,
    },
    MakeNode {
        at: Place,
        pipe: bool,
    },
    Symlink {
        at: Place,
        target: &'static str,
    },
    Link {
        from: Place,
        to: Place,
    },
    Publish {
        items: Vec<Item>,
        parents: bool,
    },
    Rename {
        from: Place,
        to: Place,
        mode: Rename,
    },
    Remove {
        at: Place,
        what: Removal,
    },
    SetAttributes {
        at: Place,
        follow: bool,
        mode: Option<u32>,
        mtime: Option<i64>,
        size: Option<usize>,
    },
    SetXattr {
        at: Place,
        follow: bool,
        name: &'static str,
        change: XattrChange,
    },
    Snapshot {
        name: u8,
        back: Option<u8>,
        lease: bool,
    },
    RenewSnapshot {
        name: u8,
        lease: bool,
    },
    RemoveSnapshot {
        name: u8,
    },
    Branch {
        source: Path,
        to: Path,
        back: Option<u8>,
    },
    Merge {
        source: Path,
        target: Path,
        choice: Choice,
        dry: bool,
    },
    Restore {
        at: Path,
        back: u8,
    },
    Undo {
        back: u8,
    },
    SetQuota {
        at: Path,
        limits: Limits,
    },
    RemoveQuota {
        at: Path,
    },
    RegisterMount,
    RetireMount,
    /// The same request again.
    Repeat {
        back: u8,
    },
    Collect {
        limit: usize,
        everything: bool,
    },
}

/// One step of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// A client begins an operation, and goes on until it gives way or ends.
    Begin {
        /// Which client.
        client: usize,
        /// In which mount.
        mount: Mount,
        /// What.
        op: Op,
        /// Whether it is on disk when it is answered.
        synced: bool,
    },
    /// A client that gave way goes on.
    Go(usize),
    /// A watcher listens, to at most so many commands.
    Listen(usize, usize),
    /// A watcher is killed, and begins where its cursor was last written down.
    Kill(usize),
    /// A watcher writes its cursor down.
    Note(usize),
    /// The past is read again.
    Read(u8),
    /// Snapshots are read again.
    ReadSnapshots,
    /// The whole present is compared.
    Compare,
    /// Time passes, milliseconds.
    Wait(u64),
    /// The power goes at the nth write or sync of the log from now.
    Arm(u64),
    /// The power goes now; what was not synced is kept or lost by the seed.
    Cut(u64),
    /// The store is closed and opened.
    Reopen,
}
