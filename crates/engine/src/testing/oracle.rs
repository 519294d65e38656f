//! The oracle: what a store should say, kept in the simplest way.
//!
//! Batch number *n* (from 1) is written at version *n*, so the state after a crash is recognised by
//! its highest version, and every state that ever was can be computed.

use std::collections::BTreeMap;

use nokv_env::SeededRandom;
use nokv_types::Version;

use crate::{Batch, Direction, Engine, KeyRange, Keyspace, Record};

/// One operation of a batch.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Put(u8, Vec<u8>, Vec<u8>),
    /// With the version from which on it has expired.
    PutExpiring(u8, Vec<u8>, Vec<u8>, u64),
    Delete(u8, Vec<u8>),
    DeleteRange(u8, Vec<u8>, Vec<u8>),
}

/// What is there: version, value, expiry.
type Content = (u64, Vec<u8>, Option<u64>);

type State = BTreeMap<(u8, Vec<u8>), Content>;

/// All batches, in order.
#[derive(Clone, Default)]
pub(crate) struct Oracle {
    batches: Vec<Vec<Change>>,
    /// The clock, milliseconds, for values that expire soon.
    present_ms: u64,
}

/// Keyspaces and keys are few, so that they meet often.
const KEYSPACES: u64 = 3;
const KEYS: u64 = 24;

impl Oracle {
    /// The version of the last batch.
    pub(crate) fn last(&self) -> u64 {
        self.batches.len() as u64
    }

    /// Adds a random batch and returns it for the store.
    pub(crate) fn random_batch(&mut self, random: &SeededRandom, value_bytes_max: u64) -> Batch {
        let count = 1 + random.below(4);
        let changes: Vec<Change> = (0..count)
            .map(|_| {
                let present = (self.last() + 1, self.present_ms);
                random_change(random, present, value_bytes_max)
            })
            .collect();
        self.push(changes)
    }

    /// Adds a batch and returns it for the store.
    pub(crate) fn push(&mut self, changes: Vec<Change>) -> Batch {
        let batch = build(&changes, self.last() + 1);
        self.batches.push(changes);
        batch
    }

    /// Batch `number` again.
    pub(crate) fn batch(&self, number: u64) -> Batch {
        build(&self.batches[number as usize - 1], number)
    }

    /// Says what time it is.
    pub(crate) fn set_present(&mut self, present_ms: u64) {
        self.present_ms = present_ms;
    }

    /// Forgets the batches after `last`, which were lost.
    pub(crate) fn truncate(&mut self, last: u64) {
        self.batches.truncate(last as usize);
    }

    /// What a read at `at` should see, when what expires at or below `expired` has.
    fn state(&self, at: u64, expired: u64) -> State {
        let mut state = State::new();
        for (changes, version) in self.batches.iter().zip(1..=at) {
            for change in changes {
                if let Change::DeleteRange(space, start, end) = change {
                    state.retain(|(other, key), _| other != space || key < start || key >= end);
                }
            }
            for change in changes {
                match change {
                    Change::Put(space, key, value) => {
                        state.insert((*space, key.clone()), (version, value.clone(), None));
                    }
                    Change::PutExpiring(space, key, value, expires_at) => {
                        let content = (version, value.clone(), Some(*expires_at));
                        state.insert((*space, key.clone()), content);
                    }
                    Change::Delete(space, key) => {
                        state.remove(&(*space, key.clone()));
                    }
                    Change::DeleteRange(..) => {}
                }
            }
        }
        let is_live = |expires_at: Option<u64>| expires_at.is_none_or(|at| at > expired);
        state.retain(|_, (_, _, expires_at)| is_live(*expires_at));
        state
    }

    /// What the store says at `at`, a version that was written, is what it should.
    pub(crate) fn check(&self, engine: &Engine, at: u64) -> Result<(), String> {
        self.check_state(engine, Version::from_u64(at), &self.state(at, at))
    }

    /// What the store says now, when batch `last` is the last and the clock is at `present`, is
    /// what it should.
    pub(crate) fn check_newest(
        &self,
        engine: &Engine,
        last: u64,
        present: Version,
    ) -> Result<(), String> {
        let expected = self.state(last, present.as_u64());
        self.check_state(engine, Version::MAX, &expected)
    }

    fn check_state(
        &self,
        engine: &Engine,
        version: Version,
        expected: &State,
    ) -> Result<(), String> {
        let at = version;
        for space in 0..KEYSPACES as u8 {
            let keyspace = Keyspace::new(space);
            let wanted: Vec<_> = expected
                .iter()
                .filter(|((other, _), _)| *other == space)
                .map(|((_, key), content)| (key.clone(), content.clone()))
                .collect();
            for direction in [Direction::Forward, Direction::Reverse] {
                let scan = engine
                    .scan(keyspace, KeyRange::all(), version, direction)
                    .map_err(|error| error.to_string())?;
                let mut found = Vec::new();
                for item in scan {
                    let (key, record) = item.map_err(|error| error.to_string())?;
                    found.push((key.to_vec(), content(&record)));
                }
                let scan = engine
                    .scan(keyspace, KeyRange::all(), version, direction)
                    .map_err(|error| error.to_string())?;
                check_lent(scan, &found)?;
                if direction == Direction::Reverse {
                    found.reverse();
                }
                if found != wanted {
                    return Err(format!(
                        "{direction:?} scan of {space} at {at}: {} entries, expected {}:\n{:?}\n{:?}",
                        found.len(),
                        wanted.len(),
                        brief(&found),
                        brief(&wanted)
                    ));
                }
            }
            self.check_gets(engine, keyspace, version, expected)?;
        }
        Ok(())
    }

    fn check_gets(
        &self,
        engine: &Engine,
        keyspace: Keyspace,
        at: Version,
        expected: &State,
    ) -> Result<(), String> {
        let keys: Vec<Vec<u8>> = (0..KEYS).map(key_bytes).collect();
        let slices: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        let many = engine
            .multi_get(keyspace, &slices, at)
            .map_err(|error| error.to_string())?;
        for (key, of_many) in keys.iter().zip(many) {
            let found = engine
                .get(keyspace, key, at)
                .map_err(|error| error.to_string())?;
            if found != of_many {
                return Err(format!("get of {key:?}: {found:?}, of many: {of_many:?}"));
            }
            let found = found.as_ref().map(content);
            let wanted = expected.get(&(keyspace.get(), key.clone()));
            if found.as_ref() != wanted {
                return Err(format!("get of {key:?} in {keyspace:?} at {at}: {found:?}"));
            }
        }
        Ok(())
    }
}

fn build(changes: &[Change], version: u64) -> Batch {
    let version = Version::from_u64(version);
    let mut batch = Batch::new();
    for change in changes {
        match change {
            Change::Put(space, key, value) => {
                batch.put(Keyspace::new(*space), key, value, version);
            }
            Change::PutExpiring(space, key, value, expires_at) => {
                let (space, expires_at) = (Keyspace::new(*space), *expires_at);
                batch.put_expiring(space, key, value, version, Version::from_u64(expires_at));
            }
            Change::Delete(space, key) => batch.delete(Keyspace::new(*space), key, version),
            Change::DeleteRange(space, start, end) => {
                batch.delete_range(Keyspace::new(*space), start, end, version);
            }
        }
    }
    batch
}

fn content(record: &Record) -> Content {
    let expires_at = record.expires_at.map(Version::as_u64);
    (record.version.as_u64(), record.value.to_vec(), expires_at)
}

/// What is lent is what is given.
fn check_lent(mut scan: crate::Scan, given: &[(Vec<u8>, Content)]) -> Result<(), String> {
    for (key, (version, value, _)) in given {
        let lent = scan.lend().map_err(|error| error.to_string())?;
        let is_same = lent.is_some_and(|lent| {
            (lent.key, lent.version.as_u64(), lent.value) == (key, *version, value)
        });
        if !is_same {
            return Err(format!("a scan lends {lent:?} for {key:?} at {version}"));
        }
    }
    match scan.lend() {
        Ok(None) => Ok(()),
        other => Err(format!("a scan lends {other:?} at its end")),
    }
}

fn brief(entries: &[(Vec<u8>, Content)]) -> Vec<(String, u64, usize)> {
    let brief = |(key, (version, value, _)): &(Vec<u8>, Content)| {
        let key = String::from_utf8_lossy(key).into_owned();
        (key, *version, value.len())
    };
    entries.iter().map(brief).collect()
}

/// Keys of which some are prefixes of others, one of them empty.
fn key_bytes(number: u64) -> Vec<u8> {
    match number {
        0 => Vec::new(),
        1 => vec![0xFF; 3],
        _ if number.is_multiple_of(3) => format!("k{:02}/long", number / 2).into_bytes(),
        _ => format!("k{:02}", number / 2).into_bytes(),
    }
}

fn random_change(
    random: &SeededRandom,
    (version, present_ms): (u64, u64),
    value_bytes_max: u64,
) -> Change {
    let space = random.below(KEYSPACES) as u8;
    let key = key_bytes(random.below(KEYS));
    match random.below(10) {
        0 => {
            let end = key_bytes(random.below(KEYS));
            // An empty range is nothing, and a batch of nothing leaves no trace to count.
            if end == key {
                return Change::Delete(space, key);
            }
            Change::DeleteRange(space, key.clone().min(end.clone()), key.max(end))
        }
        1 | 2 => Change::Delete(space, key),
        _ => {
            let mut value = vec![0; random.below(value_bytes_max) as usize];
            nokv_env::Random::fill(random, &mut value);
            match random.below(6) {
                // Soon, in batches or by the clock, or after all that a test waits for.
                0 => Change::PutExpiring(space, key, value, version + random.below(40)),
                1 => Change::PutExpiring(space, key, value, u64::MAX - random.below(2)),
                2 => {
                    let expires_at = Version::from_millis(present_ms + random.below(6));
                    Change::PutExpiring(space, key, value, expires_at.as_u64())
                }
                _ => Change::Put(space, key, value),
            }
        }
    }
}
