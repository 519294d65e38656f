//! The records that the shards themselves keep: the command log of each, and the requests that it
//! remembers.
//!
//! Invariants:
//! - a log record is in the same engine batch as the effects of its command: neither exists alone;
//! - a command has a record in the log of every shard that it writes to, all under one version; the
//!   records of a shard count on without a gap;
//! - the totals run over the whole life of a shard, and the record of the floor keeps those of what
//!   was dropped: so a shard always knows how far it is, and the size of what is retained is one
//!   subtraction, also right after opening;
//! - a request record points at the log record that holds its answer, and goes no later than it.
//!
//! **Shape**: docs/format/namespace.md, families `log` and `dedupe`.

use crate::codec::{Decoder, Encoder, Malformed};
use crate::{Key, Request};
use bytes::Bytes;
use nokv_engine::Keyspace;
use nokv_types::{RequestId, ShardId, Version};
use smallvec::SmallVec;

const FORMAT: u8 = 1;
const LOG: Keyspace = Keyspace::new(0xf0);
const DEDUPE: Keyspace = Keyspace::new(0xf1);
const FLOOR: Keyspace = Keyspace::new(0xf2);

/// Keyspaces from this one up are the shard's; layers above use those below.
pub const KEYSPACE_RESERVED_MIN: u8 = 0xf0;

/// Running totals of a log: how far its shard is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Totals {
    /// Commands ever applied.
    pub(crate) commands: u64,
    /// Bytes of all change records ever written.
    pub(crate) bytes: u64,
    /// Requests ever remembered.
    pub(crate) requests: u64,
}

/// One change record: the part that a command has in one shard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Logged {
    pub(crate) before: Totals,
    /// The shards that have a part of the command, if that is not only this one.
    pub(crate) parts: SmallVec<[ShardId; 2]>,
    pub(crate) request: Option<Request>,
    pub(crate) answer: Bytes,
    pub(crate) events: Bytes,
}

impl Logged {
    pub(crate) fn encode(&self) -> Bytes {
        let mut encoder = Encoder::new(FORMAT);
        self.before.encode(&mut encoder);
        encoder.varint(self.parts.len() as u64);
        for part in &self.parts {
            encoder.varint(u64::from(part.get()));
        }
        match self.request {
            None => encoder.u8(0),
            Some(request) => encoder
                .u8(1)
                .raw(request.id.as_bytes())
                .u64(request.fingerprint)
                .bytes(&self.answer),
        };
        encoder.bytes(&self.events).finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut decoder = Decoder::new(bytes, FORMAT)?;
        let before = Totals::decode(&mut decoder)?;
        let mut parts = SmallVec::new();
        for _ in 0..decoder.varint("count of parts")? {
            let part = decoder.varint("part")?;
            let part = u16::try_from(part).map_err(|_| decoder.malformed("a shard", part))?;
            parts.push(ShardId::new(part));
        }
        let (request, answer) = match decoder.u8("request flag")? {
            0 => (None, Bytes::new()),
            1 => {
                let id = RequestId::from_bytes(decoder.fixed("request id")?);
                let fingerprint = decoder.u64("fingerprint")?;
                let answer = Bytes::copy_from_slice(decoder.bytes("answer")?);
                (Some(Request { id, fingerprint }), answer)
            }
            flag => return Err(decoder.malformed("request flag 0 or 1", flag)),
        };
        let events = Bytes::copy_from_slice(decoder.bytes("events")?);
        Ok(Self {
            before,
            parts,
            request,
            answer,
            events,
        })
    }

    /// The totals after this record of `bytes` bytes.
    pub(crate) fn after(&self, bytes: usize) -> Totals {
        Totals {
            commands: self.before.commands.saturating_add(1),
            bytes: self.before.bytes.saturating_add(bytes as u64),
            requests: self
                .before
                .requests
                .saturating_add(u64::from(self.request.is_some())),
        }
    }
}

impl Totals {
    fn encode(&self, encoder: &mut Encoder) {
        encoder
            .varint(self.commands)
            .varint(self.bytes)
            .varint(self.requests);
    }

    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            commands: decoder.varint("commands before")?,
            bytes: decoder.varint("bytes logged before")?,
            requests: decoder.varint("requests logged before")?,
        })
    }

    /// What was logged since `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            commands: self.commands.saturating_sub(before.commands),
            bytes: self.bytes.saturating_sub(before.bytes),
            requests: self.requests.saturating_sub(before.requests),
        }
    }
}

/// Up to where a log was dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Floor {
    pub(crate) version: Version,
    /// The totals of what was dropped.
    pub(crate) totals: Totals,
}

impl Floor {
    pub(crate) fn encode(&self) -> Bytes {
        let mut encoder = Encoder::new(FORMAT);
        encoder.u64(self.version.as_u64());
        self.totals.encode(&mut encoder);
        encoder.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut decoder = Decoder::new(bytes, FORMAT)?;
        Ok(Self {
            version: Version::from_u64(decoder.u64("floor of the log")?),
            totals: Totals::decode(&mut decoder)?,
        })
    }
}

/// What a shard remembers of a request: where its answer is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Remembered {
    pub(crate) version: Version,
    pub(crate) fingerprint: u64,
}

impl Remembered {
    pub(crate) fn encode(&self) -> Bytes {
        Encoder::new(FORMAT)
            .u64(self.version.as_u64())
            .u64(self.fingerprint)
            .finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut decoder = Decoder::new(bytes, FORMAT)?;
        Ok(Self {
            version: Version::from_u64(decoder.u64("version of the answer")?),
            fingerprint: decoder.u64("fingerprint")?,
        })
    }
}

pub(crate) fn log_key(shard: ShardId, version: Version) -> Key {
    Key::from_parts(
        LOG,
        &[&shard.get().to_be_bytes(), &version.as_u64().to_be_bytes()],
    )
}

pub(crate) fn request_key(shard: ShardId, id: RequestId) -> Key {
    Key::from_parts(DEDUPE, &[&shard.get().to_be_bytes(), id.as_bytes()])
}

/// Where the version below which the log was dropped is kept.
pub(crate) fn floor_key(shard: ShardId) -> Key {
    Key::new(FLOOR, &shard.get().to_be_bytes())
}

/// What the log keys of a shard begin with.
pub(crate) fn log_prefix(shard: ShardId) -> Key {
    Key::new(LOG, &shard.get().to_be_bytes())
}

/// The version in a log key.
pub(crate) fn version_of(log_key: &[u8]) -> Result<Version, Malformed> {
    let flaw = || Malformed {
        offset: 0,
        expected: "a log key of 10 bytes",
        got: log_key.len().to_string(),
    };
    let bytes = log_key.get(2..).ok_or_else(flaw)?;
    Ok(Version::from_u64(u64::from_be_bytes(
        bytes.try_into().map_err(|_| flaw())?,
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn records_survive_storage(
            commands: u64, bytes: u64, requests: u64, id: Option<[u8; 16]>, fingerprint: u64,
            parts: Vec<u16>, answer: Vec<u8>, events: Vec<u8>, version: u64,
        ) {
            let request = id.map(|id| Request { id: RequestId::from_bytes(id), fingerprint });
            let answer = if request.is_some() { answer.into() } else { Bytes::new() };
            let before = Totals { commands, bytes, requests };
            let parts = parts.into_iter().map(ShardId::new).collect();
            let floor = Floor { version: Version::from_u64(version), totals: before };
            prop_assert_eq!(Floor::decode(&floor.encode()), Ok(floor));
            let record = Logged { before, parts, request, answer, events: events.into() };
            prop_assert_eq!(Logged::decode(&record.encode()), Ok(record));
            let version = Version::from_u64(version);
            let remembered = Remembered { version, fingerprint };
            prop_assert_eq!(Remembered::decode(&remembered.encode()), Ok(remembered));
            prop_assert_eq!(version_of(log_key(ShardId::new(7), version).bytes()), Ok(version));
        }

        #[test]
        fn damage_never_panics(bytes: Vec<u8>) {
            let _outcome = (Logged::decode(&bytes), Remembered::decode(&bytes), version_of(&bytes));
            let _outcome = Floor::decode(&bytes);
        }
    }
}
