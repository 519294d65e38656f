//! Figures of tables, for people: `cargo test --release -p nokv-engine --lib -- --ignored
//! --nocapture figures`.

use std::{sync::Arc, time::Duration};

use nokv_env::Env;

use super::{
    CursorOptions, LookupKey, Reading, Table, TableCursor, TableOptions, TableWriter, testing::file,
};
use crate::{Compression, cache::BlockCache, entry::EntryKind};

const ENTRIES: u64 = 400_000;

/// 40 bytes, like `shard|dir|name`.
fn key(number: u64) -> Vec<u8> {
    format!(
        "\u{1}shard007/dir-{:08}/file-{:09}",
        number / 100,
        number * 2
    )
    .into_bytes()
}

fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn time(env: &Env, work: impl FnOnce()) -> Duration {
    let start = env.clock.monotonic();
    work();
    env.clock.monotonic() - start
}

fn build(env: &Env, options: TableOptions, value: &[u8]) -> (Arc<Table>, f64) {
    let own = file(&Env::memory(1), "t");
    let path = std::path::Path::new("/tables/t");
    let mut noise = 1;
    let took = time(env, || {
        let mut writer = TableWriter::new(Arc::clone(&own), path, options);
        let mut value = value.to_vec();
        for number in 0..ENTRIES {
            let half = value.len() / 2;
            for chunk in value[..half].chunks_mut(8) {
                chunk.copy_from_slice(&random(&mut noise).to_le_bytes()[..chunk.len()]);
            }
            writer
                .add(&key(number), number << 18, EntryKind::Put, &value)
                .unwrap();
        }
        writer.finish().unwrap();
    });
    let cache = Arc::new(BlockCache::new(256 << 20));
    let table = Arc::new(Table::open(own, path, 1, cache).unwrap());
    let megabytes = table.summary().content_bytes as f64 / 1e6;
    (table, megabytes / took.as_secs_f64())
}

fn gets(env: &Env, table: &Table, offset: u64) -> f64 {
    let (mut state, count) = (7, 400_000);
    let keys: Vec<_> = (0..count)
        .map(|_| {
            let mut key = key(random(&mut state) % ENTRIES);
            let last = key.len() - 1;
            key[last] += offset as u8;
            key
        })
        .collect();
    let took = time(env, || {
        for key in &keys {
            let found = table.get(&LookupKey::new(key), u64::MAX).unwrap();
            assert_eq!(found.is_some(), offset == 0);
        }
    });
    took.as_nanos() as f64 / count as f64
}

fn scan(env: &Env, table: &Arc<Table>, reading: Reading, forward: bool) -> f64 {
    let options = CursorOptions {
        reading,
        ..CursorOptions::default()
    };
    let mut cursor = TableCursor::new(Arc::clone(table), options);
    let mut bytes = 0;
    let took = time(env, || {
        if forward {
            cursor.seek_to_first().unwrap()
        } else {
            cursor.seek_to_last().unwrap()
        }
        while cursor.is_valid() {
            bytes += cursor.key().len() + cursor.value().len();
            if forward {
                cursor.next().unwrap()
            } else {
                cursor.prev().unwrap()
            }
        }
    });
    assert!(bytes > 0);
    ENTRIES as f64 / took.as_secs_f64() / 1e6
}

#[test]
#[ignore = "prints figures; asserts nothing about time"]
fn figures() {
    let env = Env::real();
    for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
        for block_bytes in [4 << 10, 8 << 10, 16 << 10] {
            let options = TableOptions {
                block_bytes,
                compression,
                ..TableOptions::default()
            };
            let (table, build) = build(&env, options, &[b'v'; 120]);
            let cold = scan(&env, &table, Reading::Ahead, true);
            gets(&env, &table, 0);
            let (hit, absent) = (gets(&env, &table, 0), gets(&env, &table, 1));
            let up = scan(&env, &table, Reading::Cached, true);
            let down = scan(&env, &table, Reading::Cached, false);
            let part = table.summary().bytes as f64 / table.summary().content_bytes as f64;
            println!(
                "{compression:?} {block_bytes}: build {build:.0} MB/s, size {part:.2}, get {hit:.0} ns, \
                 absent {absent:.0} ns, scan {up:.1} M/s, reverse {down:.1} M/s, uncached scan {cold:.1} M/s"
            );
        }
    }
}
