//! Every engine does through the trait what an ordered map does: otherwise its figures mean
//! nothing.

use super::engine::{self, Durability, EngineOptions};
use crate::harness::Random;
use std::collections::BTreeMap;

const CACHE_BYTES: u64 = 64 << 20;

fn key(number: u64) -> Vec<u8> {
    format!("key{number:05}").into_bytes()
}

/// Random writes and batches beside a `BTreeMap`, then every read compared, then again after
/// reopening.
fn check(system: &str, durability: Durability) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let options = EngineOptions {
        durability,
        cache_bytes: CACHE_BYTES,
    };
    let engine = engine::open(system, dir.path(), options).expect("opens");
    let mut oracle = BTreeMap::new();
    let mut random = Random::new(7);
    for round in 0..40u64 {
        let records: Vec<_> = (0..1 + random.below(20))
            .map(|_| {
                (
                    key(random.below(500)),
                    format!("{round}-{}", random.next()).into_bytes(),
                )
            })
            .collect();
        if round % 2 == 0 {
            engine.batch(&records).expect("batch");
        } else {
            records
                .iter()
                .for_each(|(key, value)| engine.put(key, value).expect("put"));
        }
        oracle.extend(records);
    }
    compare(&*engine, &oracle);
    engine.sync().expect("sync");
    drop(engine);
    compare(
        &*engine::open(system, dir.path(), options).expect("opens again"),
        &oracle,
    );
}

fn compare(engine: &dyn engine::Engine, oracle: &BTreeMap<Vec<u8>, Vec<u8>>) {
    let mut value = b"leftover".to_vec();
    for number in 0..500 {
        let found = engine.get(&key(number), &mut value).expect("get");
        assert_eq!(
            found.then_some(&value),
            oracle.get(&key(number)),
            "get {number}"
        );
    }
    for (start, limit) in [(0, 1_000), (17, 10), (250, 1), (499, 5)] {
        let mut seen = Vec::new();
        let mut sink = |key: &[u8], value: &[u8]| seen.push((key.to_vec(), value.to_vec()));
        let count = engine.scan(&key(start), limit, &mut sink).expect("scan");
        let expected: Vec<_> = oracle
            .range(key(start)..)
            .take(limit)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        assert_eq!(count, seen.len());
        assert_eq!(seen, expected, "scan from {start} limit {limit}");
    }
}

#[test]
fn every_built_in_engine_is_an_ordered_map() {
    for system in engine::names().filter(|name| engine::absence(name).is_none()) {
        for durability in [Durability::Buffered, Durability::Synced] {
            println!("{system} {durability:?}");
            check(system, durability);
        }
    }
}

#[test]
fn an_unknown_engine_is_refused() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let options = EngineOptions {
        durability: Durability::Buffered,
        cache_bytes: CACHE_BYTES,
    };
    assert!(engine::open("nonesuch", dir.path(), options).is_err());
}
