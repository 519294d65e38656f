//! Commands: changes of state as data.

use crate::{Change, KEYSPACE_RESERVED_MIN, Key, Route, Slot};
use bytes::Bytes;
use nokv_engine::Keyspace;
use nokv_types::{RequestId, ShardId, Version};
use smallvec::SmallVec;

/// A change of state, whole or not at all.
///
/// **Shape**: each key at most once among `writes` and `adds` together.
/// **Guarantees**: the checks are evaluated when the command is applied, in log order; if one fails
/// nothing is written and the caller learns which. That goes for all shards that it touches
/// together: its checks are evaluated over one state, and its effects and the change records of all
/// those shards are one batch.
#[derive(Clone, Debug, Default)]
pub struct Command {
    /// Makes it idempotent.
    pub request: Option<Request>,
    /// What must hold.
    pub checks: Vec<Check>,
    /// What is put and deleted.
    pub writes: Vec<Write>,
    /// Which counters change.
    pub adds: Vec<Add>,
    /// What watchers hear, by the shard where it happened; nobody here looks inside.
    pub events: Events,
    /// What the caller of a repeated request is answered; the shard doesn't look inside.
    pub answer: Bytes,
}

/// What a command announces: a part for each shard that has one, each shard at most once.
pub type Events = SmallVec<[(ShardId, Bytes); 1]>;

/// The shards that a command touches, each once, in order of their numbers.
///
/// Were they groups of replicas, these would be the participants of its transaction.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Participants {
    /// Those whose state it may change, or where something happened: each gets its part of the
    /// command in its log. The first is the *lead*: its part has request and answer.
    pub written: SmallVec<[ShardId; 2]>,
    /// Those where it only checks something.
    pub checked: SmallVec<[ShardId; 2]>,
}

/// The identity of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    /// Chosen by the caller.
    pub id: RequestId,
    /// A hash of what is asked, so that an id used for something else is noticed.
    pub fingerprint: u64,
}

/// A condition on the state before the command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Check {
    /// The key has no value.
    Absent(Key),
    /// The key has a value.
    Present(Key),
    /// The key has a value, and it is of this version or an earlier one.
    UnchangedSince(Key, Version),
    /// No key that begins so has a value.
    PrefixEmpty(Key),
    /// After this command's own adds, the slot of the counter is at most the limit.
    AtMost(Key, Slot, i64),
}

/// A write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Write {
    /// Puts a value.
    Put(Key, Bytes),
    /// Deletes a value, present or not.
    Delete(Key),
    /// Deletes all values with keys from `start` to before `end`.
    DeleteRange {
        /// The keyspace.
        keyspace: Keyspace,
        /// First key.
        start: Bytes,
        /// After the last key.
        end: Bytes,
    },
}

/// A change of a counter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Add {
    /// The counter; made when absent.
    pub key: Key,
    /// Slot by slot, in order.
    pub changes: SmallVec<[(Slot, Change); 4]>,
    /// What happens when a slot is 0 afterwards.
    pub at_zero: Option<AtZero>,
}

/// The end of a counter, decided when the command is applied: whoever drops the last reference
/// can't know it before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AtZero {
    /// If this slot is 0 after the changes, the counter is deleted,
    pub slot: Slot,
    /// and this is put.
    pub put: (Key, Bytes),
}

impl Check {
    /// The key, or beginning of keys, that it looks at.
    #[must_use]
    pub const fn key(&self) -> &Key {
        match self {
            Self::Absent(key)
            | Self::Present(key)
            | Self::UnchangedSince(key, _)
            | Self::PrefixEmpty(key)
            | Self::AtMost(key, ..) => key,
        }
    }
}

impl Write {
    const fn keyspace(&self) -> Keyspace {
        match self {
            Self::Put(key, _) | Self::Delete(key) => key.keyspace(),
            Self::DeleteRange { keyspace, .. } => *keyspace,
        }
    }

    /// The shard that it changes. A range lies in one shard.
    fn shard(&self, route: Route) -> ShardId {
        match self {
            Self::Put(key, _) | Self::Delete(key) => route(key),
            Self::DeleteRange {
                keyspace, start, ..
            } => route(&Key::new(*keyspace, start)),
        }
    }
}

impl Participants {
    fn insert(set: &mut SmallVec<[ShardId; 2]>, shard: ShardId) {
        if let Err(place) = set.binary_search(&shard) {
            set.insert(place, shard);
        }
    }

    /// The lead; `None` when the command does nothing at all.
    #[must_use]
    pub fn lead(&self) -> Option<ShardId> {
        self.written.first().copied()
    }
}

impl Command {
    /// The shards that it touches. What the shards keep for themselves (keyspaces from
    /// [`crate::KEYSPACE_RESERVED_MIN`] up) is no part of their state.
    #[must_use]
    pub fn participants(&self, route: Route) -> Participants {
        let mut touched = Participants::default();
        let of_state = |keyspace: Keyspace| keyspace.get() < KEYSPACE_RESERVED_MIN;
        for write in self
            .writes
            .iter()
            .filter(|write| of_state(write.keyspace()))
        {
            Participants::insert(&mut touched.written, write.shard(route));
        }
        for add in &self.adds {
            Participants::insert(&mut touched.written, route(&add.key));
            if let Some(end) = &add.at_zero {
                Participants::insert(&mut touched.written, route(&end.put.0));
            }
        }
        for (shard, _) in &self.events {
            Participants::insert(&mut touched.written, *shard);
        }
        let mut checked = self.checks.iter().map(|check| route(check.key()));
        // Somebody must remember the answer.
        if touched.written.is_empty() && self.request.is_some() {
            touched.written.push(checked.next().unwrap_or_default());
        }
        for shard in checked {
            if !touched.written.contains(&shard) {
                Participants::insert(&mut touched.checked, shard);
            }
        }
        touched
    }

    /// Whether it must see the engine with everything before it appended.
    pub(crate) fn needs_appended(&self) -> bool {
        self.checks
            .iter()
            .any(|check| matches!(check, Check::PrefixEmpty(_)))
    }

    /// Whether nothing may follow it in its batch.
    pub(crate) fn closes_group(&self) -> bool {
        self.writes
            .iter()
            .any(|write| matches!(write, Write::DeleteRange { .. }))
    }

    /// About how many bytes it writes, for limits of queues.
    pub(crate) fn weight(&self) -> usize {
        const RECORD_BYTES: usize = 64;
        let values: usize = self
            .writes
            .iter()
            .map(|write| match write {
                Write::Put(_, value) => value.len() + RECORD_BYTES,
                Write::Delete(_) | Write::DeleteRange { .. } => RECORD_BYTES,
            })
            .sum();
        let events: usize = self.events.iter().map(|(_, events)| events.len()).sum();
        values + self.adds.len() * RECORD_BYTES + events + self.answer.len()
    }
}

/// What became of a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Applied {
    /// Its version: a read at it sees the command, one before it doesn't.
    pub version: Version,
    /// Its answer, or for a repeated request that of the first time.
    pub answer: Bytes,
    /// Whether it was applied now.
    pub outcome: Outcome,
}

/// Whether a command was applied now or before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Now.
    Applied,
    /// Its request was applied before; nothing changed.
    Repeated,
}
