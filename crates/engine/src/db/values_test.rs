//! Large values: separated, found again in every place, collected, and accounted for exactly.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use nokv_env::{Env, File, FileSystem, MemoryFileSystem, OpenMode, SeededRandom};
use nokv_types::Version;

use crate::{
    Access, Batch, Direction, Durability, Engine, Error, KeyRange, Keyspace, Options, Retention,
    testing::{Oracle, still_env},
    vlog,
};

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
        value_file_bytes: 16 << 10,
        ..Options::default()
    }
}

/// A store on a disk in memory.
struct Store {
    files: MemoryFileSystem,
    env: Env,
    engine: Engine,
    version: u64,
}

impl Store {
    fn new(options: Options) -> Self {
        let files = MemoryFileSystem::new();
        let env = still_env(Arc::new(files.clone()));
        let engine = Engine::open(env.clone(), Path::new(DIR), options).unwrap();
        Self {
            files,
            env,
            engine,
            version: 0,
        }
    }

    fn reopen(&mut self, options: Options) -> Result<(), Error> {
        self.engine.clone().close()?;
        self.engine = Engine::open(self.env.clone(), Path::new(DIR), options)?;
        Ok(())
    }

    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.version += 1;
        let mut batch = Batch::new();
        batch.put(SPACE, key, value, Version::from_u64(self.version));
        self.engine.write(batch, Durability::Synced).unwrap();
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let record = self.engine.get(SPACE, key, Version::MAX).unwrap();
        record.map(|record| record.value.to_vec())
    }

    fn forget_the_past(&self) {
        self.engine.set_retention(Retention {
            horizon: Version::MAX,
            pins: Vec::new(),
        });
    }

    fn value_files(&self) -> Vec<PathBuf> {
        let entries = self.files.list(Path::new(DIR)).unwrap();
        let names = entries.iter().map(|entry| &entry.name);
        let own = names.filter(|name| name.ends_with(".vlog"));
        own.map(|name| Path::new(DIR).join(name)).collect()
    }

    fn open_file(&self, path: &Path) -> Arc<dyn File> {
        self.files.open(path, OpenMode::ReadWrite).unwrap()
    }
}

fn value(seed: u64, bytes: usize) -> Vec<u8> {
    let mut value = vec![0; bytes];
    nokv_env::Random::fill(&SeededRandom::new(seed), &mut value);
    value
}

#[test]
fn a_large_value_is_written_once_and_found_in_every_place() {
    let mut store = Store::new(options());
    let large = value(1, 5000);
    store.put(b"large", &large);
    store.put(b"small", b"in the tree");
    store.put(b"empty", b"");
    for place in ["memtable", "log", "read-only", "table", "bottom"] {
        match place {
            "log" => store.reopen(options()).unwrap(),
            "read-only" => {
                let access = Access::ReadOnly;
                store
                    .reopen(Options {
                        access,
                        ..options()
                    })
                    .unwrap();
            }
            "table" => {
                store.reopen(options()).unwrap();
                store.engine.flush().unwrap();
            }
            "bottom" => store.engine.compact_for_test().unwrap(),
            _ => {}
        }
        assert_eq!(store.get(b"large").as_ref(), Some(&large), "{place}");
        assert_eq!(store.get(b"small").unwrap(), b"in the tree", "{place}");
        assert_eq!(store.get(b"empty").unwrap(), b"", "{place}");
        for direction in [Direction::Forward, Direction::Reverse] {
            let scan =
                store
                    .engine
                    .scan(SPACE, KeyRange::prefix(b"large"), Version::MAX, direction);
            let found: Vec<_> = scan.unwrap().map(Result::unwrap).collect();
            assert_eq!(*found[0].1.value, large[..], "{place}");
        }
        assert_eq!(store.engine.verify().unwrap().value_count, 1, "{place}");
    }
    let stats = store.engine.stats();
    assert_eq!((stats.value_file_count, stats.value_dead_bytes), (1, 0));
    assert!(stats.value_bytes < 5200, "{stats:?}");
    assert!(
        stats.log_bytes + stats.flush_bytes + stats.compaction_write_bytes < 2000,
        "{stats:?}"
    );
}

#[test]
fn values_below_the_threshold_and_all_of_a_store_without_one_stay_in_the_tree() {
    let mut store = Store::new(options());
    store.put(b"k", &value(1, 99));
    assert_eq!(store.engine.stats().value_file_count, 0);
    let separation = None;
    let mut store = Store::new(Options {
        value_separation_bytes: separation,
        ..options()
    });
    store.put(b"k", &value(1, 9000));
    assert_eq!(store.engine.stats().value_file_count, 0);
    // What was separated before stays readable.
    let mut store = Store::new(options());
    store.put(b"k", &value(1, 9000));
    store
        .reopen(Options {
            value_separation_bytes: None,
            ..options()
        })
        .unwrap();
    store.put(b"l", &value(2, 9000));
    assert_eq!(store.get(b"k").unwrap(), value(1, 9000));
    assert_eq!(store.get(b"l").unwrap(), value(2, 9000));
    assert_eq!(store.engine.stats().value_file_count, 1);
}

#[test]
fn overwriting_ten_times_settles_near_the_live_size() {
    let mut store = Store::new(options());
    store.forget_the_past();
    let mut live = 0;
    for round in 0..10_u64 {
        live = 0;
        for number in 0..40_u64 {
            let value = value(round * 100 + number, 1000 + 50 * number as usize);
            live += value.len();
            store.put(&number.to_be_bytes(), &value);
        }
        store.engine.flush().unwrap();
        store.engine.compact_for_test().unwrap();
    }
    let stats = store.engine.stats();
    assert!(stats.value_collection_count > 0, "{stats:?}");
    let limit = live as u64 * 13 / 10;
    assert!(
        stats.value_bytes < limit,
        "{} of {live} live: {stats:?}",
        stats.value_bytes
    );
    let on_disk: u64 = store
        .value_files()
        .iter()
        .map(|path| store.open_file(path).len().unwrap())
        .sum();
    assert_eq!(on_disk, stats.value_bytes);
    store.engine.verify().unwrap();
    store.engine.collect_values().unwrap();
    assert_eq!(store.engine.stats().value_dead_bytes, 0);
    store.engine.verify().unwrap();
    store.reopen(options()).unwrap();
    assert_eq!(store.engine.stats().value_dead_bytes, 0);
    for number in 0..40_u64 {
        let expected = value(900 + number, 1000 + 50 * number as usize);
        assert_eq!(store.get(&number.to_be_bytes()).unwrap(), expected);
    }
}

#[test]
fn a_reader_keeps_the_values_that_it_may_ask_for() {
    let mut store = Store::new(options());
    store.forget_the_past();
    for number in 0..20_u64 {
        store.put(&number.to_be_bytes(), &value(number, 2000));
    }
    store.engine.flush().unwrap();
    let before = Version::from_u64(store.version);
    let scan = store
        .engine
        .scan(SPACE, KeyRange::all(), before, Direction::Forward)
        .unwrap();
    let files = store.value_files();
    for number in 0..20_u64 {
        store.put(&number.to_be_bytes(), &value(100 + number, 2000));
    }
    store.engine.collect_values().unwrap();
    assert!(files.iter().all(|path| store.files.exists(path).unwrap()));
    for (number, item) in (0..20).zip(scan) {
        assert_eq!(*item.unwrap().1.value, value(number, 2000)[..]);
    }
    store.engine.collect_values().unwrap();
    let left = store.value_files();
    assert!(
        files.iter().all(|path| !left.contains(path)),
        "{files:?} {left:?}"
    );
}

/// What tables and memtables say is live equals what a walk over all entries of all versions finds,
/// after whatever happened.
#[test]
fn the_account_of_live_values_is_exact() {
    for seed in 0..8 {
        let random = SeededRandom::new(seed);
        let mut oracle = Oracle::default();
        let mut store = Store::new(options());
        for step in 0..150 {
            match random.below(12) {
                0 => store.engine.flush().unwrap(),
                1 => store.engine.compact_for_test().unwrap(),
                2 => store.engine.collect_values().unwrap(),
                3 => store.engine.set_retention(Retention {
                    horizon: Version::from_u64(random.below(oracle.last() + 1)),
                    pins: Vec::new(),
                }),
                4 => store.reopen(options()).unwrap(),
                _ => {
                    let batch = oracle.random_batch(&random, 600);
                    store.engine.write(batch, Durability::Buffered).unwrap();
                }
            }
            if step % 10 == 9 {
                oracle.check(&store.engine, oracle.last()).unwrap();
                // A memtable counts what it was given twice, or was not given: tables do not.
                store.engine.flush().unwrap();
                recount(&store, seed);
            }
        }
    }
}

fn recount(store: &Store, seed: u64) {
    let stats = store.engine.stats();
    let counted = store.engine.count_values_for_test().unwrap();
    let live: u64 = counted.values().sum();
    let head_bytes = 64 * stats.value_file_count;
    assert_eq!(
        stats.value_bytes - head_bytes - stats.value_dead_bytes,
        live,
        "seed {seed}"
    );
    let said: BTreeMap<u64, u64> = store.engine.live_values_for_test();
    assert_eq!(said, counted, "seed {seed}");
}

#[test]
fn a_flipped_bit_of_any_byte_of_a_value_is_told_with_file_and_offset() {
    let mut store = Store::new(options());
    let large = value(3, 300);
    store.put(b"key", &large);
    store.put(b"other", &large);
    store.engine.flush().unwrap();
    let path = store
        .value_files()
        .into_iter()
        .find(|path| vlog_has(store.open_file(path).as_ref(), b"\x01key"))
        .unwrap();
    let file = store.open_file(&path);
    for offset in 64..64 + 28 + 4 + 300 {
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset).unwrap();
        file.write_at(&[byte[0] ^ (1 << (offset % 8))], offset)
            .unwrap();
        let found = store.engine.get(SPACE, b"key", Version::MAX);
        let Err(Error::Corrupt {
            file: name,
            offset: at,
            ..
        }) = found
        else {
            panic!("byte {offset}: {found:?}");
        };
        assert_eq!(
            (name, at),
            (path.display().to_string(), 64),
            "byte {offset}"
        );
        assert!(matches!(store.engine.verify(), Err(Error::Corrupt { .. })));
        file.write_at(&byte, offset).unwrap();
        assert_eq!(store.get(b"key").unwrap(), large);
    }
}

fn vlog_has(file: &dyn File, needle: &[u8]) -> bool {
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes[64 + 28..].starts_with(needle)
}

#[test]
fn a_value_file_that_is_gone_or_short_is_told_at_open() {
    for is_flushed in [false, true] {
        for is_cut in [false, true] {
            let mut store = Store::new(options());
            store.put(b"key", &value(3, 300));
            if is_flushed {
                store.engine.flush().unwrap();
            }
            store.engine.clone().close().unwrap();
            let [path] = &store.value_files()[..] else {
                panic!("one file")
            };
            if is_cut {
                store.open_file(path).set_len(200).unwrap();
            } else {
                store.files.remove(path).unwrap();
            }
            let opened = Engine::open(store.env.clone(), Path::new(DIR), options());
            if is_flushed && is_cut {
                // The table says how much is live, not where it ends: reading tells.
                let got = opened.unwrap().get(SPACE, b"key", Version::MAX);
                assert!(
                    matches!(&got, Err(Error::Corrupt { file, .. }) if file.ends_with(".vlog"))
                );
            } else {
                let Err(Error::Corrupt { file, .. }) = opened else {
                    panic!("opened")
                };
                assert_eq!(file, path.display().to_string());
            }
        }
    }
}

#[test]
fn the_listing_tells_live_dead_damaged_and_torn() {
    let mut store = Store::new(Options {
        value_buckets: 1,
        ..options()
    });
    store.forget_the_past();
    store.put(b"a", &value(1, 300));
    store.put(b"b", &value(2, 300));
    store.put(b"a", &value(3, 300));
    store.engine.flush().unwrap();
    store.put(b"c", &value(4, 300));
    store.engine.clone().close().unwrap();
    let dir = Path::new(DIR);
    let entry = 28 + 2 + 300;
    let [listing] = &vlog::list(&store.env, dir).unwrap()[..] else {
        panic!("one file")
    };
    assert_eq!((listing.entry_count, listing.bucket), (4, Some(0)));
    assert_eq!((listing.live_bytes, listing.dead_bytes), (4 * entry, 0));
    assert_eq!((listing.first_damage, listing.torn_bytes), (None, 0));
    let file = store.open_file(&store.value_files()[0]);
    file.write_at(b"!", 64 + entry + 50).unwrap();
    file.write_at(b"torn", 64 + 4 * entry).unwrap();
    let [listing] = &vlog::list(&store.env, dir).unwrap()[..] else {
        panic!("one file")
    };
    assert_eq!((listing.entry_count, listing.torn_bytes), (3, 4));
    assert_eq!(listing.first_damage, Some(64 + entry));
    file.write_at(b"!", 3).unwrap();
    let [listing] = &vlog::list(&store.env, dir).unwrap()[..] else {
        panic!("one file")
    };
    assert_eq!((listing.first_damage, listing.bucket), (Some(0), None));
}
