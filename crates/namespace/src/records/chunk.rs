//! Family `chunk`: extents of bodies that have too many for their node record.
//!
//! Invariant: chunks are written once, under a generation of their own, in the command that
//! publishes it, and deleted when no retained version can see it: a reader of a generation never
//! sees chunks of another.

use super::body::{decode_extents, encode_extents};
use super::{CHUNK, FORMAT, node_and_branch};
use bytes::Bytes;
use nokv_shard::Key;
use nokv_shard::codec::{Decoder, Encoder, Malformed};
use nokv_types::{BranchId, Extent, Generation, NodeId};

pub(crate) fn key(node: NodeId, branch: BranchId, generation: Generation, number: u32) -> Key {
    let prefix = prefix(node, branch, generation);
    Key::from_parts(CHUNK, &[&prefix, &number.to_be_bytes()])
}

/// What the keys of all chunks of a generation begin with.
pub(crate) fn prefix(node: NodeId, branch: BranchId, generation: Generation) -> [u8; 20] {
    let mut key = [0; 20];
    let (head, tail) = key.split_at_mut(12);
    head.copy_from_slice(&node_and_branch(node, branch));
    tail.copy_from_slice(&generation.get().to_be_bytes());
    key
}

pub(crate) fn encode(extents: &[Extent]) -> Bytes {
    let mut encoder = Encoder::new(FORMAT);
    encode_extents(&mut encoder, extents);
    encoder.finish()
}

/// The extents of a chunk of a body of `size` bytes.
pub(crate) fn decode(bytes: &[u8], size: u64) -> Result<Vec<Extent>, Malformed> {
    decode_extents(&mut Decoder::new(bytes, FORMAT)?, size)
}

/// The generation in a key.
pub(crate) fn generation(key: &[u8]) -> Result<Generation, Malformed> {
    let bytes = key.get(12..20).and_then(|bytes| bytes.try_into().ok());
    let flaw = || Malformed {
        offset: 12,
        expected: "8 bytes",
        got: key.len().to_string(),
    };
    Ok(Generation::new(u64::from_be_bytes(bytes.ok_or_else(flaw)?)))
}

/// The number in a key.
pub(crate) fn number(key: &[u8]) -> Result<u32, Malformed> {
    let bytes = key.get(20..24).and_then(|bytes| bytes.try_into().ok());
    let flaw = || Malformed {
        offset: 20,
        expected: "4 bytes",
        got: key.len().to_string(),
    };
    Ok(u32::from_be_bytes(bytes.ok_or_else(flaw)?))
}
