//! Where new directories go.

use nokv_types::{NodeId, ShardId};

/// In which shard a new directory is made. Its files are made with it; it stays there for good,
/// wherever it is moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Placement {
    /// With its parent: what is used together stays together.
    #[default]
    Parent,
    /// By a hash of its parent and name: even, and the same for the same names.
    Spread,
    /// In the shard that was written to least lately.
    LeastLoaded,
}

/// What is known of a directory's placement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Placed {
    /// The directory.
    pub directory: NodeId,
    /// The shard that it is in.
    pub shard: ShardId,
    /// What is set on it, for directories that are made in it; they get it too.
    pub own: Option<Placement>,
    /// What counts for them: its own, or what the mount has.
    pub effective: Placement,
}

/// A shard of the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShardStatus {
    /// Its number.
    pub shard: ShardId,
    /// Commands that it ever applied: the number of the last one.
    pub commands: u64,
    /// The version of that command.
    pub version: nokv_types::Version,
    /// Bytes of change records ever written to its log.
    pub log_bytes: u64,
}
