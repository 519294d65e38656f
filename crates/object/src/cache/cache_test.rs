//! Reads through the cache are reads: whatever the disk of the cache does, and whoever shares it.

use super::{BlockCache, CacheDirectory, CacheOptions, OnDamage};
use crate::{
    BlockStore, BodyReader, Error, MemoryBlocks, ReadOptions, UploadOptions, Uploader, Warmed,
    testing::{Fault, FaultStore, Operation as StoreOperation},
};
use bytes::Bytes;
use nokv_env::{
    EntryKind, Env, FaultFileSystem, FileSystem, ManualClock, MemoryFileSystem, OpenMode, Outcome,
    Random, Rule, SeededRandom, Trigger,
};
use nokv_types::{BLOCK_BYTES_MIN, Body, SessionId};
use proptest::prelude::*;
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

const STORE: [u8; 16] = [7; 16];
const DIR: &str = "/cache";
/// Bodies of every shape: packed, a block, blocks with a packed tail, longer than a chunk, not.
const SIZES: [usize; 7] = [5_000, 4_097, 19_999, 65_536, 70_000, 200_000, 12_000];

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.expect("a runtime").block_on(work)
}

/// A store with bodies in it.
struct World {
    store: Arc<MemoryBlocks>,
    sources: Vec<Bytes>,
    bodies: Vec<Body>,
    clock: Arc<ManualClock>,
}

impl World {
    fn new(seed: u64) -> Self {
        let store = Arc::new(MemoryBlocks::new());
        let source = |(seed, size): (u64, usize)| {
            let mut bytes = vec![0; size];
            SeededRandom::new(seed).fill(&mut bytes);
            Bytes::from(bytes)
        };
        let sources: Vec<Bytes> = (seed..).zip(SIZES).map(source).collect();
        let options = UploadOptions {
            block_bytes: 2 * BLOCK_BYTES_MIN,
            packed_bytes_max: 20_000,
            ..UploadOptions::default()
        };
        let bodies = run(async {
            let files = Arc::new(MemoryFileSystem::new());
            let blocks = Arc::clone(&store) as _;
            let uploader = Uploader::new(files, blocks, SessionId::new(7), options);
            let uploader = uploader.expect("legal options");
            let staging = sources.iter().map(|it| uploader.upload_bytes(it.clone()));
            let mut bodies = Vec::new();
            for staged in futures::future::try_join_all(staging).await? {
                bodies.push(staged.durable().await?);
            }
            Ok::<_, Error>(bodies)
        });
        let bodies = bodies.expect("uploads");
        Self {
            store,
            sources,
            bodies,
            clock: Arc::default(),
        }
    }

    /// A process: a reader with a cache of its own over shared files.
    fn process(&self, files: Arc<dyn FileSystem>, limit: u64) -> (BodyReader, Arc<BlockCache>) {
        let store = Arc::clone(&self.store) as _;
        process_at(Arc::clone(&self.clock), store, files, limit)
    }

    /// Reads everything, whole and in pieces.
    async fn check(&self, reader: &BodyReader) -> Result<(), Error> {
        for (source, body) in self.sources.iter().zip(&self.bodies) {
            // Trouble with the disk is over by the next body, so that there is more of it.
            self.clock.advance(Duration::from_secs(20));
            for start in (0..source.len()).step_by(9_973) {
                let end = (start + 4_096).min(source.len());
                let got = reader.read_range(body, start as u64..end as u64).await?;
                assert_eq!(&got[..], &source[start..end], "{start}..{end}");
            }
            assert_eq!(reader.read(body).await?, source);
        }
        Ok(())
    }
}

fn process(
    store: Arc<dyn BlockStore>,
    files: Arc<dyn FileSystem>,
    limit: u64,
) -> (BodyReader, Arc<BlockCache>) {
    process_at(Arc::new(ManualClock::new()), store, files, limit)
}

fn process_at(
    clock: Arc<ManualClock>,
    store: Arc<dyn BlockStore>,
    files: Arc<dyn FileSystem>,
    limit: u64,
) -> (BodyReader, Arc<BlockCache>) {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let seed = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut env = Env::memory(seed).with_files(Arc::clone(&files));
    env.clock = clock;
    let options = CacheOptions {
        dir: Some(DIR.into()),
        disk_bytes_max: Some(limit),
        free_bytes_min: 0,
        memory_bytes_max: 0,
    };
    let cache = BlockCache::open(&env, STORE, &options);
    let reader = BodyReader::new(files, store, ReadOptions::default()).expect("legal options");
    (reader.with_cache(Arc::clone(&cache)), cache)
}

/// A store that gives nothing.
fn dead() -> Arc<FaultStore> {
    Arc::new(FaultStore::new(Arc::new(MemoryBlocks::new()), |_| {
        Some(Fault::Refused(Error::Unavailable("down".to_owned())))
    }))
}

/// All files below a directory.
fn files_below(files: &dyn FileSystem, dir: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    for entry in files.list(dir).expect("listing") {
        let path = dir.join(&entry.name);
        match entry.kind {
            EntryKind::Directory => found.extend(files_below(files, &path)),
            _ => found.push((path, entry.size)),
        }
    }
    found
}

/// The files of entries, checksum files too.
fn entry_files(files: &dyn FileSystem) -> Vec<(PathBuf, u64)> {
    let mut found = files_below(files, Path::new(DIR));
    found.retain(|(path, _)| path.components().count() > 4);
    found
}

#[test]
fn a_warm_cache_needs_no_store_in_any_process() {
    let (world, files) = (World::new(1), Arc::new(MemoryFileSystem::new()));
    run(async {
        let (reader, cache) = world.process(files.clone(), 1 << 30);
        world.check(&reader).await.expect("a sound store");
        cache.flush().await;
        assert!(cache.stats().written > 0);
        let (reader, cache) = process(dead(), files.clone(), 1 << 30);
        world.check(&reader).await.expect("all is in the cache");
        assert_eq!(cache.stats().misses, 0);
    });
}

#[test]
fn what_another_process_adds_is_found() {
    let (world, files) = (World::new(2), Arc::new(MemoryFileSystem::new()));
    run(async {
        let (late, _cache) = process(dead(), files.clone(), 1 << 30);
        let miss = late.read(&world.bodies[5]).await;
        assert!(miss.is_err(), "nothing is there yet");
        let (reader, cache) = world.process(files.clone(), 1 << 30);
        world.check(&reader).await.expect("a sound store");
        cache.flush().await;
        world.check(&late).await.expect("found without telling");
    });
}

#[test]
fn every_damaged_file_is_found_and_fetched_again() {
    let (world, files) = (World::new(3), Arc::new(MemoryFileSystem::new()));
    run(async {
        let (reader, cache) = world.process(files.clone(), 1 << 30);
        world.check(&reader).await.expect("a sound store");
        cache.flush().await;
        let all = entry_files(&*files);
        assert!(
            all.iter()
                .any(|(path, _)| path.to_string_lossy().ends_with(".sums"))
        );
        for (number, (path, size)) in all.iter().enumerate() {
            let file = files.open(path, OpenMode::ReadWrite).expect("it is there");
            if number % 3 == 2 {
                file.set_len(size - 1).expect("cut");
                continue;
            }
            let (at, mut byte) = (number as u64 * 7_919 % size, [0]);
            file.read_exact_at(&mut byte, at).expect("read");
            file.write_at(&[byte[0] ^ 0x10], at).expect("flip");
        }
        let (reader, cache) = world.process(files.clone(), 1 << 30);
        world.check(&reader).await.expect("damage is fetched again");
        assert!(cache.stats().damaged > 0 && cache.stats().misses > 0);
        cache.flush().await;
        let (reader, _cache) = process(dead(), files.clone(), 1 << 30);
        world.check(&reader).await.expect("what was damaged is new");
    });
}

#[test]
fn a_power_cut_costs_fetches_only() {
    let world = World::new(4);
    for seed in 0..20 {
        let files = Arc::new(MemoryFileSystem::new());
        run(async {
            let (reader, cache) = world.process(files.clone(), 1 << 30);
            world.check(&reader).await.expect("a sound store");
            cache.flush().await;
            let after = Arc::new(files.crash(seed));
            let (reader, cache) = world.process(after.clone(), 1 << 30);
            world.check(&reader).await.expect("a sound store");
            cache.flush().await;
            let (reader, _cache) = process(dead(), after, 1 << 30);
            world.check(&reader).await.expect("kept again");
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Errors of the cache's disk, of any kind at any operation, are never the reader's.
    #[test]
    fn trouble_with_the_disk_is_not_the_readers(seed: u64, one_in in 2..12_u64, kind in 0..5_u8) {
        let world = World::new(seed % 8);
        let memory = MemoryFileSystem::new();
        let faults = FaultFileSystem::over_memory(&memory, seed);
        let outcome = match kind {
            0 => Outcome::DeviceError,
            1 => Outcome::NoSpace,
            2 => Outcome::TornWrite,
            3 => Outcome::ShortRead,
            _ => Outcome::Interrupted,
        };
        faults.add_rule(Rule {
            operations: Vec::new(),
            path_contains: DIR.to_owned(),
            trigger: Trigger::OnceIn(one_in),
            outcome,
        });
        run(async {
            for _ in 0..3 {
                let (reader, cache) = world.process(Arc::new(faults.clone()), 1 << 30);
                world.check(&reader).await.expect("the store is sound");
                cache.flush().await;
            }
            faults.clear_rules();
            let (reader, _cache) = world.process(Arc::new(faults.clone()), 1 << 30);
            world.check(&reader).await.expect("nothing torn was kept");
        });
    }
}

#[test]
fn a_full_disk_breaks_no_read() {
    let (world, files) = (World::new(5), Arc::new(MemoryFileSystem::new()));
    for limit in [100, 50_000, 300_000] {
        files.set_space_limit(Some(limit));
        run(async {
            let (reader, cache) = world.process(files.clone(), 1 << 30);
            world.check(&reader).await.expect("a sound store");
            cache.flush().await;
        });
    }
}

#[test]
fn all_processes_together_stay_within_the_limit() {
    let files = Arc::new(MemoryFileSystem::new());
    let limit = 1 << 20;
    let mut evicted = false;
    for round in 0..8_u8 {
        let world = World::new(u64::from(round));
        run(async {
            let mut caches = Vec::new();
            for number in 0..3 {
                let env = Env::memory(u64::from(round) * 3 + number).with_files(files.clone());
                let options = CacheOptions {
                    dir: Some(DIR.into()),
                    disk_bytes_max: Some(limit),
                    free_bytes_min: 0,
                    memory_bytes_max: 0,
                };
                // As many stores, whose blocks have the same ids.
                let cache = BlockCache::open(&env, [round; 16], &options);
                let blocks = Arc::clone(&world.store) as _;
                let reader = BodyReader::new(files.clone(), blocks, ReadOptions::default());
                let reader = reader.expect("legal").with_cache(Arc::clone(&cache));
                world.check(&reader).await.expect("a sound store");
                cache.flush().await;
                caches.push(cache);
            }
        });
        let bytes: u64 = entry_files(&*files).iter().map(|(_, size)| size).sum();
        assert!(bytes <= limit + 3 * limit / 64, "{bytes} bytes");
        evicted |= !files
            .exists(&Path::new(DIR).join("00".repeat(16)))
            .expect("a look");
    }
    assert!(evicted, "the first store's blocks had to go");
}

#[test]
fn a_unit_is_fetched_once_however_many_want_it() {
    let (world, files) = (World::new(6), Arc::new(MemoryFileSystem::new()));
    let counted = Arc::new(FaultStore::new(Arc::clone(&world.store) as _, |call| {
        assert_eq!(call.operation, StoreOperation::Get);
        assert_eq!(call.attempt, 0, "{:?} is fetched twice", call.blocks);
        None
    }));
    run(async {
        let reader = BodyReader::new(files, counted, ReadOptions::default());
        let cache = BlockCache::open(&Env::memory(0), STORE, &CacheOptions::default());
        let reader = reader.expect("legal options").with_cache(cache);
        let body = &world.bodies[3];
        let reads = (0..40_u64).map(|number| {
            let range = number * 1_000..number * 1_000 + 500;
            reader.read_range(body, range)
        });
        let got = futures::future::try_join_all(reads).await.expect("sound");
        for (number, got) in got.iter().enumerate() {
            assert_eq!(
                got[..],
                world.sources[3][number * 1_000..number * 1_000 + 500]
            );
        }
    });
}

#[test]
fn a_directory_that_is_something_else_is_left_alone() {
    let (world, files) = (World::new(7), Arc::new(MemoryFileSystem::new()));
    files.create_dir_all(Path::new(DIR)).expect("made");
    let mark = Path::new(DIR).join("CACHE");
    let file = files.open(&mark, OpenMode::Create).expect("made");
    file.write_at(b"nokv cache 9\n", 0).expect("written");
    run(async {
        let (reader, cache) = world.process(files.clone(), 1 << 30);
        world.check(&reader).await.expect("reads go on without");
        cache.flush().await;
        assert_eq!(cache.stats().written, 0);
    });
    assert!(entry_files(&*files).is_empty());
}

#[test]
fn a_warmed_cache_needs_no_store_and_costs_its_bytes_once() {
    let (world, files) = (World::new(8), Arc::new(MemoryFileSystem::new()));
    let told = AtomicU64::new(0);
    let on_bytes = |bytes| {
        told.fetch_add(bytes, Ordering::Relaxed);
    };
    run(async {
        let (reader, _cache) = world.process(files.clone(), 1 << 30);
        let warmed = reader.warm(&world.bodies, &on_bytes).await.expect("a disk");
        for ((warmed, source), body) in warmed.into_iter().zip(&world.sources).zip(&world.bodies) {
            let warmed = warmed.expect("a sound store");
            let bytes = source.len() as u64;
            assert_eq!((warmed.bytes, body.size()), (bytes, bytes));
            assert_eq!(warmed.fetched_bytes, bytes, "no body is inline");
        }
        let (reader, cache) = process(dead(), files.clone(), 1 << 30);
        world.check(&reader).await.expect("all is in the cache");
        assert_eq!(cache.stats().misses, 0);
        let again = reader.warm(&world.bodies, &|_| {}).await.expect("a disk");
        let fetched = |it: Result<Warmed, Error>| it.expect("nothing to fetch").fetched_bytes;
        assert_eq!(again.into_iter().map(fetched).sum::<u64>(), 0);
    });
    let all: u64 = world.sources.iter().map(|source| source.len() as u64).sum();
    assert_eq!(told.load(Ordering::Relaxed), all);
    run(async {
        let fresh: Arc<MemoryFileSystem> = Arc::default();
        fresh.set_space_limit(Some(10_000));
        let (reader, _cache) = world.process(fresh, 1 << 30);
        let warmed = reader.warm(&world.bodies, &|_| {}).await.expect("a disk");
        assert!(
            warmed.iter().any(Result::is_err),
            "what can't be kept is told"
        );
    });
}

#[test]
fn a_directory_can_be_looked_after() {
    let (world, files) = (World::new(9), Arc::new(MemoryFileSystem::new()));
    let env = Env::memory(1_000).with_files(files.clone());
    assert!(CacheDirectory::open(&env, Path::new(DIR)).is_err());
    run(async {
        let (reader, _cache) = world.process(files.clone(), 1 << 30);
        reader.warm(&world.bodies, &|_| {}).await.expect("a disk");
    });
    let directory = CacheDirectory::open(&env, Path::new(DIR)).expect("a cache");
    let entries = directory.entries().expect("a listing");
    let bytes: u64 = entries.iter().map(|entry| u64::from(entry.bytes)).sum();
    let stores = directory.stores().expect("a listing");
    assert_eq!((stores.len(), stores[0].bytes), (1, bytes));
    assert!(
        entries
            .iter()
            .all(|it| directory.check(it, OnDamage::Tell).is_ok())
    );
    let longest = entries
        .iter()
        .max_by_key(|entry| entry.bytes)
        .expect("some");
    let file = files
        .open(&longest.path, OpenMode::ReadWrite)
        .expect("it is there");
    file.write_at(&[1, 2, 3], 70_000).expect("damaged");
    let damaged = directory
        .check(longest, OnDamage::Tell)
        .expect_err("damaged");
    assert!(damaged.flaw.contains("69632"), "{}", damaged.flaw);
    assert!(directory.check(longest, OnDamage::Remove).is_err());
    assert!(
        directory.check(longest, OnDamage::Tell).is_ok(),
        "gone is sound"
    );
    assert_eq!(
        directory.entries().expect("a listing").len(),
        entries.len() - 1
    );
    let evictions = directory.evict_to(0).expect("evicted");
    assert_eq!(evictions.entry_count, entries.len() as u64 - 1);
    assert_eq!(evictions.remaining_bytes, 0);
    assert!(entry_files(&*files).is_empty());
}
