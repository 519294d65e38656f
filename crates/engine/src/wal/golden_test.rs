//! A segment of each format version that this program reads, as a file:
//! `testdata/format/wal-1.wal`.
//!
//! `UPDATE=1 cargo test -p nokv-engine golden` writes it again; that is right only for a new format
//! version.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use nokv_env::{Env, FileSystem, OpenMode};
use nokv_types::Version;

use super::{Log, LogStart, Repair, recover, segment::segment_path};
use crate::{
    Batch, Keyspace, LogMode,
    mark::{Mark, Promise},
};

const DIR: &str = "/log";

const START: LogStart = LogStart {
    segment: 1,
    sequence: 1,
};

/// Every kind of operation.
fn batches() -> [Batch; 2] {
    let (first, second) = (Keyspace::new(1), Keyspace::new(2));
    let version = |millis: u64| Version::from_millis(1_767_225_600_000 + millis);
    let mut one = Batch::new();
    one.put(first, b"key", b"value", version(0));
    one.put(second, b"", b"", version(0));
    one.put_expiring(first, b"session", b"short", version(1), version(60_000));
    let mut two = Batch::new();
    two.delete(first, b"key", version(2));
    two.delete_range(second, b"a", b"m", version(2));
    [one, two]
}

fn read(files: &dyn FileSystem, path: &Path) -> Vec<u8> {
    let file = files.open(path, OpenMode::Read).expect("see UPDATE=1");
    let mut bytes = vec![0; usize::try_from(file.len().expect("a file")).expect("small")];
    file.read_exact_at(&mut bytes, 0).expect("a file");
    bytes
}

fn write(files: &dyn FileSystem, path: &Path, bytes: &[u8]) {
    let file = files.open(path, OpenMode::Create).expect("a file");
    file.write_at(bytes, 0).expect("a file");
}

/// The segment that this program writes.
fn fresh(env: &Env) -> Vec<u8> {
    let dir = Path::new(DIR);
    env.files.create_dir_all(dir).expect("memory");
    let mark = Arc::new(Mark::open(env, dir, Promise::default()).expect("memory"));
    let recovered =
        recover(env, dir, START, 0, Repair::Allowed, |_, _, _| Ok(())).expect("nothing");
    let options = (1 << 20, LogMode::Own);
    let (log, mut appender) = Log::open(env, dir, options, mark, &recovered).expect("memory");
    for batch in batches() {
        let payload = batch.payload().expect("within the limits");
        log.append(&mut appender, &[payload]).expect("memory");
    }
    read(env.files.as_ref(), &segment_path(dir, 1))
}

#[test]
fn the_golden_file_is_what_is_written_and_is_read() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/format/wal-1.wal");
    let fresh = fresh(&Env::memory(1));
    let disk = Env::real().files;
    if std::env::var_os("UPDATE").is_some() {
        write(disk.as_ref(), &path, &fresh);
    }
    let golden = read(disk.as_ref(), &path);
    assert!(golden == fresh, "the format has changed");
    let (env, dir) = (Env::memory(1), Path::new(DIR));
    env.files.create_dir_all(dir).expect("memory");
    write(env.files.as_ref(), &segment_path(dir, 1), &golden);
    let mut payloads = Vec::new();
    let apply = |_, _, payload: &[u8]| {
        payloads.push(payload.to_vec());
        Ok(())
    };
    let recovered = recover(&env, dir, START, 0, Repair::Forbidden, apply).expect("sound");
    assert_eq!((recovered.record_count, recovered.cut_bytes), (2, 0));
    let expected = batches().map(|batch| batch.payload().expect("within the limits").to_vec());
    assert_eq!(payloads, expected);
}
