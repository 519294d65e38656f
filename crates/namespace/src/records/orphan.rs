//! Family `orphan`: removed directories whose entries are still to be taken apart.

use super::{ORPHAN, node_and_branch};
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
    let flaw = || Malformed {
        offset: 0,
        expected: "12 bytes",
        got: key.len().to_string(),
    };
    let (node, branch) = key.split_at_checked(8).ok_or_else(flaw)?;
    let node = u64::from_be_bytes(node.try_into().map_err(|_| flaw())?);
    let branch = u32::from_be_bytes(branch.try_into().map_err(|_| flaw())?);
    Ok((NodeId::from_u64(node), BranchId::new(branch)))
}
