//! What most keys begin with.

use nokv_types::{BranchId, NodeId};

/// A key of a node or directory in a branch: twelve bytes.
pub(crate) fn node_and_branch(node: NodeId, branch: BranchId) -> [u8; 12] {
    let mut key = [0; 12];
    let (head, tail) = key.split_at_mut(8);
    head.copy_from_slice(&node.as_u64().to_be_bytes());
    tail.copy_from_slice(&branch.get().to_be_bytes());
    key
}
