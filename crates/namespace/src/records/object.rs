//! Families `object` (references to blocks) and `doomed` (blocks that lost the last one).
//!
//! Invariant: a block has references, or is doomed, or was never referenced, and never two of
//! these: the command that drops the last reference moves it from one family to the other.

use super::{DOOMED, OBJECT};
use bytes::Bytes;
use nokv_engine::Keyspace;
use nokv_shard::codec::Malformed;
use nokv_shard::{Add, AtZero, Change, Counter, Key, Slot};
use nokv_types::{BlockId, Extent, SessionId};
use rustc_hash::FxHashMap;
use smallvec::smallvec;

/// References: one for each chunk (or node record) of each body, live or dead, that has extents in
/// the block.
pub(crate) const REFERENCES: Slot = Slot::new(0);
/// Bytes of the block's units, counted once for each reference.
const BYTES: Slot = Slot::new(1);
/// Where the furthest unit ends that was ever referenced: about the size of the object.
const END: Slot = Slot::new(2);

/// What some bodies have in a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct BlockUse {
    pub(crate) references: i64,
    pub(crate) bytes: i64,
    pub(crate) end: i64,
}

impl BlockUse {
    /// What a counter says.
    pub(crate) fn of(counter: &Counter) -> Self {
        Self {
            references: counter.sum(REFERENCES),
            bytes: counter.sum(BYTES),
            end: counter.sum(END),
        }
    }

    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            references: self.references.saturating_add(other.references),
            bytes: self.bytes.saturating_add(other.bytes),
            end: self.end.max(other.end),
        }
    }

    /// Adds this to a block.
    pub(crate) fn add(self, block: BlockId) -> Add {
        Add {
            key: key(block),
            changes: smallvec![
                (REFERENCES, Change::Sum(self.references)),
                (BYTES, Change::Sum(self.bytes)),
                (END, Change::Max(self.end)),
            ],
            at_zero: None,
        }
    }

    /// Makes a block count this.
    pub(crate) fn set(self, block: BlockId) -> Add {
        Add {
            key: key(block),
            changes: smallvec![
                (REFERENCES, Change::Set(self.references)),
                (BYTES, Change::Set(self.bytes)),
                (END, Change::Max(self.end)),
            ],
            at_zero: None,
        }
    }

    /// Takes this from a block, which is doomed with its last reference.
    pub(crate) fn take(self, block: BlockId) -> Add {
        Add {
            key: key(block),
            changes: smallvec![
                (REFERENCES, Change::Sum(self.references.saturating_neg())),
                (BYTES, Change::Sum(self.bytes.saturating_neg())),
            ],
            at_zero: Some(AtZero {
                slot: REFERENCES,
                put: (doomed_key(block), Bytes::new()),
            }),
        }
    }
}

/// What the extents of one chunk (or node record) have in each of their blocks: one reference, and
/// the bytes of each unit once.
pub(crate) fn uses_of(extents: &[Extent]) -> FxHashMap<BlockId, BlockUse> {
    let mut units: Vec<_> = extents
        .iter()
        .map(|extent| (extent.block(), extent.unit.object_range()))
        .map(|(block, range)| (block, range.start, range.end))
        .collect();
    units.sort_unstable();
    units.dedup();
    let mut uses: FxHashMap<BlockId, BlockUse> = FxHashMap::default();
    for (block, start, end) in units {
        let found = uses.entry(block).or_default();
        found.references = 1;
        found.bytes += i64::from(end.saturating_sub(start));
        found.end = found.end.max(i64::from(end));
    }
    uses
}

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
