//! What a failing disk does to a shard.

use crate::support::{clock, open, put};
use nokv_env::{Env, FaultFileSystem, MemoryFileSystem, Operation, Outcome, Rule, Trigger};
use nokv_shard::{Durability, Error, Options};
use std::sync::Arc;

#[test]
fn after_a_failed_sync_no_write_is_accepted_until_reopened() {
    let files = Arc::new(MemoryFileSystem::new());
    let faulty = Arc::new(FaultFileSystem::new(Arc::clone(&files) as _, 1));
    let env = Env::memory(1).with_files(Arc::clone(&faulty) as _);
    let (clock, options) = (clock(), Options::default());
    let shard = open(env, &clock, options);
    shard
        .execute(put(1, b"kept"), Durability::Synced)
        .expect("applied");
    faulty.add_rule(Rule {
        operations: vec![Operation::SyncData, Operation::SyncAll],
        path_contains: String::new(),
        trigger: Trigger::From(1),
        outcome: Outcome::DeviceError,
    });
    let failed = shard.execute(put(2, b"lost?"), Durability::Synced);
    assert!(
        matches!(failed, Err(Error::OutcomeUnknown(_))),
        "{failed:?}"
    );
    for durability in [Durability::Buffered, Durability::Synced] {
        let refused = shard.execute(put(3, b"never"), durability);
        assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
    }
    drop(shard);
    let env = Env::memory(1).with_files(Arc::new(files.crash(1)));
    let shard = open(env, &clock, options);
    let version = shard.read_version();
    let found = |number: u8| {
        let key = crate::support::key(number);
        shard
            .engine()
            .get(key.keyspace(), key.bytes(), version)
            .expect("read")
            .is_some()
    };
    assert!(found(1) && !found(3));
    shard
        .execute(put(4, b"again"), Durability::Synced)
        .expect("goes on");
}
