//! Random commands by one caller and by many, against a map.

use crate::support::{COUNTS, DATA, SLOT, clock, counter, key, open};
use bytes::Bytes;
use nokv_engine::{Direction, KeyRange};
use nokv_env::Env;
use nokv_shard::{
    Add, AtZero, Change, Check, Command, Counter, Durability, Error, Key, Options, Shards, Write,
};
use nokv_types::Version;
use proptest::prelude::*;
use std::collections::BTreeMap;

type Values = BTreeMap<u8, (Version, Vec<u8>)>;

#[derive(Clone, Default, Debug)]
struct Model {
    values: Values,
    counters: BTreeMap<u8, i64>,
}

#[derive(Clone, Debug)]
enum Condition {
    Absent(u8),
    Present(u8),
    Unchanged(u8, usize),
    Empty,
    AtMost(u8, i64),
}

#[derive(Clone, Debug)]
struct Step {
    conditions: Vec<Condition>,
    puts: BTreeMap<u8, Option<Vec<u8>>>,
    adds: BTreeMap<u8, i64>,
    wipe: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let condition = prop_oneof![
        (0..6_u8).prop_map(Condition::Absent),
        (0..6_u8).prop_map(Condition::Present),
        (0..6_u8, 0..30_usize).prop_map(|(key, at)| Condition::Unchanged(key, at)),
        Just(Condition::Empty),
        (0..3_u8, -5..10_i64).prop_map(|(key, limit)| Condition::AtMost(key, limit)),
    ];
    let value = proptest::option::weighted(0.8, proptest::collection::vec(any::<u8>(), 0..5));
    (
        proptest::collection::vec(condition, 0..2),
        proptest::collection::btree_map(0..6_u8, value, 0..3),
        proptest::collection::btree_map(0..3_u8, -3..4_i64, 0..2),
        proptest::bool::weighted(0.1),
    )
        .prop_map(|(conditions, puts, adds, wipe)| Step {
            conditions,
            puts,
            adds,
            wipe,
        })
}

impl Step {
    fn command(&self, versions: &[Version]) -> Command {
        let at = |index: usize| {
            versions
                .get(index % versions.len().max(1))
                .copied()
                .unwrap_or_default()
        };
        let check = |condition: &Condition| match condition {
            Condition::Absent(number) => Check::Absent(key(*number)),
            Condition::Present(number) => Check::Present(key(*number)),
            Condition::Unchanged(number, index) => Check::UnchangedSince(key(*number), at(*index)),
            Condition::Empty => Check::PrefixEmpty(Key::new(DATA, b"k")),
            Condition::AtMost(number, limit) => Check::AtMost(counter(*number), SLOT, *limit),
        };
        let mut writes: Vec<_> = self
            .puts
            .iter()
            .map(|(number, value)| match value {
                Some(value) => Write::Put(key(*number), Bytes::from(value.clone())),
                None => Write::Delete(key(*number)),
            })
            .collect();
        if self.wipe {
            let (start, end) = (Bytes::from_static(b"k\x03"), Bytes::from_static(b"k\x06"));
            writes.push(Write::DeleteRange {
                keyspace: DATA,
                start,
                end,
            });
        }
        let adds = self
            .adds
            .iter()
            .map(|(number, delta)| Add::one(counter(*number), SLOT, Change::Sum(*delta)));
        Command {
            checks: self.conditions.iter().map(check).collect(),
            writes,
            adds: adds.collect(),
            ..Command::default()
        }
    }
}

impl Model {
    /// Applies a step; the place of the first condition that does not hold, if any.
    fn apply(&mut self, step: &Step, versions: &[Version], version: Version) -> Option<usize> {
        let sum = |model: &Self, number| {
            model.counters.get(&number).copied().unwrap_or(0)
                + step.adds.get(&number).copied().unwrap_or(0)
        };
        let holds = |condition: &Condition| match condition {
            Condition::Absent(number) => !self.values.contains_key(number),
            Condition::Present(number) => self.values.contains_key(number),
            Condition::Unchanged(number, index) => {
                let at = versions
                    .get(index % versions.len().max(1))
                    .copied()
                    .unwrap_or_default();
                self.values
                    .get(number)
                    .is_some_and(|(version, _)| *version <= at)
            }
            Condition::Empty => self.values.is_empty(),
            Condition::AtMost(number, limit) => sum(self, *number) <= *limit,
        };
        if let Some(index) = step
            .conditions
            .iter()
            .position(|condition| !holds(condition))
        {
            return Some(index);
        }
        if step.wipe {
            self.values.retain(|number, _| !(3..6).contains(number));
        }
        for (number, value) in &step.puts {
            match value {
                Some(value) => drop(self.values.insert(*number, (version, value.clone()))),
                None => drop(self.values.remove(number)),
            }
        }
        for number in step.adds.keys() {
            let sum = sum(self, *number);
            self.counters.insert(*number, sum);
        }
        None
    }

    fn compare(&self, shard: &Shards, at: Version) {
        let scan = |keyspace| {
            shard
                .engine()
                .scan(keyspace, KeyRange::all(), at, Direction::Forward)
                .expect("scans")
        };
        let values: Values = scan(DATA)
            .map(|item| item.expect("read"))
            .map(|(key, record)| (key[1], (record.version, record.value.to_vec())))
            .collect();
        assert_eq!(values, self.values, "at {at:?}");
        let counters: BTreeMap<u8, i64> = scan(COUNTS)
            .map(|item| item.expect("read"))
            .map(|(key, record)| {
                (
                    key[0],
                    Counter::decode(&record.value).expect("valid").sum(SLOT),
                )
            })
            .collect();
        assert_eq!(counters, self.counters, "at {at:?}");
    }
}

proptest! {
    /// Groups of any size are as if each command had been executed alone, at its own version.
    #[test]
    fn any_grouping_equals_the_model_at_every_version(
        groups in proptest::collection::vec(proptest::collection::vec(step(), 1..6), 1..12),
    ) {
        let shard = open(Env::memory(1), &clock(), Options::default());
        let (mut model, mut versions, mut history) = (Model::default(), Vec::new(), Vec::new());
        for group in groups {
            let known = versions.clone();
            let commands = group.iter().map(|step| step.command(&known)).collect();
            let results = shard.execute_all(commands, Durability::Buffered).expect("executed");
            for (step, result) in group.iter().zip(results) {
                let mut next = model.clone();
                match result {
                    Ok(applied) => {
                        prop_assert_eq!(next.apply(step, &known, applied.version), None);
                        prop_assert!(versions.last().is_none_or(|last| *last < applied.version));
                        versions.push(applied.version);
                        model = next;
                        history.push((applied.version, model.clone()));
                    }
                    Err(Error::CheckFailed { index }) => {
                        prop_assert_eq!(next.apply(step, &known, Version::MAX), Some(index));
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        }
        for (version, model) in history {
            model.compare(&shard, version);
        }
        model.compare(&shard, shard.read_version());
    }
}

#[test]
fn counters_of_many_callers_lose_nothing_and_limits_are_never_overshot() {
    let shard = open(Env::memory(1), &clock(), Options::default());
    let admitted: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let add = || Command {
                        checks: vec![Check::AtMost(counter(1), SLOT, 500)],
                        adds: vec![
                            Add::one(counter(0), SLOT, Change::Sum(1)),
                            Add::one(counter(1), SLOT, Change::Sum(1)),
                        ],
                        ..Command::default()
                    };
                    (0..200)
                        .filter(|_| shard.execute(add(), Durability::Buffered).is_ok())
                        .count()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .sum()
    });
    assert_eq!(admitted, 500);
    let found = shard
        .engine()
        .get(COUNTS, &[0], Version::MAX)
        .expect("read")
        .expect("there");
    assert_eq!(Counter::decode(&found.value).expect("valid").sum(SLOT), 500);
}

#[test]
fn a_counter_that_ends_leaves_what_it_was_told_to_and_never_counts_below_zero() {
    let shard = open(Env::memory(1), &clock(), Options::default());
    let add = |delta| {
        let mut add = Add::one(counter(0), SLOT, Change::Sum(delta));
        add.at_zero = Some(AtZero {
            slot: SLOT,
            put: (key(9), Bytes::from_static(b"end")),
        });
        Command {
            adds: vec![add],
            ..Command::default()
        }
    };
    let run = |delta| shard.execute(add(delta), Durability::Buffered);
    let present = |key: Key| {
        let found = shard
            .engine()
            .get(key.keyspace(), key.bytes(), Version::MAX);
        found.expect("read").is_some()
    };
    run(2).expect("counted");
    run(-1).expect("counted");
    assert!(present(counter(0)) && !present(key(9)));
    assert!(matches!(run(-2), Err(Error::Corrupt { .. })));
    assert!(present(counter(0)), "nothing was written");
    run(-1).expect("counted");
    assert!(!present(counter(0)) && present(key(9)));
}
