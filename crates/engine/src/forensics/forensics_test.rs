//! Damage of each kind of file is named; a repair brings the store back and tells all that is lost;
//! a healthy store is left alone.

use std::{path::Path, sync::Arc};

use nokv_env::{Env, FileSystem, MemoryFileSystem, OpenMode, SeededRandom};

use super::{StoppedStore, Verification, VerifyOptions};
use crate::{
    Access, Durability, Engine, Error, Options,
    testing::{Oracle, cut_everywhere, still_env},
};

const DIR: &str = "/store";

fn options() -> Options {
    Options {
        memtable_bytes: 16 << 10,
        segment_bytes: 8 << 10,
        block_bytes: 512,
        table_bytes: 8 << 10,
        level_base_bytes: 16 << 10,
        level0_tables: 2,
        access: Access::Create,
        value_separation_bytes: Some(350),
        value_file_bytes: 4 << 10,
        ..Options::default()
    }
}

/// A closed store with tables on several levels, and a log.
fn closed(seed: u64) -> (MemoryFileSystem, Oracle) {
    let files = MemoryFileSystem::new();
    let env = still_env(Arc::new(files.clone()));
    let random = SeededRandom::new(seed);
    let mut oracle = Oracle::default();
    let engine = Engine::open(env, Path::new(DIR), options()).unwrap();
    for step in 1..=90 {
        let batch = oracle.random_batch(&random, 500);
        engine.write(batch, Durability::Buffered).unwrap();
        if step % 30 == 0 {
            engine.flush().unwrap();
        }
        if step == 60 {
            engine.compact_for_test().unwrap();
        }
    }
    for _ in 0..12 {
        let batch = oracle.random_batch(&random, 300);
        engine.write(batch, Durability::Buffered).unwrap();
    }
    engine.close().unwrap();
    (files, oracle)
}

fn stopped(env: &Env) -> StoppedStore {
    StoppedStore::open(env.clone(), Path::new(DIR)).unwrap()
}

fn verified(env: &Env) -> Verification {
    stopped(env)
        .verify(&VerifyOptions::default(), &mut |_| {})
        .unwrap()
}

/// What a repair leaves: a store that opens and is whole. With nothing lost, nothing has changed.
fn repair_and_check(env: &Env, oracle: &Oracle, what: &str) -> bool {
    let store = stopped(env);
    let plan = store.plan_repair().unwrap();
    store.repair(&plan).unwrap();
    drop(store);
    let found = verified(env);
    assert!(
        found.damages.is_empty(),
        "{what}: {:?}\n{plan:#?}",
        found.damages
    );
    assert!(stopped(env).plan_repair().unwrap().is_empty(), "{what}");
    let engine = Engine::open(env.clone(), Path::new(DIR), options());
    let engine = engine.unwrap_or_else(|error| panic!("{what}: {error}\n{plan:#?}"));
    assert!(engine.verify().is_ok(), "{what}");
    let is_lossless = plan.losses.is_empty();
    let is_certain = plan.losses.iter().any(|loss| loss.is_certain);
    // Without the manifest tables can be missing for a good reason.
    if is_lossless || (what.contains(".manifest") && !is_certain) {
        for at in [oracle.last(), 45] {
            let same = oracle.check(&engine, at);
            same.unwrap_or_else(|error| panic!("{what} at {at}: {error}\n{plan:#?}"));
        }
    }
    // It goes on working.
    let mut batch = crate::Batch::new();
    let version = nokv_types::Version::from_u64(oracle.last() + 1);
    batch.put(crate::Keyspace::new(9), b"after", b"repair", version);
    engine.write(batch, Durability::Synced).unwrap();
    engine.compact_for_test().unwrap();
    is_lossless
}

fn names(files: &MemoryFileSystem) -> Vec<(String, u64)> {
    let entries = files.list(Path::new(DIR)).unwrap();
    let named = entries.into_iter().map(|entry| (entry.name, entry.size));
    named.filter(|(name, _)| name != "LOCK").collect()
}

fn flip(files: &MemoryFileSystem, name: &str, bit: u64) {
    let file = files
        .open(&Path::new(DIR).join(name), OpenMode::ReadWrite)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, bit / 8).unwrap();
    byte[0] ^= 1 << (bit % 8);
    file.write_at(&byte, bit / 8).unwrap();
}

fn env_of(files: &MemoryFileSystem) -> Env {
    still_env(Arc::new(files.clone()))
}

#[test]
fn a_healthy_store_is_left_alone() {
    for seed in 0..6 {
        let (files, oracle) = closed(seed);
        let env = env_of(&files);
        let found = verified(&env);
        assert_eq!(found.damages, [], "seed {seed}");
        assert!(found.table_count > 1 && found.record_count > 0 && found.edit_count > 1);
        let before = names(&files);
        let plan = stopped(&env).plan_repair().unwrap();
        assert!(plan.is_empty() && plan.actions.is_empty());
        stopped(&env).repair(&plan).unwrap();
        assert_eq!(names(&files), before);
        let engine = Engine::open(env, Path::new(DIR), options()).unwrap();
        oracle.check(&engine, oracle.last()).unwrap();
        assert_eq!(engine.verify().unwrap().damages, []);
    }
}

#[test]
fn what_a_crash_tears_is_no_damage() {
    for seed in 0..16 {
        let files = MemoryFileSystem::new();
        let env = env_of(&files);
        let random = SeededRandom::new(seed);
        let mut oracle = Oracle::default();
        let engine = Engine::open(env, Path::new(DIR), options()).unwrap();
        for step in 0..40 {
            let batch = oracle.random_batch(&random, 600);
            let durability = if step % 7 == 3 {
                Durability::Synced
            } else {
                Durability::Buffered
            };
            engine.write(batch, durability).unwrap();
            if step % 15 == 14 {
                engine.flush().unwrap();
            }
        }
        let image = env_of(&files.crash(seed));
        assert_eq!(verified(&image).damages, [], "seed {seed}");
        Engine::open(image, Path::new(DIR), options()).unwrap();
    }
}

#[test]
fn every_kind_of_damage_is_named_and_repaired() {
    let (files, oracle) = closed(11);
    let random = SeededRandom::new(12);
    let (mut harmless, mut saved, mut lossy) = (0, 0, 0);
    for (name, size) in names(&files) {
        for _ in 0..8 {
            let image = files.crash(1);
            let bit = random.below(size * 8);
            flip(&image, &name, bit);
            let env = env_of(&image);
            let what = format!("bit {bit} of {name}");
            let found = verified(&env);
            if found.damages.is_empty() {
                // Space written ahead of the log, and values that nothing points at, are nobody's.
                let may_be = name.ends_with(".wal") || name.ends_with(".vlog");
                assert!(may_be, "{what} was not noticed");
                let engine = Engine::open(env, Path::new(DIR), options()).unwrap();
                oracle.check(&engine, oracle.last()).unwrap();
                harmless += 1;
                continue;
            }
            assert!(
                found.damages.iter().any(|d| d.file == name),
                "{what}: {found:?}"
            );
            if repair_and_check(&env, &oracle, &what) {
                saved += 1;
            } else {
                lossy += 1;
            }
        }
    }
    println!("{harmless} harmless, {saved} repaired without loss, {lossy} with");
    assert!(saved > 20 && lossy > 10);
}

#[test]
fn files_that_are_gone_or_cut_off_are_survived() {
    let (files, oracle) = closed(21);
    for (name, size) in names(&files) {
        for cut in [None, Some(0), Some(size / 2), Some(size - 1)] {
            let image = files.crash(1);
            let path = Path::new(DIR).join(&name);
            match cut {
                None => image.remove(&path).unwrap(),
                Some(length) => {
                    let file = image.open(&path, OpenMode::ReadWrite).unwrap();
                    file.set_len(length).unwrap();
                }
            }
            let env = env_of(&image);
            let what = format!("{name} cut to {cut:?}");
            if verified(&env).damages.is_empty() {
                // A mark that is gone promises nothing.
                let may_be = [".wal", ".vlog", "SYNCED"]
                    .iter()
                    .any(|end| name.ends_with(end));
                assert!(may_be, "{what} was not noticed");
                Engine::open(env, Path::new(DIR), options()).unwrap();
                continue;
            }
            let is_lossless = repair_and_check(&env, &oracle, &what);
            if name == "CURRENT" || name == "SYNCED" {
                assert!(is_lossless, "{what}");
            }
        }
    }
}

#[test]
fn several_damaged_files_at_once_are_survived() {
    let (files, oracle) = closed(31);
    for seed in 0..12 {
        let random = SeededRandom::new(seed);
        let image = files.crash(1);
        for (name, size) in names(&image) {
            if random.below(3) == 0 {
                flip(&image, &name, random.below(size * 8));
            }
        }
        repair_and_check(&env_of(&image), &oracle, &format!("seed {seed}"));
    }
}

#[test]
fn a_repair_that_was_cut_off_anywhere_is_done_again() {
    for name in ["CURRENT", ".manifest", ".table"] {
        let (files, oracle) = closed(41);
        let (file, size) = names(&files)
            .into_iter()
            .find(|(other, _)| other.ends_with(name))
            .unwrap();
        // The footer of a table: everything else of it can be saved.
        flip(&files, &file, (size - 10) * 8);
        let image = files.crash(2);
        cut_everywhere(
            &image,
            |env| {
                let store = StoppedStore::open(env.clone(), Path::new(DIR))?;
                let plan = store.plan_repair()?;
                store.repair(&plan)
            },
            |env| {
                let store = stopped(env);
                let plan = store.plan_repair().unwrap();
                store.repair(&plan).unwrap();
                drop(store);
                let engine = Engine::open(env.clone(), Path::new(DIR), options()).unwrap();
                let same = oracle.check(&engine, oracle.last());
                same.unwrap_or_else(|error| panic!("{file}: {error}\n{plan:#?}"));
            },
        );
    }
}

#[test]
fn a_store_in_use_and_a_folder_without_one_are_refused() {
    let (files, _) = closed(51);
    let env = env_of(&files);
    let engine = Engine::open(env.clone(), Path::new(DIR), options()).unwrap();
    let refused = StoppedStore::open(env.clone(), Path::new(DIR));
    assert!(matches!(refused, Err(Error::Busy { .. })), "{refused:?}");
    drop(engine);
    for dir in ["/nothing", "/"] {
        let refused = StoppedStore::open(env.clone(), Path::new(dir));
        assert!(
            matches!(refused, Err(Error::NotFound { .. })),
            "{refused:?}"
        );
    }
}

#[test]
fn listings_show_what_is_there() {
    let (files, oracle) = closed(61);
    let env = env_of(&files);
    let store = stopped(&env);
    let summary = store.summary().unwrap();
    assert_eq!(summary.manifest_damage, None);
    assert_eq!(
        (summary.unlisted_tables, summary.missing_tables),
        (vec![], vec![])
    );
    let tables = store.tables().unwrap();
    let listed: u64 = summary.levels.iter().map(|level| level.table_count).sum();
    assert_eq!(tables.len() as u64, listed);
    for table in &tables {
        let blocks = store.blocks(table.number).unwrap();
        let data = blocks.iter().filter(|block| block.content == "data");
        assert_eq!(
            data.map(|block| block.entry_count).sum::<u64>(),
            table.entry_count
        );
        let total: u64 = blocks.iter().map(|block| block.bytes).sum();
        assert_eq!(total + 60, table.bytes);
    }
    let records: u64 = store
        .segments()
        .unwrap()
        .iter()
        .map(|s| s.record_count)
        .sum();
    assert_eq!(store.records(0, usize::MAX).unwrap().len() as u64, records);
    let last = store.records(oracle.last(), 5).unwrap();
    assert_eq!(last.len(), 1);
    assert!(
        last[0]
            .operations
            .iter()
            .all(|op| op.version == oracle.last())
    );
    let manifests = store.manifests().unwrap();
    assert!(manifests.iter().any(|manifest| manifest.is_current));
}
