//! Scans over deleted ranges, counted in steps.

use std::path::Path;

use nokv_env::{Env, MemoryFileSystem};
use nokv_types::Version;
use std::sync::Arc;

use crate::{
    Batch, Direction, Durability, Engine, KeyRange, Keyspace, Options, testing::still_env,
};

const SPACE: Keyspace = Keyspace::new(1);

fn engine() -> (Env, Engine) {
    let env = still_env(Arc::new(MemoryFileSystem::new()));
    let options = Options {
        block_bytes: 512,
        cache_bytes: 1 << 20,
        ..Options::default()
    };
    let engine = Engine::open(env.clone(), Path::new("/store"), options).unwrap();
    (env, engine)
}

fn write(engine: &Engine, change: impl FnOnce(&mut Batch)) {
    let mut batch = Batch::new();
    change(&mut batch);
    engine.write(batch, Durability::Buffered).unwrap();
}

fn key(round: u64, number: u64) -> Vec<u8> {
    format!("queue/{round:04}/{number:06}").into_bytes()
}

fn count(engine: &Engine, direction: Direction) -> usize {
    let scan = engine.scan(SPACE, KeyRange::all(), Version::MAX, direction);
    scan.unwrap().map(Result::unwrap).count()
}

/// A queue: items are put, then the whole prefix is deleted, again and again. Nothing is pruned,
/// since all versions are retained.
#[test]
fn a_scan_does_not_step_through_what_was_deleted() {
    let (_, engine) = engine();
    let mut version = 0;
    let mut next = || {
        version += 1;
        Version::from_u64(version)
    };
    for round in 0..10 {
        for number in 0..500 {
            let at = next();
            write(&engine, |batch| {
                batch.put(SPACE, &key(round, number), b"item", at)
            });
        }
        engine.flush().unwrap();
        let at = next();
        write(&engine, |batch| {
            batch.delete_range(SPACE, b"queue/", b"queue0", at)
        });
    }
    let at = next();
    write(&engine, |batch| {
        batch.put(SPACE, b"queue/9999/left", b"item", at)
    });
    for direction in [Direction::Forward, Direction::Reverse] {
        let before = engine.stats();
        assert_eq!(count(&engine, direction), 1);
        let after = engine.stats();
        let looked = |stats: &crate::Stats| stats.cache_hit_count + stats.cache_miss_count;
        // All blocks of the ten tables would be some 300.
        let blocks = looked(&after) - looked(&before);
        assert!(blocks < 100, "{blocks} blocks for one item, {direction:?}");
    }
}

#[test]
fn a_compacted_range_is_in_the_last_level_alone() {
    let (_, engine) = engine();
    let mut version = 0;
    for _ in 0..3 {
        for number in 0..200 {
            version += 1;
            let at = Version::from_u64(version);
            write(&engine, |batch| {
                batch.put(SPACE, &key(0, number), &[7; 100], at)
            });
        }
        engine.flush().unwrap();
    }
    engine.set_retention(crate::Retention {
        horizon: Version::MAX,
        pins: Vec::new(),
    });
    let mut steps = 0;
    engine
        .compact_range(SPACE, &KeyRange::all(), &mut || steps += 1)
        .unwrap();
    assert!(steps > 0);
    let levels = engine.stats().levels;
    let (last, above) = levels.split_last().unwrap();
    assert!(last.table_count > 0 && above.iter().all(|level| level.table_count == 0));
    assert_eq!(engine.verify().unwrap().entry_count, 200);
    assert_eq!(count(&engine, Direction::Forward), 200);
}
