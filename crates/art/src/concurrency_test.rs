//! Readers beside a writer: every order of loads and stores by shuttle, real threads (weak memory
//! under Miri).
//!
//! What must hold at any moment: a key that was there before is found by `get`, by a seek to it
//! from both sides and by iteration in both directions; keys come in strict order; whatever is seen
//! is whole (a value says its key and version). The planned inserts make every node size grow,
//! split paths at all depths, add terminators and out-of-order versions.

use std::cmp::Ordering as Order;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;

use crate::sync::explore;
use crate::{Cursor, EntryRef, Found, Memtable, MemtableOptions, Structure};

/// Schedules that shuttle tries per case.
const SCHEDULES: usize = 1_500;

/// Keys present before the readers start, and keys that the writer adds meanwhile.
#[derive(Clone)]
struct Plan {
    structure: Structure,
    before: Vec<Vec<u8>>,
    during: Vec<Vec<u8>>,
}

/// Version of the keys that are present before; the writer adds one below and one above.
const VERSION: u64 = 10;

fn value_of(key: &[u8], version: u64) -> Vec<u8> {
    let mut value = version.to_le_bytes().to_vec();
    value.extend(key);
    value
}

fn insert(memtable: &Memtable, key: &[u8], version: u64) {
    let value = value_of(key, version);
    memtable.insert(
        key,
        version,
        EntryRef {
            kind: 7,
            value: &value,
        },
    );
}

fn check_whole(key: &[u8], found: Found<'_>) {
    assert_eq!(found.kind, 7);
    assert_eq!(
        found.value,
        value_of(key, found.version),
        "torn value of {key:02x?}"
    );
}

impl Plan {
    fn build(&self) -> Arc<Memtable> {
        let options = MemtableOptions {
            structure: self.structure,
            ..MemtableOptions::default()
        };
        let memtable = Arc::new(Memtable::new(options));
        self.before
            .iter()
            .for_each(|key| insert(&memtable, key, VERSION));
        memtable
    }

    fn write(&self, memtable: &Memtable) {
        for (index, key) in self.during.iter().enumerate() {
            insert(memtable, key, VERSION);
            if let Some(known) = self.before.get(index) {
                insert(memtable, known, VERSION + 1);
                insert(memtable, known, VERSION - 1);
            }
        }
    }

    fn check_points(&self, memtable: &Arc<Memtable>) {
        let mut cursor = Cursor::new(Arc::clone(memtable));
        for key in &self.before {
            let newest = memtable.get(key, u64::MAX).expect("a key was lost");
            check_whole(key, newest);
            let exact = memtable
                .get_owned(key, VERSION)
                .expect("a version was lost");
            assert_eq!(exact.version, VERSION);
            cursor.seek(key);
            assert_eq!(cursor.key(), Some(key.as_slice()));
            cursor.seek_for_prev(key);
            assert_eq!(cursor.key(), Some(key.as_slice()));
            let versions: Vec<u64> = cursor.versions().map(|found| found.version).collect();
            assert!(
                versions.is_sorted_by(|left, right| left > right) && versions.contains(&VERSION)
            );
        }
    }

    /// Whole walks in both directions, and seeks to where keys are missing.
    fn check_order(&self, memtable: &Memtable) {
        for key in &self.during {
            let mut cursor = memtable.cursor();
            cursor.seek(key);
            assert!(
                cursor.key().is_none_or(|found| found >= key.as_slice()),
                "sought too low"
            );
            self.check_walk(&mut cursor, |known| known >= key, Order::Less);
            cursor.seek_for_prev(key);
            assert!(
                cursor.key().is_none_or(|found| found <= key.as_slice()),
                "sought too high"
            );
            self.check_walk(&mut cursor, |known| known <= key, Order::Greater);
        }
    }

    /// Walks to the end; each key must compare to the one after it as `order`, and all keys of
    /// before that are `wanted` must come.
    fn check_walk(
        &self,
        cursor: &mut Cursor<&Memtable>,
        wanted: impl Fn(&Vec<u8>) -> bool,
        order: Order,
    ) {
        let mut missing: BTreeSet<Vec<u8>> = self
            .before
            .iter()
            .filter(|key| wanted(key))
            .cloned()
            .collect();
        let mut last: Option<Vec<u8>> = None;
        while let Some(key) = cursor.key().map(<[u8]>::to_vec) {
            assert!(
                last.is_none_or(|last| last.cmp(&key) == order),
                "the order turned"
            );
            cursor.versions().for_each(|found| check_whole(&key, found));
            missing.remove(&key);
            last = Some(key);
            match order {
                Order::Less => cursor.next_key(),
                _ => cursor.prev_key(),
            }
        }
        assert_eq!(missing, BTreeSet::new(), "keys were lost");
    }

    fn run_under_shuttle(&self) {
        let plan = self.clone();
        let body = move || {
            let memtable = plan.build();
            let (writer, points, order) = (plan.clone(), plan.clone(), plan.clone());
            let (first, second) = (Arc::clone(&memtable), Arc::clone(&memtable));
            let threads = [
                shuttle::thread::spawn(move || points.check_points(&first)),
                shuttle::thread::spawn(move || order.check_order(&second)),
            ];
            writer.write(&memtable);
            threads
                .into_iter()
                .for_each(|thread| thread.join().unwrap());
        };
        explore(|| {
            shuttle::check_random(body.clone(), SCHEDULES);
            shuttle::check_pct(body, SCHEDULES, 3);
        });
    }

    fn run_on_threads(&self) {
        let memtable = self.build();
        thread::scope(|scope| {
            scope.spawn(|| self.write(&memtable));
            scope.spawn(|| self.check_points(&memtable));
            scope.spawn(|| self.check_order(&memtable));
        });
        self.check_points(&memtable);
        self.check_order(&memtable);
    }
}

const STRUCTURES: [Structure; 2] = [Structure::Art, Structure::SkipList];

fn keys(text: &[&str]) -> Vec<Vec<u8>> {
    text.iter().map(|key| key.as_bytes().to_vec()).collect()
}

/// Paths split above and below nodes, keys that end at nodes, the empty key.
fn splits(structure: Structure) -> Plan {
    Plan {
        structure,
        before: keys(&["dir/alpha/one", "dir/alpha/two", "dir/beta"]),
        during: keys(&[
            "dir/alpha/",
            "dir",
            "dir/alpha/three",
            "",
            "dir/al",
            "zz",
            "dir/alpha/one/x",
        ]),
    }
}

/// `before` fills a node to just under a size, `during` makes it grow.
fn growth(structure: Structure, before: u8, during: u8) -> Plan {
    // Scattered, so that arrivals are not in order.
    let key = |index: u8| vec![b'k', index.wrapping_mul(37)];
    Plan {
        structure,
        before: (0..before).map(key).collect(),
        during: (before..before + during).map(key).collect(),
    }
}

#[test]
#[cfg_attr(miri, ignore = "coroutines on stacks of their own")]
fn no_schedule_loses_or_tears_anything_while_paths_split() {
    STRUCTURES
        .map(splits)
        .iter()
        .for_each(Plan::run_under_shuttle);
}

#[test]
#[cfg_attr(miri, ignore = "coroutines on stacks of their own")]
fn no_schedule_loses_or_tears_anything_while_nodes_grow() {
    for (before, during) in [(3, 3), (15, 2)] {
        growth(Structure::Art, before, during).run_under_shuttle();
    }
}

#[test]
fn threads_lose_and_tear_nothing() {
    for structure in STRUCTURES {
        splits(structure).run_on_threads();
        growth(structure, 2, 4).run_on_threads();
        if !cfg!(miri) {
            growth(structure, 14, 100).run_on_threads();
            growth(structure, 40, 200).run_on_threads();
        }
    }
}
