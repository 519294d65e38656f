//! Values that expire, by a clock that the test moves.

use std::{path::Path, sync::Arc, time::Duration};

use nokv_env::{Env, FileSystem, ManualClock, MemoryFileSystem, SeededRandom};
use nokv_types::Version;

use crate::{
    Batch, Direction, Durability, Engine, KeyRange, Keyspace, Options, Retention, Stats,
    testing::{Oracle, still_env},
};

const SPACE: Keyspace = Keyspace::new(1);

/// A store whose clock the test moves.
struct Store {
    env: Env,
    clock: Arc<ManualClock>,
    engine: Engine,
}

fn options() -> Options {
    Options {
        memtable_bytes: 16 << 10,
        block_bytes: 512,
        table_bytes: 8 << 10,
        level_base_bytes: 16 << 10,
        level0_tables: 2,
        ..Options::default()
    }
}

impl Store {
    fn new() -> Self {
        let files: Arc<dyn FileSystem> = Arc::new(MemoryFileSystem::new());
        let clock = Arc::new(ManualClock::new());
        let mut env = still_env(files);
        env.clock = Arc::clone(&clock) as Arc<dyn nokv_env::Clock>;
        let engine = Engine::open(env.clone(), Path::new("/store"), options()).unwrap();
        Self { env, clock, engine }
    }

    fn reopen(self) -> Self {
        let Self { env, clock, engine } = self;
        engine.close().unwrap();
        let engine = Engine::open(env.clone(), Path::new("/store"), options()).unwrap();
        Self { env, clock, engine }
    }

    fn now(&self) -> Version {
        Version::from_millis(self.env.clock.now_millis())
    }

    /// Writes at the present, to expire after so many seconds; the version.
    fn put(&self, key: &[u8], value: &[u8], seconds: Option<u64>) -> Version {
        let version = self.engine.last_version().advance(self.now().millis());
        let mut batch = Batch::new();
        match seconds {
            Some(seconds) => {
                let expires_at = Version::from_millis(version.millis() + seconds * 1000);
                batch.put_expiring(SPACE, key, value, version, expires_at);
            }
            None => batch.put(SPACE, key, value, version),
        }
        self.engine.write(batch, Durability::Buffered).unwrap();
        version
    }

    fn get(&self, key: &[u8], at: Version) -> Option<Vec<u8>> {
        let one = self.engine.get(SPACE, key, at).unwrap();
        let many = self.engine.multi_get(SPACE, &[key], at).unwrap();
        assert_eq!(many, std::slice::from_ref(&one));
        for direction in [Direction::Forward, Direction::Reverse] {
            let scan = self
                .engine
                .scan(SPACE, KeyRange::prefix(key), at, direction);
            let own = scan
                .unwrap()
                .map(Result::unwrap)
                .find(|(other, _)| other == key);
            assert_eq!(own.map(|(_, record)| record), one, "{direction:?}");
        }
        one.map(|record| record.value.to_vec())
    }

    fn stats(&self) -> Stats {
        self.engine.stats()
    }
}

#[test]
fn an_expired_value_hides_what_it_replaced_and_stays_in_the_past() {
    let mut store = Store::new();
    let first = store.put(b"k", b"for ever", None);
    let second = store.put(b"k", b"for a while", Some(10));
    let large = vec![7; 5000];
    store.put(b"large", &large, Some(10));
    for place in ["memtable", "log", "table", "bottom"] {
        match place {
            "log" => store = store.reopen(),
            "table" => store.engine.flush().unwrap(),
            "bottom" => store.engine.compact_for_test().unwrap(),
            _ => {}
        }
        assert_eq!(
            store.get(b"k", Version::MAX).unwrap(),
            b"for a while",
            "{place}"
        );
        assert_eq!(store.get(b"large", Version::MAX).unwrap(), large, "{place}");
        let record = store.engine.get(SPACE, b"k", second).unwrap().unwrap();
        let expires_at = Version::from_millis(second.millis() + 10_000);
        assert_eq!(record.expires_at, Some(expires_at));
        assert_eq!(store.get(b"k", first).unwrap(), b"for ever", "{place}");
        // A read in the future is a read now.
        assert_eq!(store.get(b"k", expires_at.next()).unwrap(), b"for a while");
    }
    store.clock.advance(Duration::from_secs(9));
    assert_eq!(store.get(b"k", Version::MAX).unwrap(), b"for a while");
    store.clock.advance(Duration::from_secs(1));
    for place in ["bottom", "pruned"] {
        assert_eq!(store.get(b"k", Version::MAX), None, "{place}");
        assert_eq!(store.get(b"large", Version::MAX), None, "{place}");
        if place == "bottom" {
            // Nothing may go: all of history is retained.
            store.engine.compact_for_test().unwrap();
            assert_eq!(store.get(b"k", second).unwrap(), b"for a while", "{place}");
            assert_eq!(store.get(b"k", first).unwrap(), b"for ever", "{place}");
        }
        // A write in between makes the past a version below the newest.
        store.put(b"other", b"", None);
        assert_eq!(store.get(b"k", Version::MAX), None, "{place}");
        store.engine.set_retention(Retention {
            horizon: Version::MAX,
            pins: Vec::new(),
        });
        store.engine.flush().unwrap();
        store.engine.compact_for_test().unwrap();
    }
    let bytes: u64 = store.stats().levels.iter().map(|level| level.bytes).sum();
    assert!(bytes < 2000, "{bytes} bytes stay");
}

#[test]
fn without_history_what_has_not_expired_is_kept_and_a_pin_keeps_what_has() {
    for is_pinned in [true, false] {
        let store = Store::new();
        store.put(b"a", b"1", Some(10));
        let pin = store.put(b"b", b"2", Some(100));
        store.engine.set_retention(Retention {
            horizon: Version::MAX,
            pins: is_pinned.then_some(pin).into_iter().collect(),
        });
        for (seconds, a, b) in [(0, true, true), (11, false, true), (100, false, false)] {
            store.clock.advance(Duration::from_secs(seconds));
            store.put(b"other", b"", None);
            store.engine.flush().unwrap();
            store.engine.compact_for_test().unwrap();
            assert_eq!(store.get(b"a", Version::MAX).is_some(), a, "{seconds}");
            assert_eq!(store.get(b"b", Version::MAX).is_some(), b, "{seconds}");
            if is_pinned {
                assert_eq!(store.get(b"a", pin).unwrap(), b"1");
                assert_eq!(store.get(b"b", pin).unwrap(), b"2");
            }
        }
    }
}

#[test]
fn expired_space_comes_back_without_a_write() {
    let store = Store::new();
    store.engine.set_retention(Retention {
        horizon: Version::MAX,
        pins: Vec::new(),
    });
    let random = SeededRandom::new(5);
    for number in 0..200_u32 {
        let mut value = vec![0; 400];
        nokv_env::Random::fill(&random, &mut value);
        store.put(&number.to_be_bytes(), &value, Some(60));
    }
    store.engine.flush().unwrap();
    store.engine.compact_for_test().unwrap();
    let bytes = || -> u64 { store.stats().levels.iter().map(|level| level.bytes).sum() };
    assert!(bytes() > 80_000);
    store.clock.advance(Duration::from_secs(60));
    store.engine.compact_for_test().unwrap();
    assert_eq!(bytes(), 0);
}

#[test]
fn a_clock_that_goes_back_brings_nothing_back_that_a_version_has_seen_gone() {
    let store = Store::new();
    store.put(b"k", b"v", Some(10));
    store.clock.advance(Duration::from_secs(10));
    let after = store.put(b"other", b"", None);
    assert_eq!(store.get(b"k", after), None);
    let Store { env, engine, .. } = store;
    engine.close().unwrap();
    // A new manual clock stands at the beginning.
    let env = still_env(env.files);
    let engine = Engine::open(env, Path::new("/store"), options()).unwrap();
    assert_eq!(engine.get(SPACE, b"k", after).unwrap(), None);
    assert_eq!(engine.get(SPACE, b"k", Version::MAX).unwrap(), None);
}

/// Flushes, compactions and openings in any order against the oracle, at all versions, and now.
#[test]
fn reads_of_all_kinds_agree_with_the_oracle() {
    for seed in 0..20 {
        let random = SeededRandom::new(seed);
        let mut oracle = Oracle::default();
        let mut store = Store::new();
        for _ in 0..80 {
            match random.below(10) {
                0 => store.engine.flush().unwrap(),
                1 => store.engine.compact_for_test().unwrap(),
                2 if random.once_in(4) => store = store.reopen(),
                _ => {
                    let batch = oracle.random_batch(&random, 300);
                    store.engine.write(batch, Durability::Buffered).unwrap();
                }
            }
        }
        let last = oracle.last();
        let check = |outcome: Result<(), String>| outcome.unwrap_or_else(|e| panic!("{seed}: {e}"));
        for _ in 0..10 {
            check(oracle.check(&store.engine, random.below(last + 1)));
        }
        check(oracle.check_newest(&store.engine, last, store.now()));
    }
}
