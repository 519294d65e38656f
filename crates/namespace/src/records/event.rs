//! What a command announces, as kept in its change record.
//!
//! **Shape**: format, mount (varint), count; each event: kind, branch (varint), node (8), node
//! kind, generation, size, then a flag and directory (8), name for each of *from* and *to*, a flag
//! and node (8) for *displaced*.

use super::FORMAT;
use super::node::{decode_kind, encode_kind};
use bytes::Bytes;
use nokv_shard::codec::{Decoder, Encoder, Malformed};
use nokv_types::{BranchId, Generation, MountId, Name, NodeId, NodeKind};

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
    /// The stored form; empty when there are none.
    pub(crate) fn encode(&self) -> Bytes {
        if self.events.is_empty() {
            return Bytes::new();
        }
        let mut encoder = Encoder::new(FORMAT);
        encoder.varint(u64::from(self.mount.get()));
        encoder.varint(self.events.len() as u64);
        for event in &self.events {
            event.encode(&mut encoder);
        }
        encoder.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut decoder = Decoder::new(bytes, FORMAT)?;
        let mount = MountId::new(decoder.varint32("mount")?);
        let count = decoder.varint("event count")?;
        let mut events = Vec::new();
        for _ in 0..count {
            events.push(Event::decode(&mut decoder)?);
        }
        Ok(Self { mount, events })
    }
}

impl Event {
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
            kind => return Err(decoder.malformed("event kind 1 to 11", kind)),
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
