//! Family `orphan`: removed directories whose entries are still to be taken apart.

use super::{ORPHAN, node_and_branch, spot_at};
use nokv_engine::Keyspace;
use nokv_shard::Key;
use nokv_shard::codec::Malformed;
use nokv_types::{BranchId, NodeId};

pub(crate) const KEYSPACE: Keyspace = ORPHAN;

pub(crate) fn key(directory: NodeId, branch: BranchId) -> Key {
    Key::new(ORPHAN, &node_and_branch(directory, branch))
}

/// The directory in a key.
pub(crate) fn directory(key: &[u8]) -> Result<(NodeId, BranchId), Malformed> {
    spot_at(key, 0)
}
