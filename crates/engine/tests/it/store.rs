//! Opening, closing, many threads, damage and limits, on a real directory.

use std::{path::Path, sync::Arc, thread};

use nokv_engine::{
    Access, Batch, Direction, Durability, Engine, Error, KeyRange, Keyspace, Options, Retention,
};
use nokv_env::{Env, OpenMode, Random, SeededRandom};
use nokv_types::Version;

const SPACE: Keyspace = Keyspace::new(1);

fn small() -> Options {
    Options {
        memtable_bytes: 64 << 10,
        segment_bytes: 64 << 10,
        table_bytes: 64 << 10,
        level_base_bytes: 128 << 10,
        ..Options::default()
    }
}

fn open(dir: &Path, options: Options) -> Result<Engine, Error> {
    Engine::open(Env::real(), dir, options)
}

fn put(engine: &Engine, key: &[u8], value: &[u8], version: u64) {
    let mut batch = Batch::new();
    batch.put(SPACE, key, value, Version::from_u64(version));
    engine.write(batch, Durability::Buffered).unwrap();
}

fn get(engine: &Engine, key: &[u8], at: u64) -> Option<Vec<u8>> {
    let record = engine.get(SPACE, key, Version::from_u64(at)).unwrap();
    record.map(|record| record.value.to_vec())
}

#[test]
fn a_directory_is_opened_once() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path(), small()).unwrap();
    assert!(matches!(open(dir.path(), small()), Err(Error::Busy { .. })));
    let other = engine.clone();
    engine.close().unwrap();
    assert!(matches!(
        other.get(SPACE, b"k", Version::MAX),
        Err(Error::Closed)
    ));
    drop(other);
    let engine = open(dir.path(), small()).unwrap();
    drop(engine);
    open(dir.path(), small()).unwrap();
}

#[test]
fn only_create_makes_a_store() {
    let dir = tempfile::tempdir().unwrap();
    for access in [Access::Existing, Access::ReadOnly] {
        let options = Options { access, ..small() };
        assert!(matches!(
            open(&dir.path().join("none"), options),
            Err(Error::NotFound { .. })
        ));
    }
    let engine = open(dir.path(), small()).unwrap();
    put(&engine, b"k", b"v", 1);
    engine.close().unwrap();
    let options = Options {
        access: Access::ReadOnly,
        ..small()
    };
    let engine = open(dir.path(), options).unwrap();
    assert_eq!(get(&engine, b"k", 1).unwrap(), b"v");
    let mut batch = Batch::new();
    batch.put(SPACE, b"k", b"w", Version::from_u64(2));
    assert!(matches!(
        engine.write(batch, Durability::Synced),
        Err(Error::ReadOnly)
    ));
}

#[test]
fn many_writers_and_readers_agree() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path(), small()).unwrap();
    let version = Arc::new(std::sync::Mutex::new(0_u64));
    thread::scope(|scope| {
        for writer in 0..4_u64 {
            let (engine, version) = (engine.clone(), Arc::clone(&version));
            scope.spawn(move || {
                for number in 0..300_u64 {
                    let mut batch = Batch::new();
                    let mut last = version.lock().unwrap();
                    *last += 1;
                    let at = Version::from_u64(*last);
                    let key = format!("{writer}/{number:04}");
                    batch.put(SPACE, key.as_bytes(), &[7; 300], at);
                    batch.put(Keyspace::new(2), key.as_bytes(), &[8; 10], at);
                    let point = engine.append(batch).unwrap();
                    drop(last);
                    if number.is_multiple_of(7) {
                        engine.sync(point).unwrap();
                    }
                    assert!(
                        engine
                            .get(SPACE, key.as_bytes(), Version::MAX)
                            .unwrap()
                            .is_some()
                    );
                }
            });
        }
        let engine = engine.clone();
        scope.spawn(move || {
            for _ in 0..50 {
                let at = engine.last_version();
                let count = |space| {
                    engine
                        .scan(space, KeyRange::all(), at, Direction::Forward)
                        .unwrap()
                        .count()
                };
                assert_eq!(
                    count(SPACE),
                    count(Keyspace::new(2)),
                    "half a batch at {at}"
                );
            }
        });
    });
    assert!(engine.stats().flush_count > 0);
    engine.flush().unwrap();
    engine.close().unwrap();
    let engine = open(dir.path(), small()).unwrap();
    let all = engine
        .scan(SPACE, KeyRange::all(), Version::MAX, Direction::Forward)
        .unwrap();
    assert_eq!(all.count(), 1200);
    assert_eq!(engine.last_version(), Version::from_u64(1200));
    assert_eq!(engine.verify().unwrap().entry_count, 2400);
}

#[test]
fn what_is_overwritten_goes_when_nothing_retains_it() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path(), small()).unwrap();
    let mut version = 0;
    for _ in 0..10 {
        for key in 0..500_u64 {
            version += 1;
            let mut value = vec![0; 200];
            SeededRandom::new(version).fill(&mut value);
            put(&engine, &key.to_be_bytes(), &value, version);
        }
        engine.set_retention(Retention {
            horizon: Version::from_u64(version),
            pins: Vec::new(),
        });
    }
    engine.flush().unwrap();
    let clock = Env::real().clock;
    let live = 500 * 208;
    let deadline = clock.monotonic() + std::time::Duration::from_secs(20);
    let table_bytes = || {
        engine
            .stats()
            .levels
            .iter()
            .map(|level| level.bytes)
            .sum::<u64>()
    };
    while table_bytes() * 10 > live * 13 {
        assert!(
            clock.monotonic() < deadline,
            "{} bytes of {live} live",
            table_bytes()
        );
        clock.sleep(std::time::Duration::from_millis(20));
    }
    assert!(engine.verify().unwrap().entry_count >= 500);
}

#[test]
fn a_large_value_and_a_long_key_survive() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path(), small()).unwrap();
    let (key, value) = (vec![3; nokv_engine::KEY_BYTES_MAX], vec![5; 3 << 20]);
    put(&engine, &key, &value, 1);
    put(&engine, b"", b"", 2);
    engine.close().unwrap();
    let engine = open(dir.path(), small()).unwrap();
    assert_eq!(get(&engine, &key, 2).unwrap(), value);
    engine.flush().unwrap();
    assert_eq!(get(&engine, &key, 2).unwrap(), value);
    assert_eq!(get(&engine, b"", 2).unwrap(), b"");
    assert_eq!(get(&engine, b"", 1), None);
    let mut batch = Batch::new();
    batch.put(
        SPACE,
        &vec![0; nokv_engine::KEY_BYTES_MAX + 1],
        b"",
        Version::from_u64(3),
    );
    assert!(matches!(
        engine.write(batch, Durability::Buffered),
        Err(Error::Invalid(_))
    ));
}

#[test]
fn a_damaged_log_is_one_clear_line() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path(), small()).unwrap();
    for version in 1..50 {
        put(&engine, b"k", &[9; 100], version);
    }
    engine.close().unwrap();
    let files = Env::real().files;
    let path = dir.path().join("0000000001.wal");
    let file = files.open(&path, OpenMode::ReadWrite).unwrap();
    let length = file.len().unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 2000).unwrap();
    file.write_at(&[byte[0] ^ 4], 2000).unwrap();
    let refused = open(dir.path(), small()).unwrap_err();
    let message = refused.to_string();
    assert!(
        matches!(refused, Error::Corrupt { .. }) && !message.contains('\n'),
        "{message}"
    );
    assert!(
        message.contains("0000000001.wal") && message.contains("backup"),
        "{message}"
    );
    file.write_at(&byte, 2000).unwrap();
    drop(open(dir.path(), small()).unwrap());
    file.set_len(length.min(3000)).unwrap();
    assert!(matches!(
        open(dir.path(), small()),
        Err(Error::Corrupt { .. })
    ));
}

#[test]
fn files_that_somebody_else_named_are_neither_read_nor_removed() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path(), small()).unwrap();
    put(&engine, b"k", b"v", 1);
    engine.flush().unwrap();
    engine.close().unwrap();
    let files = Env::real().files;
    let foreign = ["1.wal", "+000000001.wal", "7.table", "7.vlog", "7.manifest"];
    let foreign = foreign.map(|name| dir.path().join(name));
    for path in &foreign {
        files.open(path, OpenMode::Create).unwrap();
    }
    let engine = open(dir.path(), small()).unwrap();
    assert_eq!(get(&engine, b"k", 1).as_deref(), Some(&b"v"[..]));
    put(&engine, b"l", b"w", 2);
    engine.close().unwrap();
    let engine = open(dir.path(), small()).unwrap();
    assert_eq!(get(&engine, b"l", 2).as_deref(), Some(&b"w"[..]));
    for path in &foreign {
        assert!(files.exists(path).unwrap(), "{}", path.display());
    }
}
