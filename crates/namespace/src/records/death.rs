//! Families `death` and `held`: bodies that were replaced or removed, until no retained version can
//! see them. A death that the floor has passed while a pin still sees the body waits in `held`
//! under that pin, so that what waits in `death` is what the floor has not passed.
//!
//! Invariants:
//! - written by the command that takes the body out of sight, at whose version it dies;
//! - the key begins with the version that the command was planned at, which is a little below the
//!   death: a scan in key order meets the oldest deaths first;
//! - a held body is held under the newest pin between its birth and its death, and nowhere else.
//!
//! **Shape**: format, birth (8), death (varint, 0: of this record), size, then as many extents as
//! the node record held, then the number of chunk records.

use super::body::{decode_extents, encode_extents};
use super::{DEATH, FORMAT, HELD, Moment, StoredBody, StoredLayout, node_and_branch, spot_at};
use bytes::Bytes;
use nokv_engine::Keyspace;
use nokv_shard::Key;
use nokv_shard::codec::{Decoder, Encoder, Malformed};
use nokv_types::{BranchId, Extent, Generation, NodeId, Version};

/// A body out of sight.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct DeathRecord {
    /// The version that published it.
    pub(crate) birth: Version,
    /// The version that took it out of sight.
    pub(crate) death: Moment,
    pub(crate) size: u64,
    /// Extents of the node record.
    pub(crate) embedded: Vec<Extent>,
    /// Chunk records of the generation not yet dropped: those with numbers below this.
    pub(crate) chunks: u32,
}

/// Which body a death key names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct DeadBody {
    pub(crate) planned: Version,
    pub(crate) node: NodeId,
    pub(crate) branch: BranchId,
    pub(crate) generation: Generation,
}

impl DeadBody {
    pub(crate) const KEYSPACE: Keyspace = DEATH;
    pub(crate) const HELD_KEYSPACE: Keyspace = HELD;

    pub(crate) fn key(&self) -> Key {
        self.key_in(DEATH, self.planned, &[])
    }

    /// The key of the body while it is held under a pin. Parts of one body that moved at different
    /// times may be held under the same.
    pub(crate) fn held_key(&self, pin: Version, death: Version) -> Key {
        self.key_in(HELD, pin, &death.as_u64().to_be_bytes())
    }

    fn key_in(&self, keyspace: Keyspace, order: Version, tail: &[u8]) -> Key {
        Key::from_parts(
            keyspace,
            &[
                &order.as_u64().to_be_bytes(),
                &node_and_branch(self.node, self.branch),
                &self.generation.get().to_be_bytes(),
                tail,
            ],
        )
    }

    /// The body in a key; of a held one, `planned` is the pin.
    pub(crate) fn from_key(key: &[u8]) -> Result<Self, Malformed> {
        let flaw = || Malformed {
            offset: 0,
            expected: "28 bytes or more",
            got: key.len().to_string(),
        };
        let word = |range| {
            let bytes: Option<[u8; 8]> = key
                .get(range)
                .and_then(|bytes: &[u8]| bytes.try_into().ok());
            bytes.map(u64::from_be_bytes).ok_or_else(flaw)
        };
        let (node, branch) = spot_at(key, 8)?;
        Ok(Self {
            planned: Version::from_u64(word(0..8)?),
            node,
            branch,
            generation: Generation::new(word(20..28)?),
        })
    }
}

impl DeathRecord {
    /// The death of `body`; `None` when it has nothing outside its node record's versions.
    pub(crate) fn of(body: &StoredBody, birth: Version) -> Option<Self> {
        let embedded = match &body.layout {
            StoredLayout::Embedded(extents) if !extents.is_empty() => extents.clone(),
            StoredLayout::Chunked(_) => Vec::new(),
            StoredLayout::Embedded(_) | StoredLayout::Inline(_) => return None,
        };
        Some(Self {
            birth,
            death: Moment::ThisRecord,
            size: body.size,
            embedded,
            chunks: body.chunk_count(),
        })
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut encoder = Encoder::new(FORMAT);
        encoder
            .u64(self.birth.as_u64())
            .varint(self.death.stored())
            .varint(self.size);
        encode_extents(&mut encoder, &self.embedded);
        encoder.varint(u64::from(self.chunks)).finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut decoder = Decoder::new(bytes, FORMAT)?;
        let birth = Version::from_u64(decoder.u64("birth")?);
        let death = Moment::from_stored(decoder.varint("death")?);
        let size = decoder.varint("size")?;
        let embedded = decode_extents(&mut decoder, size)?;
        Ok(Self {
            birth,
            death,
            size,
            embedded,
            chunks: decoder.varint32("chunks")?,
        })
    }
}
