//! A log that can't be cut: what holds it is flushed, and it never grows without bound.

use std::{path::Path, sync::Arc, time::Duration};

use nokv_env::{Env, FaultFileSystem, ManualClock, MemoryFileSystem, Outcome, Rule, Trigger};
use nokv_types::Version;

use crate::{Batch, Durability, Engine, Error, Keyspace, Options, testing::still_env};

const LOG_BYTES_MAX: u64 = 64 << 10;

/// The same key and version again: the log grows, the memtable hardly.
fn write(engine: &Engine, length: usize) -> Result<(), Error> {
    let mut batch = Batch::new();
    batch.put(
        Keyspace::new(1),
        b"k",
        &vec![1; length],
        Version::from_u64(1),
    );
    engine.write(batch, Durability::Buffered)
}

fn open(env: &Env) -> Engine {
    let options = Options {
        memtable_bytes: 1 << 20,
        segment_bytes: 8 << 10,
        log_bytes_max: Some(LOG_BYTES_MAX),
        ..Options::default()
    };
    Engine::open(env.clone(), Path::new("/store"), options).unwrap()
}

#[test]
fn a_memtable_that_holds_the_log_is_flushed_before_it_is_full() {
    let engine = open(&still_env(Arc::new(MemoryFileSystem::new())));
    let mut sealed_max = 0;
    for _ in 0..400 {
        write(&engine, 1000).unwrap();
        let stats = engine.stats();
        assert_eq!(stats.segment_bytes, engine.log_bytes_for_test());
        assert!(stats.segment_bytes < 2 * LOG_BYTES_MAX + (16 << 10));
        sealed_max = sealed_max.max(stats.sealed_count);
    }
    // No thread flushed: the writers did at twice the limit.
    assert_eq!(sealed_max, 1);
    assert!(engine.stats().flush_count > 0);
    engine.flush().unwrap();
    let stats = engine.stats();
    assert_eq!((stats.segment_bytes, stats.segment_count), (0, 0));
    write(&engine, 1000).unwrap();
    assert_eq!(engine.stats().log_pinned_since_millis, None);
}

#[test]
fn a_failing_flush_stops_writers_before_the_log_is_without_bound() {
    let clock = Arc::new(ManualClock::new());
    let faults = FaultFileSystem::new(Arc::new(MemoryFileSystem::new()), 1);
    let mut env = still_env(Arc::new(faults.clone()));
    env.clock = Arc::clone(&clock) as Arc<dyn nokv_env::Clock>;
    let engine = open(&env);
    faults.add_rule(Rule {
        operations: Vec::new(),
        path_contains: ".table".to_owned(),
        trigger: Trigger::From(1),
        outcome: Outcome::DeviceError,
    });
    let mut since = None;
    let error = loop {
        if let Err(error) = write(&engine, 1000) {
            break error;
        }
        let stats = engine.stats();
        since = since.or(stats.log_pinned_since_millis);
        assert_eq!(
            stats.log_pinned_since_millis, since,
            "it stays the same moment"
        );
        assert_eq!(since.is_some(), stats.segment_bytes > LOG_BYTES_MAX);
        clock.advance(Duration::from_millis(1));
        assert!(stats.segment_bytes < 2 * LOG_BYTES_MAX + (16 << 10));
    };
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert!(since.is_some());
    faults.clear_rules();
    write(&engine, 1000).unwrap();
    engine.flush().unwrap();
    write(&engine, 1000).unwrap();
    assert_eq!(engine.stats().log_pinned_since_millis, None);
}
