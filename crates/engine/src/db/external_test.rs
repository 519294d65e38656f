//! Stores whose writes an external log makes durable: after any crash, applying that log again from
//! the index that the store names gives exactly what it should be.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use nokv_env::{Env, FileSystem, MemoryFileSystem, SeededRandom};
use nokv_types::Version;
use parking_lot::Mutex;

use crate::{
    Access, Batch, Durability, Engine, Error, Keyspace, LogMode, Options,
    testing::{ObservedFileSystem, Oracle, still_env},
};

const DIR: &str = "/store";

fn options() -> Options {
    Options {
        log: LogMode::External,
        memtable_bytes: 16 << 10,
        block_bytes: 512,
        table_bytes: 8 << 10,
        level_base_bytes: 16 << 10,
        level0_tables: 2,
        cache_bytes: 64 << 10,
        ..Options::default()
    }
}

fn open(files: &Arc<dyn FileSystem>, options: Options) -> Result<Engine, Error> {
    Engine::open(still_env(Arc::clone(files)), Path::new(DIR), options)
}

/// Entry `index` of the external log, as a batch.
fn entry(oracle: &Oracle, index: u64) -> Batch {
    let mut batch = oracle.batch(index);
    batch.set_applied_index(index);
    batch
}

/// A disk as a power cut leaves it.
struct Image {
    files: MemoryFileSystem,
    /// The index that the store had named.
    durable: u64,
    attempted: u64,
}

fn check_image(image: &Image, oracle: &Oracle, random: &SeededRandom) -> Result<(), String> {
    let files: Arc<dyn FileSystem> = Arc::new(image.files.clone());
    let engine = open(&files, options()).map_err(|error| format!("open: {error}"))?;
    let applied = engine.applied_index();
    if applied < image.durable || applied > image.attempted {
        return Err(format!("{applied} applied, {} before", image.durable));
    }
    // What is there is the log up to that index and nothing of what comes after.
    if engine.last_version().as_u64() > applied {
        return Err(format!("{applied} applied, and {}", engine.last_version()));
    }
    oracle.check(&engine, applied)?;
    // The log may be applied from further back.
    let from = applied.saturating_sub(random.below(20)) + 1;
    for index in from..=image.attempted {
        let write = engine.write(entry(oracle, index), Durability::Synced);
        write.map_err(|error| format!("apply again: {error}"))?;
    }
    oracle.check(&engine, image.attempted)?;
    oracle.check(&engine, random.below(image.attempted + 1))
}

fn run(seed: u64) -> Result<u64, String> {
    let (memory, random) = (MemoryFileSystem::new(), SeededRandom::new(seed));
    let durable = Arc::new(AtomicU64::new(0));
    let attempted = Arc::new(AtomicU64::new(0));
    let images = Arc::new(Mutex::new(Vec::new()));
    let crash_seeds = SeededRandom::new(seed ^ 0xC0FFEE);
    let (own, durable_now, attempted_now) = (memory.clone(), durable.clone(), attempted.clone());
    let taken = Arc::clone(&images);
    let photograph = move |_| {
        // Of so many moments, enough over all seeds.
        if !crash_seeds.once_in(20) {
            return;
        }
        let image = Image {
            files: own.crash(nokv_env::Random::next_u64(&crash_seeds)),
            durable: durable_now.load(Ordering::SeqCst),
            attempted: attempted_now.load(Ordering::SeqCst),
        };
        taken.lock().push(image);
    };
    let observed = ObservedFileSystem::new(Arc::new(memory), Arc::new(photograph));
    let files: Arc<dyn FileSystem> = Arc::new(observed);
    let mut oracle = Oracle::default();
    let mut engine = open(&files, options()).map_err(|error| error.to_string())?;
    let mut crashes = 0;
    for _ in 0..100 {
        match random.below(24) {
            0 => engine.flush().map_err(|error| error.to_string())?,
            1 => engine
                .compact_for_test()
                .map_err(|error| error.to_string())?,
            2 => {
                drop(engine);
                engine = open(&files, options()).map_err(|error| error.to_string())?;
                // Closing flushes.
                assert_eq!(engine.applied_index(), oracle.last(), "seed {seed}");
            }
            // An entry that does nothing.
            3 => drop(oracle.push(Vec::new())),
            _ => drop(oracle.random_batch(&random, 600)),
        }
        if oracle.last() > attempted.load(Ordering::SeqCst) {
            attempted.store(oracle.last(), Ordering::SeqCst);
            let write = engine.write(entry(&oracle, oracle.last()), Durability::Buffered);
            write.map_err(|error| error.to_string())?;
        }
        durable.store(engine.applied_index(), Ordering::SeqCst);
        for image in std::mem::take(&mut *images.lock()) {
            check_image(&image, &oracle, &random)?;
            crashes += 1;
        }
    }
    Ok(crashes)
}

#[test]
fn the_log_applied_again_from_the_named_index_gives_what_was() {
    let runs = (0..8).map(|seed| run(seed).unwrap_or_else(|error| panic!("seed {seed}: {error}")));
    let crashes: u64 = runs.sum();
    println!("{crashes} crashes");
    assert!(crashes > 100, "{crashes} crashes");
}

#[test]
fn a_store_keeps_the_mode_that_it_was_made_with() {
    let own = || Options {
        log: LogMode::Own,
        ..options()
    };
    for (made, other) in [(own(), options()), (options(), own())] {
        let files: Arc<dyn FileSystem> = Arc::new(MemoryFileSystem::new());
        drop(open(&files, made.clone()).unwrap());
        assert!(matches!(
            open(&files, other.clone()),
            Err(Error::Invalid(_))
        ));
        // Whoever only reads takes either.
        let options = Options {
            access: Access::ReadOnly,
            ..other
        };
        drop(open(&files, options).unwrap());
        drop(open(&files, made).unwrap());
    }
}

#[test]
fn a_batch_says_its_index_exactly_when_there_is_an_external_log() {
    for log in [LogMode::Own, LogMode::External] {
        let options = Options { log, ..options() };
        let engine = Engine::open(Env::memory(1), Path::new(DIR), options).unwrap();
        let mut batch = Batch::new();
        batch.put(Keyspace::new(1), b"k", b"v", Version::from_u64(1));
        if log == LogMode::Own {
            batch.set_applied_index(1);
        }
        let outcome = engine.write(batch, Durability::Buffered);
        assert!(matches!(outcome, Err(Error::Invalid(_))), "{log:?}");
        assert_eq!(engine.stats().batch_count, 0);
    }
}

#[test]
fn a_store_is_turned_over_to_an_external_log() {
    let files: Arc<dyn FileSystem> = Arc::new(MemoryFileSystem::new());
    let own = Options {
        log: LogMode::Own,
        ..options()
    };
    let engine = open(&files, own.clone()).unwrap();
    let mut oracle = Oracle::default();
    let random = SeededRandom::new(4);
    for _ in 0..50 {
        let batch = oracle.random_batch(&random, 600);
        engine.write(batch, Durability::Buffered).unwrap();
    }
    let other = engine.clone();
    assert!(matches!(
        engine.into_external_log(7),
        Err(Error::Invalid(_))
    ));
    other.into_external_log(50).unwrap();
    assert!(matches!(open(&files, own), Err(Error::Invalid(_))));
    let engine = open(&files, options()).unwrap();
    assert_eq!(engine.applied_index(), 50);
    oracle.check(&engine, 50).unwrap();
    drop(oracle.random_batch(&random, 600));
    engine
        .write(entry(&oracle, 50), Durability::Buffered)
        .unwrap();
    engine
        .write(entry(&oracle, 51), Durability::Buffered)
        .unwrap();
    oracle.check(&engine, 51).unwrap();
    let names = files.list(Path::new(DIR)).unwrap();
    assert!(names.iter().all(|entry| !entry.name.ends_with(".wal")));
}
