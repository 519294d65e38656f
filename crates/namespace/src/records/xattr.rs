//! Family `xattr`: extended attributes, one record each.
//!
//! Invariants: the node record counts them, so that a node without any costs no scan when it goes;
//! they go with their node.
//!
//! **Shape**: the value as it is, without a format byte.

use super::{XATTR, node_and_branch};
use nokv_engine::Keyspace;
use nokv_shard::Key;
use nokv_shard::codec::Malformed;
use nokv_types::{BranchId, NodeId};

pub(crate) const KEYSPACE: Keyspace = XATTR;
const NAME_OFFSET: usize = 12;

pub(crate) fn key(node: NodeId, branch: BranchId, name: &[u8]) -> Key {
    Key::from_parts(XATTR, &[&node_and_branch(node, branch), name])
}

/// What the keys of all attributes of a node begin with.
pub(crate) fn prefix(node: NodeId, branch: BranchId) -> [u8; NAME_OFFSET] {
    node_and_branch(node, branch)
}

/// The name in a key.
pub(crate) fn name(key: &[u8]) -> Result<&[u8], Malformed> {
    let flaw = || Malformed {
        offset: 0,
        expected: "node, branch and name",
        got: format!("{} bytes", key.len()),
    };
    key.get(NAME_OFFSET..).ok_or_else(flaw)
}
