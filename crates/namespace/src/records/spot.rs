//! What most keys begin with: twelve bytes.
//!
//! Invariant: the records of a branch in a shard are one range of each family, so that what a
//! branch changed is one scan and forgetting a branch is one range deletion; within it, node order.
//!
//! **Shape**: shard (2), branch (4), number of the node in its shard (6).

use nokv_shard::codec::Malformed;
use nokv_types::{BranchId, NodeId, ShardId};

/// Bytes of node and branch in a key.
pub(crate) const SPOT_BYTES: usize = 12;

/// A key of a node or directory in a branch.
pub(crate) fn node_and_branch(node: NodeId, branch: BranchId) -> [u8; SPOT_BYTES] {
    let mut key = [0; SPOT_BYTES];
    // The node has the shard in its high two bytes.
    let node = node.as_u64().to_be_bytes();
    let (shard, local) = node.split_at(2);
    let (head, tail) = key.split_at_mut(2);
    head.copy_from_slice(shard);
    let (middle, tail) = tail.split_at_mut(4);
    middle.copy_from_slice(&branch.get().to_be_bytes());
    tail.copy_from_slice(local);
    key
}

/// What the keys of a branch in a shard begin with.
pub(crate) fn branch_prefix(shard: ShardId, branch: BranchId) -> [u8; 6] {
    let mut key = [0; 6];
    let (head, tail) = key.split_at_mut(2);
    head.copy_from_slice(&shard.get().to_be_bytes());
    tail.copy_from_slice(&branch.get().to_be_bytes());
    key
}

/// The node and branch that begin at `offset` of a key.
pub(crate) fn spot_at(key: &[u8], offset: usize) -> Result<(NodeId, BranchId), Malformed> {
    let flaw = || Malformed {
        offset,
        expected: "shard, branch and node",
        got: format!("{} bytes", key.len()),
    };
    let bytes = key
        .get(offset..)
        .and_then(<[u8]>::first_chunk::<SPOT_BYTES>);
    let [s0, s1, b0, b1, b2, b3, local @ ..] = *bytes.ok_or_else(flaw)?;
    let [n0, n1, n2, n3, n4, n5] = local;
    let node = u64::from_be_bytes([s0, s1, n0, n1, n2, n3, n4, n5]);
    let branch = u32::from_be_bytes([b0, b1, b2, b3]);
    Ok((NodeId::from_u64(node), BranchId::new(branch)))
}
