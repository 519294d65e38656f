//! What a command announces, as kept in its change record.
//!
//! **Shape**: format, mount (varint), count, a flag and for each event its place among those of the
//! whole command (varint) where that has events in other shards too; each event: kind, branch
//! (varint), node (8), node kind, generation, size, then a flag and directory (8), name for each of
//! *from* and *to*, a flag and node (8) for *displaced*.

use super::FORMAT;
use super::node::{decode_kind, encode_kind};
use bytes::Bytes;
use nokv_shard::codec::{Decoder, Encoder, Malformed};
use nokv_types::{BranchId, Generation, MountId, Name, NodeId, NodeKind, ShardId};
use smallvec::SmallVec;

/// What happened to a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum EventKind {
    /// A new name (`to`), with [`Event::generation`] when it has a body.
    Created,
    /// A name went (`from`).
    Removed,
    /// A name moved (`from`, `to`).
    Renamed,
    /// A body was replaced (`to`).
    Published,
    /// Attributes changed.
    Attributes,
    /// An extended attribute changed.
    Xattr,
    /// Two names (`from`, `to`) changed places; `displaced` is the other node.
    Exchanged,
    /// A snapshot of a directory (`to`, unless it is a root) was made.
    Snapshot,
    /// One was removed.
    SnapshotRemoved,
    /// The root of a branch got a name (`to`).
    Branched,
    /// The quota of a directory (`to`, unless it is a root) was set or removed.
    Quota,
    /// The lease of a snapshot of a directory (`to`, unless it is a root) was extended.
    SnapshotRenewed,
}

/// A name in a directory.
pub(crate) type At = (NodeId, Name);

/// One event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Event {
    /// The branch of the directories in `from` and `to`, or of the node.
    pub(crate) branch: BranchId,
    pub(crate) kind: EventKind,
    pub(crate) node: NodeId,
    pub(crate) node_kind: NodeKind,
    pub(crate) generation: Generation,
    pub(crate) size: u64,
    pub(crate) from: Option<At>,
    pub(crate) to: Option<At>,
    pub(crate) displaced: Option<NodeId>,
}

/// The events of one command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Events {
    pub(crate) mount: MountId,
    pub(crate) events: Vec<Event>,
}

impl Events {
    /// The stored forms, by the shard where each event happened.
    pub(crate) fn encode(&self) -> nokv_shard::Events {
        let mut shards: SmallVec<[ShardId; 2]> = self.events.iter().map(Event::shard).collect();
        shards.sort_unstable();
        shards.dedup();
        let part = |shard: &ShardId| {
            let placed = self.events.iter().enumerate();
            let placed: Vec<_> = placed
                .filter(|(_, event)| event.shard() == *shard)
                .collect();
            (*shard, self.encode_part(&placed, shards.len() > 1))
        };
        shards.iter().map(part).collect()
    }

    fn encode_part(&self, placed: &[(usize, &Event)], has_others: bool) -> Bytes {
        let mut encoder = Encoder::new(FORMAT);
        encoder.varint(u64::from(self.mount.get()));
        encoder.varint(placed.len() as u64);
        encoder.u8(u8::from(has_others));
        for (place, _) in placed.iter().filter(|_| has_others) {
            encoder.varint(*place as u64);
        }
        for (_, event) in placed {
            event.encode(&mut encoder);
        }
        encoder.finish()
    }

    /// The events of a command from its parts; `None` when it has none.
    pub(crate) fn decode(parts: &nokv_shard::Events) -> Result<Option<Self>, Malformed> {
        let mut placed = Vec::new();
        let mut mount = None;
        for (_, part) in parts {
            let mut decoder = Decoder::new(part, FORMAT)?;
            mount = Some(MountId::new(decoder.varint32("mount")?));
            let count = decoder.varint("event count")?;
            let mut places = Vec::new();
            if decoder.u8("flag of places")? != 0 {
                for _ in 0..count {
                    places.push(decoder.varint("place of an event")?);
                }
            }
            let mut places = places.into_iter();
            for index in 0..count {
                let place = places.next().unwrap_or(index);
                placed.push((place, Event::decode(&mut decoder)?));
            }
        }
        placed.sort_by_key(|(place, _)| *place);
        let events = placed.into_iter().map(|(_, event)| event).collect();
        Ok(mount.map(|mount| Self { mount, events }))
    }
}

impl Event {
    /// The shard where it happened: that of the directory with the name, else of the node.
    fn shard(&self) -> ShardId {
        let directory = self.to.as_ref().or(self.from.as_ref());
        directory
            .map_or(self.node, |(directory, _)| *directory)
            .shard()
    }

    fn encode(&self, encoder: &mut Encoder) {
        encoder.u8(match self.kind {
            EventKind::Created => 1,
            EventKind::Removed => 2,
            EventKind::Renamed => 3,
            EventKind::Published => 4,
            EventKind::Attributes => 5,
            EventKind::Xattr => 6,
            EventKind::Exchanged => 7,
            EventKind::Snapshot => 8,
            EventKind::SnapshotRemoved => 9,
            EventKind::Branched => 10,
            EventKind::Quota => 11,
            EventKind::SnapshotRenewed => 12,
        });
        encoder.varint(u64::from(self.branch.get()));
        encoder.u64(self.node.as_u64());
        encode_kind(encoder, self.node_kind);
        encoder.varint(self.generation.get()).varint(self.size);
        for at in [&self.from, &self.to] {
            match at {
                None => encoder.u8(0),
                Some((directory, name)) => {
                    encoder.u8(1).u64(directory.as_u64()).bytes(name.as_bytes())
                }
            };
        }
        match self.displaced {
            None => encoder.u8(0),
            Some(node) => encoder.u8(1).u64(node.as_u64()),
        };
    }

    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let kind = match decoder.u8("event kind")? {
            1 => EventKind::Created,
            2 => EventKind::Removed,
            3 => EventKind::Renamed,
            4 => EventKind::Published,
            5 => EventKind::Attributes,
            6 => EventKind::Xattr,
            7 => EventKind::Exchanged,
            8 => EventKind::Snapshot,
            9 => EventKind::SnapshotRemoved,
            10 => EventKind::Branched,
            11 => EventKind::Quota,
            12 => EventKind::SnapshotRenewed,
            kind => return Err(decoder.malformed("event kind 1 to 12", kind)),
        };
        let branch = BranchId::new(decoder.varint32("branch")?);
        let node = NodeId::from_u64(decoder.u64("node")?);
        let node_kind = decode_kind(decoder)?;
        let generation = Generation::new(decoder.varint("generation")?);
        let size = decoder.varint("size")?;
        let (from, to) = (decode_at(decoder)?, decode_at(decoder)?);
        let displaced = match decoder.u8("displaced flag")? {
            0 => None,
            _ => Some(NodeId::from_u64(decoder.u64("displaced")?)),
        };
        Ok(Self {
            branch,
            kind,
            node,
            node_kind,
            generation,
            size,
            from,
            to,
            displaced,
        })
    }
}

fn decode_at(decoder: &mut Decoder<'_>) -> Result<Option<At>, Malformed> {
    if decoder.u8("place flag")? == 0 {
        return Ok(None);
    }
    let directory = NodeId::from_u64(decoder.u64("directory")?);
    let name = Name::new(decoder.bytes("name")?.to_vec());
    let name = name.map_err(|flaw| decoder.malformed("a name", flaw))?;
    Ok(Some((directory, name)))
}
