//! Writers, readers and background threads at once, on a machine that is photographed: each read
//! at a version sees exactly that state, and each power cut leaves a prefix of the order in which
//! writes were appended, with everything acknowledged as synced.
//!
//! Versions are given and batches appended under one lock, as the layer above does, so the order is
//! known; flushes, compactions, syncs, reads and power cuts come in whatever order the machine
//! gives them.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use nokv_env::{Env, FileSystem, MemoryFileSystem, Random, SeededRandom};
use nokv_types::Version;
use parking_lot::Mutex;

use crate::{
    Engine,
    testing::{DIR, Moment, ObservedFileSystem, Oracle, options, seeds, still_env},
};

const WRITERS: u64 = 3;
const BATCHES_EACH: u64 = 60;

/// One photograph in so many moments.
const ONE_IN: u64 = 12;

struct Image {
    files: MemoryFileSystem,
    synced: u64,
    attempted: u64,
}

/// What the threads share.
struct History {
    oracle: Mutex<Oracle>,
    attempted: AtomicU64,
    synced: AtomicU64,
    is_over: AtomicBool,
    images: Mutex<Vec<Image>>,
}

#[test]
fn threads_and_power_cuts_agree_on_one_order() {
    let mut cuts = 0;
    for seed in seeds(2) {
        cuts += run(seed);
    }
    println!("{cuts} power cuts");
}

fn run(seed: u64) -> usize {
    let history = Arc::new(History {
        oracle: Mutex::default(),
        attempted: AtomicU64::new(0),
        synced: AtomicU64::new(0),
        is_over: AtomicBool::new(false),
        images: Mutex::default(),
    });
    let files = photographed(&history, seed);
    let env = Env::memory(seed).with_files(files);
    let engine = Engine::open(env, Path::new(DIR), options(seed)).unwrap();
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (engine, history) = (engine.clone(), &history);
                scope.spawn(move || write(&engine, history, seed ^ (writer << 32)))
            })
            .collect();
        for reader in 0..2 {
            let (engine, history) = (engine.clone(), &history);
            scope.spawn(move || read(&engine, history, seed ^ (reader << 48)));
        }
        for writer in writers {
            writer.join().unwrap();
        }
        history.is_over.store(true, Ordering::SeqCst);
    });
    let oracle = history.oracle.lock();
    oracle.check(&engine, oracle.last()).unwrap();
    engine.close().unwrap();
    let images = std::mem::take(&mut *history.images.lock());
    for image in &images {
        check(image, &oracle, seed).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
    images.len()
}

fn photographed(history: &Arc<History>, seed: u64) -> Arc<dyn FileSystem> {
    let memory = MemoryFileSystem::new();
    let (own, random) = (Arc::clone(history), SeededRandom::new(seed));
    let inner = Arc::new(memory.clone());
    let callback = move |_: Moment| {
        if random.once_in(ONE_IN) {
            // In this order: what is promised before the cut, attempted before or at it.
            let synced = own.synced.load(Ordering::SeqCst);
            let files = memory.crash(random.next_u64());
            let attempted = own.attempted.load(Ordering::SeqCst);
            own.images.lock().push(Image {
                files,
                synced,
                attempted,
            });
        }
    };
    Arc::new(ObservedFileSystem::new(inner, Arc::new(callback)))
}

fn write(engine: &Engine, history: &History, seed: u64) {
    let random = SeededRandom::new(seed);
    for _ in 0..BATCHES_EACH {
        let mut oracle = history.oracle.lock();
        let batch = oracle.random_batch(&random, 500);
        let number = oracle.last();
        history.attempted.store(number, Ordering::SeqCst);
        let point = engine.append(batch).unwrap();
        drop(oracle);
        assert!(
            engine.last_version().as_u64() >= number,
            "not visible on return"
        );
        if random.once_in(3) {
            engine.sync(point).unwrap();
            history.synced.fetch_max(number, Ordering::SeqCst);
        }
    }
}

/// Whatever was visible stays exactly as it was.
fn read(engine: &Engine, history: &History, seed: u64) {
    let random = SeededRandom::new(seed);
    while !history.is_over.load(Ordering::SeqCst) {
        let visible = engine.last_version().as_u64();
        let at = visible - random.below(visible.min(10) + 1);
        let oracle = history.oracle.lock().clone();
        oracle
            .check(engine, at)
            .unwrap_or_else(|error| panic!("at {at}: {error}"));
    }
}

fn check(image: &Image, oracle: &Oracle, seed: u64) -> Result<(), String> {
    let env = still_env(Arc::new(image.files.clone()));
    let engine = Engine::open(env, Path::new(DIR), options(seed)).map_err(|e| e.to_string())?;
    let kept = engine.last_version().as_u64();
    if kept < image.synced || kept > image.attempted {
        let (synced, attempted) = (image.synced, image.attempted);
        return Err(format!(
            "{kept} kept, {synced} synced, {attempted} attempted"
        ));
    }
    oracle.check(&engine, kept)?;
    oracle.check(&engine, Version::from_u64(kept / 2).as_u64())
}
