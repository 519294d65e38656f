//! Families `object` (references to blocks) and `doomed` (blocks that lost the last one).
//!
//! Invariant: a block has references, or is doomed, or was never referenced, and never two of
//! these: the command that drops the last reference moves it from one family to the other.

use super::{DOOMED, OBJECT};
use nokv_engine::Keyspace;
use nokv_shard::codec::Malformed;
use nokv_shard::{Key, Slot};
use nokv_types::{BlockId, SessionId};

/// References: one for each chunk (or node record) of each body, live or dead, that has extents in
/// the block.
pub(crate) const REFERENCES: Slot = Slot::new(0);

pub(crate) const KEYSPACE: Keyspace = OBJECT;
pub(crate) const DOOMED_KEYSPACE: Keyspace = DOOMED;

pub(crate) fn key(block: BlockId) -> Key {
    Key::new(OBJECT, &block_bytes(block))
}

pub(crate) fn doomed_key(block: BlockId) -> Key {
    Key::new(DOOMED, &block_bytes(block))
}

fn block_bytes(block: BlockId) -> [u8; 12] {
    let mut key = [0; 12];
    let (head, tail) = key.split_at_mut(8);
    head.copy_from_slice(&block.session.get().to_be_bytes());
    tail.copy_from_slice(&block.sequence.to_be_bytes());
    key
}

/// The block in a key.
pub(crate) fn block(key: &[u8]) -> Result<BlockId, Malformed> {
    let flaw = || Malformed {
        offset: 0,
        expected: "12 bytes",
        got: key.len().to_string(),
    };
    let (session, sequence) = key.split_at_checked(8).ok_or_else(flaw)?;
    Ok(BlockId {
        session: SessionId::new(u64::from_be_bytes(session.try_into().map_err(|_| flaw())?)),
        sequence: u32::from_be_bytes(sequence.try_into().map_err(|_| flaw())?),
    })
}
