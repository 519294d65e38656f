//! The database against ordered maps: writes of all kinds, snapshots, time that passes, flushes,
//! compactions and openings.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use nokv_env::{Clock, Env, FileSystem, ManualClock, MemoryFileSystem};
use proptest::prelude::*;

use super::{Db, Reader, Snapshot, WriteBatch};
use crate::{Options, Value, testing::still_env};

/// A value and when it is gone, milliseconds since 1970.
type Content = (Vec<u8>, Option<u64>);

/// By keyspace and key.
type Model = BTreeMap<(usize, Vec<u8>), Content>;

#[derive(Clone, Debug)]
enum Write {
    Set(usize, Vec<u8>, Vec<u8>),
    Expiring(usize, Vec<u8>, Vec<u8>, u64),
    Delete(usize, Vec<u8>),
    DeleteRange(usize, Vec<u8>, Vec<u8>),
    DeleteFrom(usize, Vec<u8>),
}

#[derive(Clone, Debug)]
enum Step {
    Batch(Vec<Write>),
    Snapshot,
    DropSnapshot(usize),
    Pass(u64),
    Flush,
    Compact,
    Reopen,
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(0..3_u8, 1..4)
}

fn write() -> impl Strategy<Value = Write> {
    // Some too long to be copied out of the memtable.
    let value = || (any::<u8>(), prop_oneof![Just(0), 1..20_usize, Just(1500)]);
    let bytes = |(byte, length)| vec![byte; length];
    let space = || 0..2_usize;
    prop_oneof![
        5 => (space(), key(), value()).prop_map(move |(s, k, v)| Write::Set(s, k, bytes(v))),
        3 => (space(), key(), value(), 0..60_u64)
            .prop_map(move |(s, k, v, ttl)| Write::Expiring(s, k, bytes(v), ttl)),
        2 => (space(), key()).prop_map(|(s, k)| Write::Delete(s, k)),
        1 => (space(), key(), key()).prop_map(|(s, a, b)| Write::DeleteRange(s, a, b)),
        1 => (space(), key()).prop_map(|(s, k)| Write::DeleteFrom(s, k)),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => proptest::collection::vec(write(), 1..6).prop_map(Step::Batch),
        2 => Just(Step::Snapshot),
        1 => any::<usize>().prop_map(Step::DropSnapshot),
        2 => (0..40_u64).prop_map(Step::Pass),
        1 => Just(Step::Flush),
        1 => Just(Step::Compact),
        1 => Just(Step::Reopen),
    ];
    proptest::collection::vec(step, 1..40)
}

fn apply(model: &mut Model, write: &Write, now: u64) {
    match write.clone() {
        Write::Set(space, key, value) => drop(model.insert((space, key), (value, None))),
        Write::Expiring(space, key, value, ttl) => {
            model.insert((space, key), (value, Some(now + ttl)));
        }
        Write::Delete(space, key) => drop(model.remove(&(space, key))),
        Write::DeleteRange(space, start, end) => {
            model.retain(|(s, k), _| *s != space || *k < start || *k >= end);
        }
        Write::DeleteFrom(space, start) => model.retain(|(s, k), _| *s != space || *k < start),
    }
}

/// What is there at a time.
fn live(model: &Model, space: usize, now: u64) -> Vec<(Vec<u8>, Vec<u8>)> {
    let own = model.iter().filter(|((own, _), _)| *own == space);
    let own = own.filter(|(_, (_, expires))| expires.is_none_or(|expires| expires > now));
    own.map(|((_, key), (value, _))| (key.clone(), value.clone()))
        .collect()
}

fn check(reader: &Reader, expected: &[(Vec<u8>, Vec<u8>)]) {
    let found = |entries: super::Entries| -> Vec<(Vec<u8>, Vec<u8>)> {
        let owned = |item: Result<_, _>| {
            let (key, value): (bytes::Bytes, Value) = item.unwrap();
            (key.to_vec(), value.to_vec())
        };
        entries.map(owned).collect()
    };
    let reversed = |mut entries: Vec<_>| {
        entries.reverse();
        entries
    };
    assert_eq!(found(reader.iter()), expected);
    assert_eq!(reversed(found(reader.iter().rev())), expected);
    let within = |from: &[u8], to: &[u8]| -> Vec<_> {
        let own = expected
            .iter()
            .filter(|(key, _)| **key >= *from && **key <= *to);
        own.cloned().collect()
    };
    let (low, high) = (vec![0, 1], vec![1, 2]);
    let range = || reader.range(low.clone()..=high.clone());
    assert_eq!(found(range()), within(&low, &high));
    assert_eq!(reversed(found(range().rev())), within(&low, &high));
    let prefix: Vec<_> = expected
        .iter()
        .filter(|(key, _)| key[0] == 1)
        .cloned()
        .collect();
    assert_eq!(found(reader.prefix([1])), prefix);
    let keys: Vec<Vec<u8>> = (0..27_u8).map(|n| vec![n / 9, n / 3 % 3, n % 3]).collect();
    let many = reader.multi_get(&keys).unwrap();
    for (key, value) in keys.iter().zip(many) {
        let wanted = expected
            .iter()
            .find(|(own, _)| own == key)
            .map(|(_, value)| value.clone());
        assert_eq!(reader.get(key).unwrap(), wanted);
        assert_eq!(value.map(|value| value.to_vec()), wanted);
    }
}

struct Run {
    env: Env,
    clock: Arc<ManualClock>,
    db: Option<Db>,
    model: Model,
    snapshots: Vec<(Snapshot, Model, u64)>,
}

impl Run {
    fn new() -> Self {
        let files: Arc<dyn FileSystem> = Arc::new(MemoryFileSystem::new());
        let clock = Arc::new(ManualClock::new());
        let mut env = still_env(files);
        env.clock = Arc::clone(&clock) as Arc<dyn Clock>;
        let mut run = Self {
            env,
            clock,
            db: None,
            model: Model::new(),
            snapshots: Vec::new(),
        };
        run.open();
        run
    }

    fn open(&mut self) {
        let options = Options {
            memtable_bytes: 8 << 10,
            block_bytes: 256,
            table_bytes: 4 << 10,
            level_base_bytes: 8 << 10,
            level0_tables: 2,
            ..Options::default()
        };
        self.snapshots.clear();
        // The one before is closed first.
        self.db = None;
        let db = Db::open_in(self.env.clone(), Path::new("/db"), options);
        self.db = Some(db.expect("what was closed is whole"));
    }

    fn db(&self) -> &Db {
        self.db.as_ref().expect("it is open")
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Batch(writes) => self.write(writes),
            Step::Snapshot => {
                let now = self.clock.now_millis();
                let snapshot = self.db().snapshot();
                self.snapshots.push((snapshot, self.model.clone(), now));
            }
            Step::DropSnapshot(which) if !self.snapshots.is_empty() => {
                self.snapshots.remove(which % self.snapshots.len());
            }
            Step::DropSnapshot(_) => {}
            Step::Pass(millis) => self.clock.advance(Duration::from_millis(*millis)),
            Step::Flush => self.db().flush().unwrap(),
            Step::Compact => self.db().inner.engine.compact_for_test().unwrap(),
            Step::Reopen => self.open(),
        }
    }

    fn write(&mut self, writes: &[Write]) {
        let now = self.clock.now_millis();
        let db = self.db().clone();
        let spaces = [(*db).clone(), db.keyspace("other").unwrap()];
        let mut batch = WriteBatch::new();
        for write in writes {
            apply(&mut self.model, write, now);
            match write.clone() {
                Write::Set(space, key, value) => batch.set(&spaces[space], key, value),
                Write::Expiring(space, key, value, ttl) => {
                    let ttl = Duration::from_millis(ttl);
                    batch.set_with_ttl(&spaces[space], key, value, ttl);
                }
                Write::Delete(space, key) => batch.delete(&spaces[space], key),
                Write::DeleteRange(space, start, end) => {
                    batch.delete_range(&spaces[space], start..end);
                }
                Write::DeleteFrom(space, start) => batch.delete_range(&spaces[space], start..),
            }
        }
        db.set_batch(batch).unwrap();
    }

    fn check(&self) {
        let now = self.clock.now_millis();
        let db = self.db();
        let other = db.keyspace("other").unwrap();
        check(db, &live(&self.model, 0, now));
        check(&other, &live(&self.model, 1, now));
        for (snapshot, model, then) in &self.snapshots {
            check(snapshot, &live(model, 0, *then));
            check(&snapshot.of(&other), &live(model, 1, *then));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_database_agrees_with_ordered_maps(steps in steps()) {
        let mut run = Run::new();
        for step in &steps {
            run.step(step);
            if matches!(step, Step::Compact | Step::Reopen | Step::Pass(_)) {
                run.check();
            }
        }
        run.check();
    }
}
