//! The figures of a store are those of its files, whatever was done to it.

use std::path::Path;

use nokv_env::Env;
use nokv_types::Version;
use proptest::prelude::*;

use super::table_number;
use crate::{
    Access, Batch, Durability, Engine, KeyRange, Keyspace, Options, Retention, Stats,
    manifest::manifest_number, vlog::value_number, wal::segment_number,
};

const KEYSPACE: Keyspace = Keyspace::new(1);
const DIR: &str = "/store";

/// Looks at a store that threads work on, before it gives up: files come and go between the
/// figures and the list.
const LOOKS_MAX: usize = 200;

#[derive(Clone, Debug)]
enum Step {
    Put { key: u8, value_bytes: usize },
    Delete { key: u8 },
    DeleteRange { from: u8, to: u8 },
    Flush,
    Compact,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..40_u8, prop_oneof![0..200_usize, 1000..5000_usize])
            .prop_map(|(key, value_bytes)| Step::Put { key, value_bytes }),
        3 => (0..40_u8).prop_map(|key| Step::Delete { key }),
        1 => (0..20_u8, 20..40_u8).prop_map(|(from, to)| Step::DeleteRange { from, to }),
        2 => Just(Step::Flush),
        1 => Just(Step::Compact),
        1 => Just(Step::Reopen),
    ]
}

fn options() -> Options {
    Options {
        memtable_bytes: 16 << 10,
        segment_bytes: 8 << 10,
        table_bytes: 8 << 10,
        level_base_bytes: 32 << 10,
        value_separation_bytes: Some(1000),
        value_file_bytes: 16 << 10,
        ..Options::default()
    }
}

fn open(env: &Env, access: Access) -> Engine {
    let engine = Engine::open(
        env.clone(),
        Path::new(DIR),
        Options {
            access,
            ..options()
        },
    );
    let engine = engine.expect("a sound device");
    engine.set_retention(Retention {
        horizon: Version::MAX,
        pins: Vec::new(),
    });
    engine
}

/// Log, tables, values, manifest, as the folder has them.
fn on_disk(env: &Env) -> [u64; 4] {
    let mut sums = [0; 4];
    for entry in env.files.list(Path::new(DIR)).expect("a folder") {
        let kinds = [segment_number, table_number, value_number, manifest_number];
        if let Some(kind) = kinds.iter().position(|kind| kind(&entry.name).is_some()) {
            sums[kind] += entry.size;
        }
    }
    sums
}

fn told(stats: &Stats) -> [u64; 4] {
    let tables = stats.levels.iter().map(|level| level.bytes).sum();
    [
        stats.segment_bytes,
        tables,
        stats.value_bytes,
        stats.manifest_bytes,
    ]
}

fn apply(engine: &Engine, step: &Step) {
    let mut batch = Batch::unstamped();
    match step {
        Step::Put { key, value_bytes } => {
            batch.put(KEYSPACE, &[*key], &vec![*key; *value_bytes], Version::ZERO);
        }
        Step::Delete { key } => {
            batch.delete(KEYSPACE, &[*key], Version::ZERO);
        }
        Step::DeleteRange { from, to } => {
            batch.delete_range(KEYSPACE, &[*from], &[*to], Version::ZERO);
        }
        Step::Flush => engine.flush().expect("a sound device"),
        Step::Compact => engine
            .compact_range(KEYSPACE, &KeyRange::all(), &mut || ())
            .expect("a sound device"),
        Step::Reopen => {}
    }
    engine
        .write(batch, Durability::Buffered)
        .expect("a sound device");
}

fn check(env: &Env, engine: &Engine) {
    for _ in 0..LOOKS_MAX {
        let before = on_disk(env);
        let stats = engine.stats();
        if before == told(&stats) && before == on_disk(env) {
            assert_eq!(stats.file_bytes(), before.iter().sum::<u64>());
            let space = stats.space_amplification();
            assert!(space.is_none_or(|space| space >= 1.0), "{stats:?}");
            return;
        }
        std::thread::yield_now();
    }
    panic!(
        "{:?} told, {:?} on disk",
        told(&engine.stats()),
        on_disk(env)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_bytes_told_are_those_of_the_files(
        seed: u64,
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let env = Env::memory(seed);
        let mut engine = open(&env, Access::Create);
        for step in &steps {
            if matches!(step, Step::Reopen) {
                engine.close().unwrap();
                engine = open(&env, Access::Existing);
            }
            apply(&engine, step);
        }
        check(&env, &engine);
        engine.close().unwrap();
        // What was on disk is all that a reader of the stopped store tells.
        check(&env, &open(&env, Access::ReadOnly));
    }
}

#[test]
fn amplification_of_writes_counts_every_file_that_is_written() {
    let env = Env::memory(1);
    let engine = open(&env, Access::Create);
    assert_eq!(engine.stats().write_amplification(), None);
    for value_bytes in [100, 3000] {
        apply(
            &engine,
            &Step::Put {
                key: 1,
                value_bytes,
            },
        );
    }
    engine.flush().unwrap();
    let stats = engine.stats();
    let [_, tables, values, _] = told(&stats);
    assert!(stats.user_bytes > 3100 && stats.user_bytes < 3200);
    assert!(stats.value_append_bytes > 3000 && stats.value_append_bytes <= values);
    let written = stats.log_bytes + stats.value_append_bytes + tables;
    let expected = written as f64 / stats.user_bytes as f64;
    assert_eq!(stats.write_amplification(), Some(expected));
}
