//! Commands: changes of state as data.

use crate::{Change, Key, Slot};
use bytes::Bytes;
use nokv_engine::Keyspace;
use nokv_types::{RequestId, Version};
use smallvec::SmallVec;

/// A change of state, whole or not at all.
///
/// **Shape**: each key at most once among `writes` and `adds` together.
/// **Guarantees**: the checks are evaluated when the command is applied, in log order; if one fails
/// nothing is written and the caller learns which. A command without request and events leaves no
/// change record.
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
    /// What watchers hear; the shard doesn't look inside.
    pub events: Bytes,
    /// What the caller of a repeated request is answered; the shard doesn't look inside.
    pub answer: Bytes,
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

impl Command {
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
        values + self.adds.len() * RECORD_BYTES + self.events.len() + self.answer.len()
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
