//! A subtree read as a whole, and made again.

use bytes::Bytes;
use nokv_dump::Identity;
use nokv_types::{Name, NodeId, SessionId, TimeNanos, Version};

/// A part of a dump.
///
/// **Guarantees**: all as of `version`. To continue, ask with `next` at that version: the pages
/// together are the subtree, each node once under each of its names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DumpPage {
    /// The version that was read.
    pub version: Version,
    /// Nodes, as `nokv_dump::encode_node` writes them.
    pub nodes: Bytes,
    /// How many.
    pub count: u64,
    /// Names from what is dumped down to the last node of the page; `None` at the end.
    pub next: Option<Vec<Name>>,
}

/// Nodes to be made again, below a directory that nobody else uses.
///
/// **Shape**: `nodes` are nodes as `nokv_dump::encode_node` writes them, 1..=[`LOAD_NODES_MAX`]. A
/// node of depth *d* goes into `directories[d]`, or into the last node of depth *d* - 1 among those
/// before it; the one without name gets [`LOADED_NAME`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Load {
    /// The directory that all goes into, then one in the other, those that the first node is
    /// below.
    pub directories: Vec<LoadDirectory>,
    /// What is made.
    pub nodes: Bytes,
    /// Nodes with several names that were made before.
    pub known: Vec<KnownNode>,
    /// The upload session of the blocks, if any are new.
    pub session: Option<SessionId>,
}

/// A directory that a load is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LoadDirectory {
    /// The directory.
    pub node: NodeId,
    /// The times of change that it has when the load is through: of entries, and of itself. `None`
    /// for the one that all goes into.
    pub times: Option<(TimeNanos, TimeNanos)>,
}

/// A node that a load has made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KnownNode {
    /// What it is in the dump.
    pub dumped: Identity,
    /// Its id here.
    pub node: NodeId,
}

/// What a load has made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loaded {
    /// The version of the command.
    pub version: Version,
    /// The nodes, in the order of the dump.
    pub nodes: Vec<NodeId>,
}

/// Most nodes of one load: as for a publish, it bounds the time that one command holds the log.
pub const LOAD_NODES_MAX: usize = 16_384;
/// The name of what is loaded, in the directory that all goes into.
pub const LOADED_NAME: &str = "loaded";
