//! Figures of tables, for people: `cargo test --release -p nokv-engine --lib -- --ignored
//! --nocapture figures`.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use nokv_env::Env;
use nokv_types::Version;

use super::{
    CursorOptions, LookupKey, Reading, Table, TableCursor, TableOptions, TableWriter,
    testing::{self, OwnedEntry, file},
};
use crate::{
    Compression, Retention,
    cache::BlockCache,
    compaction::{Job, NewTable, NoLimit, Part, run},
    entry::EntryKind,
};

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
            let cold = scan(&env, &table, Reading::ahead(1), true);
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

/// Four tables whose keys interleave, merged into tables of 64 MiB.
#[test]
#[ignore = "prints figures; asserts nothing about time"]
fn figures_of_compaction() {
    let env = Env::real();
    let memory = Env::memory(1);
    for compression in [Compression::None, Compression::Lz4] {
        let options = TableOptions {
            compression,
            ..TableOptions::default()
        };
        let inputs: Vec<Arc<[Arc<Table>]>> = (0..4)
            .map(|part| {
                let entries: Vec<_> = (0..ENTRIES / 4)
                    .map(|n| {
                        OwnedEntry::put(&key(n * 4 + part), n << 18, &n.to_be_bytes().repeat(15))
                    })
                    .collect();
                Arc::from([testing::table(part, &entries, &[], options)])
            })
            .collect();
        let bytes = inputs.iter().flat_map(|tables| tables.iter());
        let bytes: u64 = bytes.map(|table| table.summary().content_bytes).sum();
        let retention = Retention {
            horizon: Version::MAX,
            pins: Vec::new(),
        };
        let job = Job {
            values: &crate::vlog::StayPut,
            inputs,
            part: Part::default(),
            deeper: Vec::new(),
            retention: &retention,
            unpinned_from: None,
            table_options: options,
            table_bytes: 64 << 20,
            throttle: &NoLimit,
            cancel: &AtomicBool::new(false),
        };
        let took = time(&env, || {
            let create = &mut || {
                let path = PathBuf::from("/tables/t");
                Ok(NewTable {
                    number: 1,
                    path,
                    file: file(&memory, "output"),
                })
            };
            assert_eq!(run(job, create).unwrap().len(), 1);
        });
        let rate = bytes as f64 / 1e6 / took.as_secs_f64();
        println!("{compression:?}: compaction {rate:.0} MB/s of keys and values");
    }
}
