//! Snapshots: names for a directory as of a version.

use nokv_types::{BranchId, NodeId, NsPath, SnapshotName, Version};

/// How long a snapshot lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lease {
    /// Until it is removed.
    Permanent,
    /// Until this moment, milliseconds since 1970, unless it is renewed.
    Until(u64),
}

/// Whether a snapshot can be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SnapshotState {
    /// It can.
    Live,
    /// Its lease ended: reads of it fail with `SnapshotExpired`, for good.
    Expired,
}

/// A snapshot: a name for (directory, version).
///
/// **Guarantees**: what it shows never changes, and garbage collection never takes what it can see,
/// until it is removed or its lease ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snapshot {
    /// Its name, unique in the mount.
    pub name: SnapshotName,
    /// The directory.
    pub directory: NodeId,
    /// The branch that it was taken of.
    pub branch: BranchId,
    /// Where the directory was at the version.
    pub path: NsPath,
    /// The version that it shows: `View::at` this reads it.
    pub at: Version,
    /// When it was made, milliseconds since 1970.
    pub created_millis: u64,
    /// How long it lives.
    pub lease: Lease,
    /// Whether it can be read.
    pub state: SnapshotState,
}

/// What a new snapshot shall be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewSnapshot {
    /// Its name.
    pub name: SnapshotName,
    /// As of which version; `None` for the newest.
    pub at: Option<Version>,
    /// How long it lives, milliseconds, at most [`crate::SNAPSHOT_LEASE_MS_MAX`]; `None` is
    /// permanent.
    pub lease_ms: Option<u64>,
}
