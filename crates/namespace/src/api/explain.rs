//! Why something in the object store stays or goes.

use crate::{Holder, ObjectUse};
use nokv_types::{BlockId, BranchId, NsPath, SnapshotName, Version};

/// Most bodies that one explanation names.
pub const EXPLAINED_MAX: usize = 1_000;

/// What is asked about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum About {
    /// All bodies that are in an object.
    Object(BlockId),
    /// All bodies of a file, those of the past too.
    File(nokv_types::NodeId),
}

/// What keeps a body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Keeper {
    /// It is the newest one of its file.
    Newest,
    /// Versions of the last while stay readable: until when, milliseconds since 1970.
    Retention(u64),
    /// A snapshot; until when it lives unless it is renewed.
    Snapshot(SnapshotName, Option<u64>),
    /// A branch rests on a version that sees it.
    Branch(BranchId),
    /// Somebody may still be reading it: until when.
    Reads(u64),
    /// Nothing: it goes with one of the next rounds.
    Nothing,
}

/// A body, or a part of one, and what keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explained {
    /// Which.
    pub holder: Holder,
    /// Where its file is; `None` if it has no name, or is in a branch.
    pub path: Option<NsPath>,
    /// What keeps it, at least one.
    pub keepers: Vec<Keeper>,
    /// The objects that it needs.
    pub blocks: Vec<BlockId>,
}

/// The life of the upload session that an object came with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionLife {
    /// Open, until when unless it is renewed, milliseconds since 1970: what it uploaded may still
    /// be published.
    Open(u64),
    /// Over: what nobody needs is swept, from when on.
    Closed(u64),
    /// Swept.
    Finished,
    /// This store never gave it.
    Unknown,
}

/// Why an object, or what a file needs, stays or goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explanation {
    /// As of which version.
    pub version: Version,
    /// How much of the object is needed; `None` when nothing is, or a file was asked about.
    pub used: Option<ObjectUse>,
    /// The session of the object; `None` when a file was asked about.
    pub session: Option<SessionLife>,
    /// The last body in it is gone, and it is to be deleted.
    pub is_doomed: bool,
    /// Who is in it, or the bodies of the file: at most [`EXPLAINED_MAX`].
    pub bodies: Vec<Explained>,
    /// Whether there are more.
    pub more: bool,
}

/// Bodies and their bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// How many.
    pub bodies: u64,
    /// Bytes that they have in objects; what several share counts for each.
    pub bytes: u64,
}

/// What a collection would take now: the bodies of the past, each counted for what keeps it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Outlook {
    /// Nothing keeps them.
    pub due: Tally,
    /// Versions that see them are retained.
    pub retained: Tally,
    /// Snapshots and branches see them.
    pub pinned: Tally,
    /// Somebody may still be reading them.
    pub leased: Tally,
    /// Objects that are to be deleted.
    pub doomed_objects: u64,
    /// Upload sessions that are over and to be swept.
    pub due_sessions: u64,
}
