//! The doors to the decoders, for the fuzz targets and for the test that runs the same functions
//! over a corpus; built for them only.

use std::path::Path;

use nokv_env::{Env, OpenMode};

use crate::{
    batch::Operations,
    manifest,
    mark::{MARK_NAME, Promise},
    table::any_bytes,
    transfer, vlog,
    wal::{self, LogStart, Repair, segment_path},
};

/// A function that takes any bytes and does nothing but answer.
pub type Target = fn(&[u8]);

/// All of them, by the name of the fuzz target.
pub const TARGETS: [(&str, Target); 9] = [
    ("batch", batch),
    ("export_catalog", catalog),
    ("manifest", manifest),
    ("mark", mark),
    ("table_block", block),
    ("table_footer", file),
    ("table_index", index),
    ("vlog", value_file),
    ("wal_segment", segment),
];

/// The bytes as the payload of a batch.
pub fn batch(bytes: &[u8]) {
    let operations = Operations::new(bytes);
    assert!(operations.count() <= bytes.len());
}

/// The bytes as the catalog of an export.
pub fn catalog(bytes: &[u8]) {
    transfer::any_bytes::catalog(bytes);
}

/// The bytes as a manifest, an edit, and `CURRENT`.
pub fn manifest(bytes: &[u8]) {
    manifest::any_bytes::manifest(bytes);
}

/// The bytes as the file that says what was synced.
pub fn mark(bytes: &[u8]) {
    let env = with_file(&Path::new(DIR).join(MARK_NAME), bytes);
    Promise::load(&env, Path::new(DIR)).ok();
}

/// The bytes as a block of a table.
pub fn block(bytes: &[u8]) {
    any_bytes::block(bytes);
}

/// The bytes as an index block of a table.
pub fn index(bytes: &[u8]) {
    any_bytes::index(bytes);
}

/// The bytes as a file of a table.
pub fn file(bytes: &[u8]) {
    any_bytes::file(bytes);
}

/// The bytes as a file of the value log, and as a pointer into one.
pub fn value_file(bytes: &[u8]) {
    vlog::any_bytes(bytes);
}

/// The bytes as a segment of the log: recovered twice, the second time over what the first left,
/// with the same answer.
pub fn segment(bytes: &[u8]) {
    let dir = Path::new(DIR);
    let env = with_file(&segment_path(dir, 1), bytes);
    let start = LogStart {
        segment: 1,
        sequence: 1,
    };
    let recover = |repair| {
        let mut count = 0;
        let read = wal::recover(&env, dir, start, 0, repair, |_, _, payload| {
            Operations::new(payload).for_each(drop);
            count += 1;
            Ok(())
        });
        (read.map(|read| read.record_count).ok(), count)
    };
    let first = recover(Repair::Forbidden);
    assert!(first.0.is_none_or(|read| read == first.1));
    recover(Repair::Allowed);
}

const DIR: &str = "/store";

fn with_file(path: &Path, bytes: &[u8]) -> Env {
    let env = Env::memory(1);
    env.files.create_dir_all(Path::new(DIR)).expect("memory");
    let file = env.files.open(path, OpenMode::Create);
    file.and_then(|file| file.write_at(bytes, 0))
        .expect("memory");
    env
}
