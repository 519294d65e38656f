//! What a command does to a state: a pure function.
//!
//! Invariants:
//! - deterministic: same state and command give the same effects, on any replica at any time;
//! - a failed check, or a counter that would count below zero, leaves no effect.

use crate::{Add, AtZero, Change, Check, Counter, Error, Key, Slot, Write};
use bytes::Bytes;
use nokv_engine::Keyspace;
use nokv_types::Version;

/// What a command sees: the state after all commands before it.
pub trait State {
    /// The version of the value that a key has; `None` when it has none.
    fn version(&self, key: &Key) -> Result<Option<Version>, Error>;
    /// The value of a counter; the default when it has none.
    fn counter(&self, key: &Key) -> Result<Counter, Error>;
    /// Whether any key that begins so has a value.
    fn any_with_prefix(&self, prefix: &Key) -> Result<bool, Error>;
}

/// One thing that a command changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// A value.
    Put(Key, Bytes),
    /// A counter.
    Count(Key, Counter),
    /// A deletion.
    Delete(Key),
    /// A deletion of all keys from the first to before the second.
    DeleteRange(Keyspace, Bytes, Bytes),
}

/// Whether a command takes effect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// All checks hold; this changes.
    Effects(Vec<Effect>),
    /// This check, by its place in the command, does not hold.
    CheckFailed(usize),
}

/// Applies checks, writes and adds of a command to `state`.
///
/// **Errors**: those of `state`; `Corrupt` when a counter with [`AtZero`] would go below zero:
/// something was counted wrong, and going on would delete what is in use.
pub fn apply(
    state: &impl State,
    checks: &[Check],
    writes: Vec<Write>,
    adds: Vec<Add>,
) -> Result<Verdict, Error> {
    for (index, check) in checks.iter().enumerate() {
        if !holds(state, check, &adds)? {
            return Ok(Verdict::CheckFailed(index));
        }
    }
    let mut effects = Vec::with_capacity(writes.len() + adds.len());
    effects.extend(writes.into_iter().map(Effect::from));
    for add in adds {
        let counter = counter_after(state, &add)?;
        match add.at_zero {
            Some(end) if ends(&add.key, &end, &counter)? => {
                effects.push(Effect::Delete(add.key));
                effects.push(Effect::Put(end.put.0, end.put.1));
            }
            _ => effects.push(Effect::Count(add.key, counter)),
        }
    }
    Ok(Verdict::Effects(effects))
}

fn ends(key: &Key, end: &AtZero, counter: &Counter) -> Result<bool, Error> {
    match counter.sum(end.slot) {
        value @ ..0 => Err(Error::corrupt(
            key,
            0,
            "a reference count of 0 or more",
            value,
        )),
        value => Ok(value == 0),
    }
}

fn holds(state: &impl State, check: &Check, adds: &[Add]) -> Result<bool, Error> {
    Ok(match check {
        Check::Absent(key) => state.version(key)?.is_none(),
        Check::Present(key) => state.version(key)?.is_some(),
        Check::UnchangedSince(key, version) => {
            state.version(key)?.is_some_and(|found| found <= *version)
        }
        Check::PrefixEmpty(prefix) => !state.any_with_prefix(prefix)?,
        Check::AtMost(key, slot, limit) => {
            let counter = match adds.iter().find(|add| add.key == *key) {
                Some(add) => counter_after(state, add)?,
                None => state.counter(key)?,
            };
            counter.sum(*slot) <= *limit
        }
    })
}

fn counter_after(state: &impl State, add: &Add) -> Result<Counter, Error> {
    let mut counter = state.counter(&add.key)?;
    for (slot, change) in &add.changes {
        counter.change(*slot, *change);
    }
    Ok(counter)
}

impl From<Write> for Effect {
    fn from(write: Write) -> Self {
        match write {
            Write::Put(key, value) => Self::Put(key, value),
            Write::Delete(key) => Self::Delete(key),
            Write::DeleteRange {
                keyspace,
                start,
                end,
            } => Self::DeleteRange(keyspace, start, end),
        }
    }
}

impl Add {
    /// An add of one slot.
    #[must_use]
    pub fn one(key: Key, slot: Slot, change: Change) -> Self {
        Self {
            key,
            changes: smallvec::smallvec![(slot, change)],
            at_zero: None,
        }
    }
}
