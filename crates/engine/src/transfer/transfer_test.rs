//! What is exported is what is ingested; crashes leave nothing half; damage is told; the rule of
//! versions holds; the golden file is read.

use std::{path::Path, sync::Arc};

use nokv_env::{Env, FileSystem, MemoryFileSystem, OpenMode, SeededRandom};
use nokv_types::Version;

use super::{
    ExportOptions, IngestOptions, SinkOptions, TableSink, Transfer,
    catalog::{Catalog, CatalogFile, Entry, Scope, encode_head, encode_record},
};
use crate::{
    Batch, Compression, Durability, Engine, Error, KeyRange, Keyspace, Options, Retention,
    table::TableSummary,
    testing::{Oracle, cut_everywhere, still_env},
};

const SOURCE: &str = "/source";
const FOLDER: &str = "/export";
const TARGET: &str = "/target";

fn options() -> Options {
    Options {
        memtable_bytes: 16 << 10,
        segment_bytes: 8 << 10,
        block_bytes: 512,
        table_bytes: 8 << 10,
        level_base_bytes: 16 << 10,
        level0_tables: 2,
        ..Options::default()
    }
}

fn whole(at: u64) -> ExportOptions {
    ExportOptions {
        ranges: (0..3)
            .map(|n| (Keyspace::new(n), KeyRange::all()))
            .collect(),
        at: Version::from_u64(at),
        sink: SinkOptions {
            table_bytes: 2 << 10,
            block_bytes: 512,
            compression: Compression::Lz4,
        },
    }
}

fn open(env: &Env, dir: &str) -> Engine {
    Engine::open(env.clone(), Path::new(dir), options()).unwrap()
}

fn filled(env: &Env, seed: u64) -> (Oracle, Engine) {
    let random = SeededRandom::new(seed);
    let mut oracle = Oracle::default();
    let engine = open(env, SOURCE);
    for step in 0..60 {
        let batch = oracle.random_batch(&random, 600);
        engine.write(batch, Durability::Buffered).unwrap();
        if step % 17 == 0 {
            engine.flush().unwrap();
            engine.compact_for_test().unwrap();
        }
    }
    (oracle, engine)
}

#[test]
fn what_is_exported_is_what_is_ingested() {
    for seed in 0..12 {
        let env = still_env(Arc::new(MemoryFileSystem::new()));
        let (oracle, source) = filled(&env, seed);
        for at in [oracle.last(), 33, 1] {
            let folder = format!("{FOLDER}-{at}");
            let export = source.export(&whole(at), Path::new(&folder)).unwrap();
            // Again: nothing to do, the same answer.
            assert_eq!(
                source.export(&whole(at), Path::new(&folder)).unwrap(),
                export
            );
            if at < oracle.last() {
                let other = source.export(&whole(at + 1), Path::new(&folder));
                assert!(matches!(other, Err(Error::Invalid(_))), "{other:?}");
            }
            let target = open(&env, &format!("{TARGET}-{at}"));
            let transfer = if seed % 2 == 0 {
                Transfer::Link
            } else {
                Transfer::Copy
            };
            let options = IngestOptions { transfer };
            let ingested = target.ingest(Path::new(&folder), &options).unwrap();
            assert_eq!(ingested.entry_count, export.entry_count);
            oracle
                .check(&target, at)
                .unwrap_or_else(|e| panic!("seed {seed} at {at}: {e}"));
            let again = target.ingest(Path::new(&folder), &options).unwrap();
            assert_eq!(
                (again.file_count, again.present_count),
                (0, export.file_count)
            );
            target.close().unwrap();
            let target = open(&env, &format!("{TARGET}-{at}"));
            oracle
                .check(&target, at)
                .unwrap_or_else(|e| panic!("seed {seed} at {at}: {e}"));
        }
    }
}

#[test]
fn an_export_refuses_what_retention_does_not_keep() {
    let env = still_env(Arc::new(MemoryFileSystem::new()));
    let (_, source) = filled(&env, 1);
    source.set_retention(Retention {
        horizon: Version::from_u64(50),
        pins: vec![Version::from_u64(7)],
    });
    let refused = source.export(&whole(6), Path::new("/a"));
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    source.export(&whole(7), Path::new("/b")).unwrap();
    source.export(&whole(50), Path::new("/c")).unwrap();
}

#[test]
fn an_export_that_was_cut_off_anywhere_goes_on() {
    let files = MemoryFileSystem::new();
    let env = still_env(Arc::new(files.clone()));
    let (oracle, source) = filled(&env, 3);
    let at = oracle.last();
    source.close().unwrap();
    cut_everywhere(
        &files,
        |env| {
            let source = Engine::open(env.clone(), Path::new(SOURCE), options())?;
            source.export(&whole(at), Path::new(FOLDER)).map(drop)
        },
        |env| {
            let source = open(env, SOURCE);
            let export = source.export(&whole(at), Path::new(FOLDER)).unwrap();
            let target = open(env, TARGET);
            let ingested = target.ingest(Path::new(FOLDER), &IngestOptions::default());
            assert_eq!(ingested.unwrap().entry_count, export.entry_count);
            oracle.check(&target, at).unwrap();
        },
    );
}

#[test]
fn an_ingest_that_was_cut_off_anywhere_is_whole_or_nothing() {
    let files = MemoryFileSystem::new();
    let env = still_env(Arc::new(files.clone()));
    let (oracle, source) = filled(&env, 4);
    let at = oracle.last();
    source.export(&whole(at), Path::new(FOLDER)).unwrap();
    source.close().unwrap();
    open(&env, TARGET).close().unwrap();
    files.sync_dir(Path::new(TARGET)).unwrap();
    let options_of = IngestOptions::default();
    cut_everywhere(
        &files,
        |env| {
            let target = Engine::open(env.clone(), Path::new(TARGET), options())?;
            target.ingest(Path::new(FOLDER), &options_of).map(drop)
        },
        |env| {
            let target = open(env, TARGET);
            let version = target.last_version().as_u64();
            if version > 0 {
                oracle.check(&target, at).unwrap();
            }
            target.ingest(Path::new(FOLDER), &options_of).unwrap();
            oracle.check(&target, at).unwrap();
        },
    );
}

#[test]
fn a_flipped_bit_is_told_and_nothing_is_visible() {
    let files = MemoryFileSystem::new();
    let env = still_env(Arc::new(files.clone()));
    let (_, source) = filled(&env, 5);
    source.export(&whole(u64::MAX), Path::new(FOLDER)).unwrap();
    let random = SeededRandom::new(9);
    for entry in files.list(Path::new(FOLDER)).unwrap() {
        let path = Path::new(FOLDER).join(&entry.name);
        for _ in 0..40 {
            let bit = random.below(entry.size * 8);
            flip(&files, &path, bit);
            let target = open(&env, TARGET);
            let refused = target.ingest(Path::new(FOLDER), &IngestOptions::default());
            match &refused {
                Err(Error::Corrupt { file, .. }) => {
                    assert!(file.ends_with(&entry.name), "{file}");
                }
                // The last record, or the head's version.
                Err(Error::Invalid(_) | Error::Unsupported { .. }) if entry.name == "EXPORT" => {}
                other => panic!("bit {bit} of {}: {other:?}", entry.name),
            }
            assert_eq!(target.last_version(), Version::ZERO);
            flip(&files, &path, bit);
        }
    }
    let target = open(&env, TARGET);
    target
        .ingest(Path::new(FOLDER), &IngestOptions::default())
        .unwrap();
}

fn flip(files: &MemoryFileSystem, path: &Path, bit: u64) {
    let file = files.open(path, OpenMode::ReadWrite).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, bit / 8).unwrap();
    byte[0] ^= 1 << (bit % 8);
    file.write_at(&byte, bit / 8).unwrap();
}

const SPACE: Keyspace = Keyspace::new(2);

fn sunk(env: &Env, folder: &str, entries: &[(&str, u64)]) {
    let mut sink = TableSink::create(env, Path::new(folder), SinkOptions::default()).unwrap();
    for (key, version) in entries {
        let version = Version::from_u64(*version);
        sink.put(SPACE, key.as_bytes(), b"sunk", version).unwrap();
    }
    sink.finish().unwrap();
}

fn write(engine: &Engine, key: &str, version: u64) {
    let mut batch = Batch::new();
    batch.put(
        SPACE,
        key.as_bytes(),
        b"written",
        Version::from_u64(version),
    );
    engine.write(batch, Durability::Buffered).unwrap();
}

fn read(engine: &Engine, key: &str, at: u64) -> Option<(u64, Vec<u8>)> {
    let record = engine
        .get(SPACE, key.as_bytes(), Version::from_u64(at))
        .unwrap()?;
    Some((record.version.as_u64(), record.value.to_vec()))
}

#[test]
fn what_is_ingested_is_newer_than_what_is_there() {
    let env = still_env(Arc::new(MemoryFileSystem::new()));
    let engine = open(&env, TARGET);
    write(&engine, "b", 5);
    sunk(&env, "/older", &[("a", 2), ("c", 3)]);
    sunk(&env, "/newer", &[("a", 7), ("b", 9), ("b", 6)]);
    sunk(&env, "/apart", &[("x", 1)]);
    let ingest = |folder: &str| engine.ingest(Path::new(folder), &IngestOptions::default());
    for is_flushed in [false, true] {
        let refused = ingest("/older");
        assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
        if !is_flushed {
            engine.flush().unwrap();
        }
    }
    write(&engine, "bb", 4);
    ingest("/newer").unwrap();
    assert_eq!(read(&engine, "b", u64::MAX), Some((9, b"sunk".to_vec())));
    assert_eq!(read(&engine, "b", 8), Some((6, b"sunk".to_vec())));
    assert_eq!(read(&engine, "b", 5), Some((5, b"written".to_vec())));
    // Old versions are welcome where there is nothing.
    ingest("/apart").unwrap();
    assert_eq!(read(&engine, "x", u64::MAX), Some((1, b"sunk".to_vec())));
    write(&engine, "b", 10);
    for _ in 0..2 {
        assert_eq!(
            read(&engine, "b", u64::MAX),
            Some((10, b"written".to_vec()))
        );
        engine.flush().unwrap();
        engine.compact_for_test().unwrap();
    }
    // What was ingested is there still, below the newer write.
    assert_eq!(ingest("/newer").unwrap().present_count, 1);
}

#[test]
fn a_deleted_range_below_does_not_hide_what_is_ingested() {
    let env = still_env(Arc::new(MemoryFileSystem::new()));
    let engine = open(&env, TARGET);
    let mut batch = Batch::new();
    batch.delete_range(SPACE, b"a", b"m", Version::from_u64(5));
    engine.write(batch, Durability::Buffered).unwrap();
    sunk(&env, "/low", &[("b", 4)]);
    sunk(&env, "/high", &[("b", 6)]);
    let ingest = |folder: &str| engine.ingest(Path::new(folder), &IngestOptions::default());
    assert!(matches!(ingest("/low"), Err(Error::Invalid(_))));
    ingest("/high").unwrap();
    assert_eq!(read(&engine, "b", u64::MAX), Some((6, b"sunk".to_vec())));
}

#[test]
fn a_sink_takes_entries_in_order_only() {
    let env = still_env(Arc::new(MemoryFileSystem::new()));
    let mut sink = TableSink::create(&env, Path::new(FOLDER), SinkOptions::default()).unwrap();
    let mut put = |key: &[u8], version| sink.put(SPACE, key, b"", Version::from_u64(version));
    put(b"b", 5).unwrap();
    put(b"b", 4).unwrap();
    assert!(matches!(put(b"b", 4), Err(Error::Invalid(_))));
    assert!(matches!(put(b"a", 9), Err(Error::Invalid(_))));
    put(b"c", 9).unwrap();
    drop(sink);
    let engine = open(&env, TARGET);
    let refused = engine.ingest(Path::new(FOLDER), &IngestOptions::default());
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    let occupied = TableSink::create(&env, Path::new(FOLDER), SinkOptions::default());
    assert!(matches!(occupied, Err(Error::Invalid(_))));
}

/// The golden file of format 1. `UPDATE=1` writes it; that is right only when a format is added.
#[test]
fn format_1_is_read() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../testdata/format/export-1.bin"
    );
    let id = *b"0123456789abcdef";
    let summary = TableSummary {
        bytes: 1234,
        entry_count: 7,
        key_count: 5,
        smallest: vec![1, 2],
        largest: vec![1, 200],
        version_min: 3,
        version_max: 90,
        ..TableSummary::default()
    };
    let scope = Scope {
        at: 90,
        ranges: vec![(vec![1], Some(vec![1, 250])), (vec![2], None)],
    };
    let file = CatalogFile {
        number: 1,
        hash: [7; 16],
        summary,
    };
    let end = Entry::End {
        file_count: 1,
        entry_count: 7,
    };
    let mut bytes = encode_head(id).to_vec();
    let entries = [Entry::Scope(scope.clone()), Entry::File(file.clone()), end];
    for (sequence, entry) in (0..).zip(&entries) {
        bytes.extend(encode_record(&id, sequence, entry).unwrap());
    }
    let real = Env::real().files;
    if std::env::var_os("UPDATE").is_some() {
        let golden = real.open(Path::new(path), OpenMode::Create).unwrap();
        golden.write_at(&bytes, 0).unwrap();
    }
    let golden = real.open(Path::new(path), OpenMode::Read).unwrap();
    let mut stored = vec![0; golden.len().unwrap() as usize];
    golden.read_exact_at(&mut stored, 0).unwrap();
    assert_eq!(stored, bytes);
    let catalog = Catalog::parse(Path::new("EXPORT"), &stored).unwrap();
    assert!(catalog.is_complete && catalog.scope == scope && catalog.files == [file]);
    for cut in 0..stored.len() {
        let short = Catalog::parse(Path::new("EXPORT"), &stored[..cut]);
        assert!(short.is_err() || !short.unwrap().is_complete, "{cut}");
    }
}
