//! Family `names`: which directories hold the names of a node with several.
//!
//! Invariants:
//! - a node with one name has its directory in its own record and nothing here; one with several
//!   has here, for each directory that holds one, how many;
//! - written by the commands that change names, which change the node record too and check it.
//!
//! **Shape**: key: node, branch, directory (8); format, count (varint).

use super::{FORMAT, NAMES, node_and_branch};
use bytes::Bytes;
use nokv_engine::Keyspace;
use nokv_shard::Key;
use nokv_shard::codec::{Decoder, Encoder, Malformed};
use nokv_types::{BranchId, NodeId};

pub(crate) const KEYSPACE: Keyspace = NAMES;

pub(crate) fn key(node: NodeId, branch: BranchId, directory: NodeId) -> Key {
    Key::from_parts(
        NAMES,
        &[
            &node_and_branch(node, branch),
            &directory.as_u64().to_be_bytes(),
        ],
    )
}

/// The directory in a key.
pub(crate) fn directory(key: &[u8]) -> Result<NodeId, Malformed> {
    let bytes = key.get(12..).and_then(|bytes| bytes.try_into().ok());
    let bytes = bytes.ok_or_else(|| Malformed {
        offset: 12,
        expected: "8 bytes",
        got: key.len().to_string(),
    })?;
    Ok(NodeId::from_u64(u64::from_be_bytes(bytes)))
}

pub(crate) fn encode(count: u32) -> Bytes {
    Encoder::new(FORMAT).varint(u64::from(count)).finish()
}

pub(crate) fn decode(bytes: &[u8]) -> Result<u32, Malformed> {
    Decoder::new(bytes, FORMAT)?.varint32("names")
}
