//! Tables of each format version that this program reads, as files:
//! `testdata/format/table-1-*.table`.
//!
//! `UPDATE=1 cargo test -p nokv-engine golden` writes them again; that is right only for a new
//! format version.

use std::{path::PathBuf, sync::Arc};

use nokv_env::{Env, File, OpenMode};

use super::{
    CursorOptions, LookupKey, TableCursor, TableOptions,
    testing::{OwnedEntry, file, open, sort, write},
};
use crate::{Compression, entry::RangeTombstone};

fn content() -> (Vec<OwnedEntry>, RangeTombstone) {
    let mut entries = Vec::new();
    for number in 0..60_u32 {
        let key = format!("\u{1}shard-7/dir-{:02}/file-{number:04}", number / 10);
        let version = |age: u64| (1_767_225_600_000 << 18) + u64::from(number) * 7 - age;
        entries.push(OwnedEntry::put(key.as_bytes(), version(0), &[b'v'; 40]));
        if number % 5 == 0 {
            let expiring = OwnedEntry::put_expiring(key.as_bytes(), version(50), version(10));
            entries.push(expiring);
        }
        if number % 3 == 0 {
            entries.push(OwnedEntry::delete(key.as_bytes(), version(100)));
            entries.push(OwnedEntry::put(key.as_bytes(), version(200), b""));
        }
    }
    entries.push(OwnedEntry::put(
        &[b'k'; 700],
        1,
        b"a key longer than a bound",
    ));
    sort(&mut entries);
    let (start, end) = (
        b"\x01shard-7/dir-02".to_vec(),
        b"\x01shard-7/dir-03".to_vec(),
    );
    (
        entries,
        RangeTombstone {
            start,
            end,
            version: 12,
        },
    )
}

fn options(compression: Compression) -> TableOptions {
    let (block_bytes, partition_bytes) = (512, 400);
    TableOptions {
        block_bytes,
        partition_bytes,
        compression,
    }
}

fn bytes_of(file: &Arc<dyn File>) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.len().expect("a file")).expect("small")];
    file.read_exact_at(&mut bytes, 0).expect("a file");
    bytes
}

fn golden(name: &str, fresh: &Arc<dyn File>) -> Vec<u8> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/format");
    let path = dir.join(format!("table-1-{name}.table"));
    let files = Env::real().files;
    if std::env::var_os("UPDATE").is_some() {
        files.create_dir_all(&dir).expect("testdata");
        let target = files.open(&path, OpenMode::Create).expect("testdata");
        target.write_at(&bytes_of(fresh), 0).expect("testdata");
    }
    bytes_of(
        &files
            .open(&path, OpenMode::Read)
            .expect("the golden file, see UPDATE=1"),
    )
}

#[test]
fn golden_files_are_read_in_full() {
    let (entries, tombstone) = content();
    let compressions = [
        ("plain", Compression::None),
        ("lz4", Compression::Lz4),
        ("zstd", Compression::Zstd),
    ];
    for (name, compression) in compressions {
        let env = Env::memory(1);
        let fresh = file(&env, "fresh");
        let summary = write(
            &fresh,
            &entries,
            std::slice::from_ref(&tombstone),
            options(compression),
        );
        let golden = golden(name, &fresh);
        // What a compressor makes of a block may change with its version; the format does not.
        if compression == Compression::None {
            assert_eq!(golden, bytes_of(&fresh), "the format has changed");
        }
        let copy = file(&env, "golden");
        copy.write_at(&golden, 0).expect("memory");
        let table = open(&copy, 1).expect("a golden file");
        assert_eq!(table.verify().expect("sound"), entries.len() as u64);
        assert_eq!(
            table.range_tombstones().iter().collect::<Vec<_>>(),
            std::slice::from_ref(&tombstone)
        );
        let mut cursor = TableCursor::new(Arc::clone(&table), CursorOptions::default());
        cursor.seek_to_first().expect("sound");
        for entry in &entries {
            assert_eq!(
                (cursor.key(), cursor.version()),
                (&entry.key[..], entry.version)
            );
            assert_eq!(
                (cursor.kind(), cursor.value()),
                (entry.kind, &entry.value[..])
            );
            cursor.next().expect("sound");
            let found = table
                .get(&LookupKey::new(&entry.key), entry.version)
                .expect("sound");
            assert_eq!(found.map(|found| found.version), Some(entry.version));
        }
        assert!(!cursor.is_valid());
        let mut read = table.summary().clone();
        read.bytes = summary.bytes;
        assert_eq!(read.entry_count, summary.entry_count);
        assert_eq!(read.garbage, summary.garbage);
    }
}
