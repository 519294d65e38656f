//! What a failing device does to values: nothing that may be needed is removed, nothing piles up.

use std::{path::Path, sync::Arc};

use nokv_env::{
    Env, FaultFileSystem, FileSystem, MemoryFileSystem, Operation, Outcome, Rule, SeededRandom,
    Trigger,
};
use nokv_types::Version;

use crate::{Batch, Durability, Engine, Error, Keyspace, Options, Retention, testing::still_env};

const DIR: &str = "/store";
const SPACE: Keyspace = Keyspace::new(1);

fn options() -> Options {
    Options {
        memtable_bytes: 16 << 10,
        segment_bytes: 8 << 10,
        block_bytes: 512,
        table_bytes: 8 << 10,
        level_base_bytes: 16 << 10,
        level0_tables: 2,
        value_separation_bytes: Some(100),
        value_file_bytes: 8 << 10,
        ..Options::default()
    }
}

fn machine() -> (MemoryFileSystem, FaultFileSystem, Env) {
    let memory = MemoryFileSystem::new();
    let faults = FaultFileSystem::new(Arc::new(memory.clone()), 1);
    let env = still_env(Arc::new(faults.clone()));
    (memory, faults, env)
}

fn value(seed: u64, bytes: usize) -> Vec<u8> {
    let mut value = vec![0; bytes];
    nokv_env::Random::fill(&SeededRandom::new(seed), &mut value);
    value
}

fn open(env: &Env) -> Engine {
    let engine = Engine::open(env.clone(), Path::new(DIR), options()).unwrap();
    engine.set_retention(Retention {
        horizon: Version::MAX,
        pins: Vec::new(),
    });
    engine
}

fn put(engine: &Engine, number: u64, version: u64) -> Result<(), Error> {
    let mut batch = Batch::new();
    let value = value(number * 1000 + version, 1000);
    let key = number.to_be_bytes();
    batch.put(SPACE, &key, &value, Version::from_u64(version));
    engine.write(batch, Durability::Synced)
}

fn fail(faults: &FaultFileSystem, operation: Operation, path: &str, outcome: Outcome) {
    faults.add_rule(Rule {
        operations: vec![operation],
        path_contains: path.to_owned(),
        trigger: Trigger::From(1),
        outcome,
    });
}

fn value_file_count(memory: &MemoryFileSystem) -> usize {
    let entries = memory.list(Path::new(DIR)).unwrap();
    let names = entries.iter().map(|entry| &entry.name);
    names.filter(|name| name.ends_with(".vlog")).count()
}

/// The manifest may name tables whose commit failed: neither what they point at nor what the tables
/// before them point at may go.
#[test]
fn values_of_a_compaction_whose_outcome_is_unknown_stay() {
    let failed = (1..20).filter(|commit| unknown_outcome(*commit)).count();
    assert!(failed > 1, "{failed} commits");
}

/// Whether the collection had so many commits of the manifest, of which this one failed.
fn unknown_outcome(commit: u64) -> bool {
    let (_, faults, env) = machine();
    let engine = open(&env);
    for number in 0..30 {
        put(&engine, number, 1 + number).unwrap();
    }
    engine.flush().unwrap();
    for number in 0..15 {
        put(&engine, number * 2, 100 + number).unwrap();
    }
    engine.flush().unwrap();
    faults.add_rule(Rule {
        operations: vec![Operation::SyncData],
        path_contains: ".manifest".to_owned(),
        trigger: Trigger::From(commit),
        outcome: Outcome::DeviceError,
    });
    let has_failed = engine.collect_values().is_err();
    let core = engine.core();
    let writing = core.writing().unwrap();
    writing.values.seal();
    core.release_values(writing);
    drop(engine);
    faults.clear_rules();
    let engine = open(&env);
    for number in 0..30 {
        let version = if number % 2 == 0 {
            100 + number / 2
        } else {
            1 + number
        };
        let record = engine.get(SPACE, &u64::to_be_bytes(number), Version::MAX);
        let expected = value(number * 1000 + version, 1000);
        assert_eq!(*record.unwrap().unwrap().value, expected[..], "{number}");
    }
    engine.verify().unwrap();
    engine.collect_values().unwrap();
    assert_eq!(engine.stats().value_dead_bytes, 0);
    has_failed
}

#[test]
fn a_full_device_makes_no_file_for_each_try() {
    for operation in [Operation::WriteSlices, Operation::Write] {
        let (memory, faults, env) = machine();
        let engine = open(&env);
        if operation == Operation::WriteSlices {
            put(&engine, 1, 1).unwrap();
        }
        let before = value_file_count(&memory);
        fail(&faults, operation, ".vlog", Outcome::NoSpace);
        for _ in 0..20 {
            let refused = put(&engine, 1, 2);
            assert!(
                matches!(refused, Err(Error::Exhausted { .. })),
                "{refused:?}"
            );
        }
        assert!(value_file_count(&memory) <= before + 1);
        faults.clear_rules();
        put(&engine, 1, 2).unwrap();
        drop(engine);
        let engine = open(&env);
        let record = engine
            .get(SPACE, &u64::to_be_bytes(1), Version::MAX)
            .unwrap();
        assert_eq!(record.unwrap().version, Version::from_u64(2));
        engine.verify().unwrap();
    }
}

/// After a failed sync of a value file nothing is acknowledged, and what was before is there.
#[test]
fn a_failed_sync_of_values_poisons_the_log() {
    let (_, faults, env) = machine();
    let engine = open(&env);
    put(&engine, 1, 1).unwrap();
    faults.add_rule(Rule {
        operations: vec![Operation::SyncData],
        path_contains: ".vlog".to_owned(),
        trigger: Trigger::Nth(1),
        outcome: Outcome::DeviceError,
    });
    assert!(matches!(
        put(&engine, 1, 2),
        Err(Error::OutcomeUnknown { .. })
    ));
    assert!(matches!(
        put(&engine, 1, 3),
        Err(Error::OutcomeUnknown { .. })
    ));
    drop(engine);
    let engine = open(&env);
    let record = engine
        .get(SPACE, &u64::to_be_bytes(1), Version::MAX)
        .unwrap();
    assert!(record.unwrap().version <= Version::from_u64(2));
    engine.verify().unwrap();
}
