//! Identifiers that are never given twice.
//!
//! A range is reserved on disk before the first of it is given; a crash loses the rest of a range
//! and never gives one again.
//!
//! Invariants:
//! - the reservation is synced before an id of it is used;
//! - children of one directory get neighbouring node ids (runs of [`RUN_IDS`]), so that reading a
//!   directory with attributes reads neighbouring keys.

use crate::failure::from_shard;
use crate::records::{shard, system};
use nokv_engine::Engine;
use nokv_shard::{Check, Command, Durability, Error, Key, Shards, Write};
use nokv_types::{Failure, NodeId, Reason, SessionId, ShardId, Version};
use parking_lot::Mutex;

/// Ids reserved at a time: at 150,000 creates a second, two syncs a second.
const RESERVED_IDS: u64 = 1 << 16;
/// Neighbouring node ids that one directory gets at a time.
const RUN_IDS: u64 = 64;
/// Directories with a run of their own: a direct-mapped table, so that memory is bounded; a
/// collision only costs neighbourhood.
const RUN_COUNT: usize = 1024;
/// Most attempts to reserve: only another handle of the same store could be in the way.
const RESERVE_ATTEMPTS_MAX: usize = 8;
/// Low bits of a session id that count; the others are the salt of the store, so that two stores
/// that share a bucket do not share a prefix.
const SESSION_BITS: u32 = 40;

#[derive(Clone, Copy, Debug, Default)]
struct Range {
    next: u64,
    end: u64,
}

impl Range {
    fn take(&mut self) -> Option<u64> {
        let number = self.next;
        (number < self.end)
            .then(|| self.next = number + 1)
            .map(|()| number)
    }
}

/// A durable sequence.
struct Sequence {
    key: Key,
    first: u64,
    range: Range,
}

impl Sequence {
    fn new(key: Key, first: u64) -> Self {
        Self {
            key,
            first,
            range: Range::default(),
        }
    }

    /// The next `count` numbers.
    fn take(&mut self, shards: &Shards, count: u64) -> Result<Range, Failure> {
        if self.range.end - self.range.next < count {
            self.range = self.reserve(shards)?;
        }
        let next = self.range.next;
        self.range.next += count;
        Ok(Range {
            next,
            end: next + count,
        })
    }

    fn reserve(&self, shards: &Shards) -> Result<Range, Failure> {
        for _ in 0..RESERVE_ATTEMPTS_MAX {
            let (next, check) = match read(shards.engine(), &self.key)? {
                None => (self.first, Check::Absent(self.key.clone())),
                Some((next, version)) => (next, Check::UnchangedSince(self.key.clone(), version)),
            };
            let end = next + RESERVED_IDS;
            let writes = vec![Write::Put(self.key.clone(), system::encode(end))];
            let command = Command {
                checks: vec![check],
                writes,
                ..Command::default()
            };
            match shards.execute(command, Durability::Synced) {
                Ok(_) => return Ok(Range { next, end }),
                Err(Error::CheckFailed { .. }) => {}
                Err(error) => return Err(from_shard(error)),
            }
        }
        Err(Failure::new(
            Reason::Conflict,
            "another writer keeps reserving ids in this store",
        ))
    }
}

/// A number of family `system`, and its version.
pub(crate) fn read(engine: &Engine, key: &Key) -> Result<Option<(u64, Version)>, Failure> {
    let found = engine
        .get(key.keyspace(), key.bytes(), Version::MAX)
        .map_err(crate::failure::from_engine)?;
    match found {
        None => Ok(None),
        Some(record) => {
            let number = system::decode(&record.value)
                .map_err(|flaw| crate::failure::malformed(key, &flaw))?;
            Ok(Some((number, record.version)))
        }
    }
}

/// Neighbouring numbers for the children of one directory in one shard.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    of: (NodeId, ShardId),
    range: Range,
}

/// Gives node and session ids.
pub(crate) struct Ids {
    /// By shard.
    nodes: Mutex<Vec<Sequence>>,
    sessions: Mutex<Sequence>,
    runs: Vec<Mutex<Run>>,
}

impl Ids {
    /// `salt` distinguishes the session ids of a new store; an existing one keeps its own.
    pub(crate) fn new(salt: u64) -> Self {
        Self {
            nodes: Mutex::default(),
            sessions: Mutex::new(Sequence::new(
                system::sessions(),
                (salt << SESSION_BITS) | 1,
            )),
            runs: (0..RUN_COUNT).map(|_| Mutex::default()).collect(),
        }
    }

    /// A node id in a shard, near the other children that `directory` has there.
    pub(crate) fn node(
        &self,
        shards: &Shards,
        directory: NodeId,
        shard: ShardId,
    ) -> Result<NodeId, Failure> {
        // Multiplicative hashing: the directories in use at a time have neighbouring ids
        // themselves.
        let number = directory.as_u64() ^ u64::from(shard.get());
        let hash = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let slot = usize::try_from(hash).unwrap_or(0) % RUN_COUNT;
        let run = self
            .runs
            .get(slot)
            .expect("the slot is taken modulo the number of runs");
        let mut run = run.lock();
        if run.of == (directory, shard)
            && let Some(number) = run.range.take()
        {
            return Ok(NodeId::new(shard, number));
        }
        let mut range = self.run_of(shards, shard)?;
        let number = range.take().expect("a fresh run has ids");
        *run = Run {
            of: (directory, shard),
            range,
        };
        Ok(NodeId::new(shard, number))
    }

    fn run_of(&self, shards: &Shards, shard: ShardId) -> Result<Range, Failure> {
        let mut nodes = self.nodes.lock();
        let index = usize::from(shard.get());
        while nodes.len() <= index {
            let next = u16::try_from(nodes.len()).unwrap_or(u16::MAX);
            nodes.push(Sequence::new(shard::nodes(ShardId::new(next)), 1));
        }
        let sequence = nodes.get_mut(index).expect("made above");
        sequence.take(shards, RUN_IDS)
    }

    /// Whether a session id was given, now or before the store was opened.
    pub(crate) fn session_was_given(
        &self,
        shards: &Shards,
        session: SessionId,
    ) -> Result<bool, Failure> {
        let sessions = self.sessions.lock();
        let next = match sessions.range.end {
            0 => read(shards.engine(), &sessions.key)?.map_or(0, |(next, _)| next),
            _ => sessions.range.next,
        };
        let salt = |id: u64| id >> SESSION_BITS;
        Ok(session.get() < next && salt(session.get()) == salt(next))
    }

    /// A session id.
    pub(crate) fn session(&self, shards: &Shards) -> Result<SessionId, Failure> {
        Ok(SessionId::new(self.sessions.lock().take(shards, 1)?.next))
    }
}
