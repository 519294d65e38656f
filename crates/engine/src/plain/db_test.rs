//! Limits, names, versions, borrowed reads of the database.

use std::{path::Path, sync::Arc, time::Duration};

use nokv_env::{Clock, Env, FileSystem, ManualClock, MemoryFileSystem};
use nokv_types::Version;

use super::{Db, SPACE_COUNT_MAX, SPACE_NAME_BYTES_MAX, WriteBatch};
use crate::{
    Access, BATCH_BYTES_MAX, Batch, Durability, Engine, Error, KEY_BYTES_MAX, Keyspace, LogMode,
    Options, VALUE_BYTES_MAX, testing::still_env,
};

fn machine() -> Env {
    let files: Arc<dyn FileSystem> = Arc::new(MemoryFileSystem::new());
    still_env(files)
}

fn open(env: &Env) -> Db {
    Db::open_in(env.clone(), Path::new("/db"), Options::default()).unwrap()
}

fn is_invalid<T>(outcome: Result<T, Error>) -> bool {
    matches!(outcome, Err(Error::Invalid(_)))
}

#[test]
fn keys_and_values_have_limits() {
    let db = open(&machine());
    let (longest, largest) = (vec![7; KEY_BYTES_MAX], vec![1; VALUE_BYTES_MAX]);
    db.set(&longest, "").unwrap();
    assert_eq!(db.get(&longest).unwrap(), Some(Vec::new()));
    db.set("large", &largest).unwrap();
    assert!(*db.get_ref("large").unwrap().unwrap() == *largest);
    let too_long = vec![7; KEY_BYTES_MAX + 1];
    for key in [&b""[..], &too_long] {
        assert!(is_invalid(db.set(key, "v")));
        assert!(is_invalid(db.delete(key)));
        assert!(is_invalid(db.get(key)));
        assert!(is_invalid(db.multi_get(&[key])));
    }
    assert!(is_invalid(db.set("k", vec![0; VALUE_BYTES_MAX + 1])));
    assert_eq!(db.get("k").unwrap(), None);
}

#[test]
fn a_batch_is_written_up_to_its_limit_and_not_above() {
    let env = machine();
    let db = open(&env);
    let value = vec![3; BATCH_BYTES_MAX / 2 - 100];
    let mut batch = WriteBatch::new();
    batch.set(&db, "a", &value);
    batch.set(&db, "b", &value);
    assert!(batch.byte_count() <= BATCH_BYTES_MAX);
    db.set_batch(batch).unwrap();
    let mut batch = WriteBatch::new();
    batch.set(&db, "c", &value);
    batch.set(&db, "d", &value);
    batch.set(&db, "e", [0; 200]);
    assert!(batch.byte_count() > BATCH_BYTES_MAX);
    assert!(is_invalid(db.set_batch(batch)));
    db.close().unwrap();
    let db = open(&env);
    let keys: Vec<_> = db.iter().map(|entry| entry.unwrap().0).collect();
    assert_eq!(keys, ["a", "b"]);
}

#[test]
fn writes_of_a_batch_take_effect_in_their_order() {
    let db = open(&machine());
    let mut batch = WriteBatch::new();
    batch.set(&db, "a", "1");
    batch.set(&db, "b", "1");
    batch.delete_range::<&str>(&db, ..);
    batch.set(&db, "b", "2");
    batch.delete(&db, "c");
    batch.set(&db, "c", "3");
    db.set_batch(batch).unwrap();
    assert_eq!(db.get("a").unwrap(), None);
    assert_eq!(db.get("b").unwrap().unwrap(), b"2");
    assert_eq!(db.get("c").unwrap().unwrap(), b"3");
}

#[test]
fn keyspaces_are_apart_and_keep_their_names() {
    let env = machine();
    let db = open(&env);
    let users = db.keyspace("users").unwrap();
    let mut batch = WriteBatch::new();
    batch.set(&db, "k", "own");
    batch.set(&users, "k", "of users");
    db.set_batch(batch).unwrap();
    assert!(is_invalid(db.keyspace("")));
    assert!(is_invalid(
        db.keyspace(&"n".repeat(SPACE_NAME_BYTES_MAX + 1))
    ));
    for number in 1..SPACE_COUNT_MAX {
        db.keyspace(&format!("space {number}")).unwrap();
    }
    assert!(is_invalid(db.keyspace("one too many")));
    let last = db
        .keyspace(&format!("space {}", SPACE_COUNT_MAX - 1))
        .unwrap();
    last.set("k", "last").unwrap();
    last.delete_range::<&str>(..).unwrap();
    assert_eq!(last.iter().count(), 0);
    drop((db, users, last));
    let db = open(&env);
    let users = db.keyspace("users").unwrap();
    assert_eq!(users.get("k").unwrap().unwrap(), b"of users");
    users.delete_range::<&str>(..).unwrap();
    assert_eq!(users.iter().count(), 0);
    assert_eq!(db.get("k").unwrap().unwrap(), b"own");
}

#[test]
fn a_batch_belongs_to_one_database() {
    let (one, two) = (open(&machine()), open(&machine()));
    let mut batch = WriteBatch::new();
    batch.set(&one, "k", "v");
    assert!(is_invalid(two.set_batch(batch)));
    let mut batch = WriteBatch::new();
    batch.set(&one, "k", "v");
    batch.set(&two, "k", "v");
    assert!(is_invalid(one.set_batch(batch)));
    assert_eq!((one.get("k").unwrap(), two.get("k").unwrap()), (None, None));
}

/// The address of the value: equal for two reads exactly when neither copied it.
fn address(db: &Db, key: &str) -> *const u8 {
    db.get_ref(key).unwrap().unwrap().as_ptr()
}

#[test]
fn a_borrowed_read_copies_nothing() {
    let db = open(&machine());
    db.set("large", [1; 3000]).unwrap();
    let held = db.get_ref("large").unwrap().unwrap();
    assert_eq!(address(&db, "large"), held.as_ptr(), "from the memtable");
    db.set_with_ttl("expiring", [2; 3000], Duration::from_secs(9))
        .unwrap();
    let expiring = db.get_ref("expiring").unwrap().unwrap();
    assert_eq!(address(&db, "expiring"), expiring.as_ptr());
    db.set("small", [3; 10]).unwrap();
    db.flush().unwrap();
    for key in ["large", "small"] {
        let held = db.get_ref(key).unwrap().unwrap();
        assert_eq!(
            address(&db, key),
            held.as_ptr(),
            "{key} from a cached block"
        );
    }
    db.close().unwrap();
    // It outlives the database.
    assert!(held.iter().all(|byte| *byte == 1));
}

#[test]
fn versions_go_up_over_openings_though_the_clock_goes_back() {
    let mut env = machine();
    let clock = Arc::new(ManualClock::new());
    clock.advance(Duration::from_secs(3600));
    env.clock = clock;
    let db = open(&env);
    db.set("k", "1").unwrap();
    let before = db.snapshot().version();
    assert!(before > Version::from_millis(ManualClock::new().now_millis()));
    drop(db);
    env.clock = Arc::new(ManualClock::new());
    let db = open(&env);
    db.set("k", "2").unwrap();
    assert!(db.snapshot().version() > before);
    assert_eq!(db.get("k").unwrap().unwrap(), b"2");
    db.flush().unwrap();
    assert_eq!(db.get("k").unwrap().unwrap(), b"2");
}

#[test]
fn a_store_of_another_kind_is_refused() {
    let env = machine();
    let engine = Engine::open(env.clone(), Path::new("/db"), Options::default()).unwrap();
    let mut batch = Batch::new();
    batch.put(Keyspace::new(1), b"k", b"v", Version::from_u64(1));
    engine.write(batch, Durability::Synced).unwrap();
    engine.close().unwrap();
    let open = |options| Db::open_in(env.clone(), Path::new("/db"), options);
    assert!(is_invalid(open(Options::default())));
    let log = LogMode::External;
    assert!(is_invalid(open(Options {
        log,
        ..Options::default()
    })));
}

#[test]
fn only_what_was_synced_is_sure_to_survive_a_power_cut() {
    let files = MemoryFileSystem::new();
    let env = still_env(Arc::new(files.clone()));
    let db = open(&env);
    db.set("synced", "1").unwrap();
    db.with_durability(Durability::Buffered)
        .set("buffered", "2")
        .unwrap();
    let after = open(&still_env(Arc::new(files.crash(1))));
    assert_eq!(after.get("synced").unwrap().unwrap(), b"1");
    db.sync().unwrap();
    let after = open(&still_env(Arc::new(files.crash(1))));
    assert_eq!(after.get("buffered").unwrap().unwrap(), b"2");
}

#[test]
fn a_database_that_is_only_read_changes_nothing() {
    let env = machine();
    let db = open(&env);
    db.keyspace("users").unwrap().set("k", "v").unwrap();
    drop(db);
    let options = Options {
        access: Access::ReadOnly,
        ..Options::default()
    };
    let db = Db::open_in(env, Path::new("/db"), options).unwrap();
    let users = db.keyspace("users").unwrap();
    assert_eq!(users.get("k").unwrap().unwrap(), b"v");
    assert!(matches!(users.set("k", "w"), Err(Error::ReadOnly)));
    assert!(matches!(db.keyspace("new"), Err(Error::ReadOnly)));
}

#[test]
fn a_pin_goes_with_the_last_of_its_readers() {
    let db = open(&machine());
    db.set("k", "1").unwrap();
    let snapshot = db.snapshot();
    let other = db.snapshot();
    let entries = snapshot.iter();
    db.set("k", "2").unwrap();
    drop((snapshot, other));
    let bottom = || {
        db.flush().unwrap();
        db.inner.engine.compact_for_test().unwrap();
    };
    bottom();
    let values: Vec<_> = entries.map(|entry| entry.unwrap().1.to_vec()).collect();
    assert_eq!(values, [b"1"]);
    let version = db.inner.engine.last_version().previous();
    bottom();
    db.set("k", "3").unwrap();
    bottom();
    let gone = db
        .inner
        .engine
        .get(Keyspace::new(1), b"k", version)
        .unwrap();
    assert_eq!(gone, None, "nothing retains it");
}
