//! A checkpoint is the store at one version, whatever goes on beside it, and whole or absent after
//! a crash.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use nokv_env::{
    Env, FaultFileSystem, FileSystem, MemoryFileSystem, Operation, Outcome, Rule, SeededRandom,
    Trigger,
};
use parking_lot::Mutex;

use crate::{
    Access, Durability, Engine, Error, Options,
    testing::{Oracle, cut_everywhere, still_env},
};

const DIR: &str = "/store";
const TARGET: &str = "/backups/one";

fn options() -> Options {
    Options {
        memtable_bytes: 16 << 10,
        segment_bytes: 8 << 10,
        block_bytes: 512,
        table_bytes: 8 << 10,
        level_base_bytes: 16 << 10,
        level0_tables: 2,
        value_separation_bytes: Some(200),
        value_file_bytes: 16 << 10,
        ..Options::default()
    }
}

fn open(env: &Env, dir: &str) -> Result<Engine, Error> {
    let access = Access::Existing;
    Engine::open(
        env.clone(),
        Path::new(dir),
        Options {
            access,
            ..options()
        },
    )
}

fn filled(env: &Env, seed: u64, count: u64) -> (Oracle, Engine) {
    let random = SeededRandom::new(seed);
    let mut oracle = Oracle::default();
    let engine = Engine::open(env.clone(), Path::new(DIR), options()).unwrap();
    for _ in 0..count {
        let batch = oracle.random_batch(&random, 600);
        engine.write(batch, Durability::Buffered).unwrap();
    }
    (oracle, engine)
}

#[test]
fn checkpoints_beside_writers_are_states_of_the_store() {
    let env = Env::memory(7);
    let engine = Engine::open(env.clone(), Path::new(DIR), options()).unwrap();
    let oracle = Mutex::new(Oracle::default());
    let is_done = AtomicBool::new(false);
    let mut made = Vec::new();
    thread::scope(|scope| {
        for seed in 0..3 {
            let (engine, oracle, is_done) = (&engine, &oracle, &is_done);
            scope.spawn(move || {
                let random = SeededRandom::new(seed);
                while !is_done.load(Ordering::Relaxed) {
                    // Versions go up in the order of the log.
                    let mut oracle = oracle.lock();
                    let batch = oracle.random_batch(&random, 300);
                    engine.write(batch, Durability::Buffered).unwrap();
                }
            });
        }
        for number in 0..12 {
            let target = format!("/backups/{number}");
            let checkpoint = engine.checkpoint(Path::new(&target)).unwrap();
            made.push((target, checkpoint));
        }
        is_done.store(true, Ordering::Relaxed);
    });
    let oracle = oracle.into_inner();
    for (target, checkpoint) in made {
        let copy = open(&env, &target).unwrap();
        assert_eq!(copy.last_version(), checkpoint.version);
        let version = checkpoint.version.as_u64();
        oracle.check(&copy, version).unwrap();
        oracle.check(&copy, version / 2).unwrap();
        assert!(copy.verify().unwrap().table_count > 0 || version < 50);
    }
    oracle.check(&engine, oracle.last()).unwrap();
}

#[test]
fn store_and_checkpoint_go_their_own_ways() {
    let env = still_env(Arc::new(MemoryFileSystem::new()));
    let (oracle, engine) = filled(&env, 2, 80);
    let checkpoint = engine.checkpoint(Path::new(TARGET)).unwrap();
    assert!(checkpoint.copied_bytes < checkpoint.byte_count);
    let (mut here, mut there) = (oracle.clone(), oracle);
    let copy = open(&env, TARGET).unwrap();
    for (own, store, seed) in [(&mut here, &engine, 5), (&mut there, &copy, 6)] {
        let random = SeededRandom::new(seed);
        for _ in 0..80 {
            let batch = own.random_batch(&random, 600);
            store.write(batch, Durability::Buffered).unwrap();
        }
    }
    engine.compact_for_test().unwrap();
    drop((engine, copy));
    for (own, dir) in [(&here, DIR), (&there, TARGET)] {
        let store = open(&env, dir).unwrap();
        own.check(&store, own.last()).unwrap();
        own.check(&store, 80).unwrap();
    }
}

#[test]
fn a_folder_with_something_in_it_is_refused() {
    let env = still_env(Arc::new(MemoryFileSystem::new()));
    let (_, engine) = filled(&env, 3, 10);
    env.files.create_dir_all(Path::new(TARGET)).unwrap();
    engine.checkpoint(Path::new(TARGET)).unwrap();
    for taken in [TARGET, DIR] {
        let refused = engine.checkpoint(Path::new(taken));
        assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    }
}

#[test]
fn a_failure_leaves_nothing_and_what_was_held_back_is_removed() {
    let files = MemoryFileSystem::new();
    let fault = FaultFileSystem::new(Arc::new(files.clone()), 1);
    let env = still_env(Arc::new(fault.clone()));
    let (oracle, engine) = filled(&env, 4, 120);
    for operation in [Operation::Link, Operation::Rename, Operation::SyncDir] {
        fault.add_rule(Rule {
            operations: vec![operation],
            path_contains: "/backups".to_owned(),
            trigger: Trigger::Nth(1),
            outcome: Outcome::NoSpace,
        });
        assert!(
            engine.checkpoint(Path::new(TARGET)).is_err(),
            "{operation:?}"
        );
        assert!(!files.exists(Path::new("/backups/one.partial")).unwrap());
        fault.clear_rules();
    }
    engine.checkpoint(Path::new(TARGET)).unwrap();
    oracle
        .check(&open(&env, TARGET).unwrap(), oracle.last())
        .unwrap();
}

#[test]
fn a_captured_file_keeps_its_name() {
    let files = MemoryFileSystem::new();
    let env = still_env(Arc::new(files.clone()));
    let (_, engine) = filled(&env, 6, 60);
    engine.flush().unwrap();
    let names = || {
        let entries = files.list(Path::new(DIR)).unwrap();
        let names = entries.into_iter().map(|entry| entry.name);
        names.filter(|name| name.ends_with(".table") || name.ends_with(".wal"))
    };
    let before: Vec<String> = names().collect();
    let (capture, other) = (engine.capture().unwrap(), engine.capture().unwrap());
    engine.compact_for_test().unwrap();
    drop(other);
    let kept: Vec<String> = names().filter(|name| before.contains(name)).collect();
    assert_eq!(kept, before);
    drop(capture);
    assert!(before.iter().any(|name| !names().any(|now| now == *name)));
}

#[test]
fn a_checkpoint_that_was_cut_off_anywhere_is_whole_or_absent() {
    let files = MemoryFileSystem::new();
    let env = still_env(Arc::new(files.clone()));
    let (oracle, engine) = filled(&env, 5, 30);
    engine.close().unwrap();
    let at = oracle.last();
    cut_everywhere(
        &files,
        |env| {
            let engine = open(env, DIR)?;
            engine.checkpoint(Path::new(TARGET)).map(drop)
        },
        |env| {
            if env.files.exists(Path::new(TARGET)).unwrap() {
                let copy = open(env, TARGET).unwrap();
                oracle.check(&copy, at).unwrap();
                return;
            }
            let engine = open(env, DIR).unwrap();
            oracle.check(&engine, at).unwrap();
            engine.checkpoint(Path::new(TARGET)).unwrap();
            oracle.check(&open(env, TARGET).unwrap(), at).unwrap();
        },
    );
}
