//! The bytes of a file: what is written is read, damage is told, the golden file is read.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use nokv_env::{Env, OpenMode};
use proptest::prelude::*;

use super::{
    any_bytes::any_bytes,
    entry::{ValueEntry, decode, encode_head},
    file::{FileHead, ValueFile, value_path},
    list::walk,
    open_files::OpenFiles,
    pointer::Pointer,
};
use crate::{Error, entry::EntryKind};

const DIR: &str = "/store";

fn bytes_of(file: u64, entry: &ValueEntry<'_>) -> Vec<u8> {
    let (head, _) = encode_head(file, entry);
    [&head, entry.key, entry.stored].concat()
}

fn entry<'a>(key: &'a [u8], version: u64, stored: &'a [u8]) -> ValueEntry<'a> {
    let kind = EntryKind::Put;
    ValueEntry {
        key,
        version,
        kind,
        stored,
    }
}

proptest! {
    #[test]
    fn an_entry_survives_and_a_flipped_bit_breaks_it(
        file: u64,
        version: u64,
        key in proptest::collection::vec(any::<u8>(), 1..20),
        stored in proptest::collection::vec(any::<u8>(), 8..60),
        is_expiring: bool,
        flip: prop::sample::Index,
    ) {
        let kind = if is_expiring { EntryKind::PutExpiring } else { EntryKind::Put };
        let entry = ValueEntry { key: &key, version, kind, stored: &stored };
        let mut bytes = bytes_of(file, &entry);
        prop_assert_eq!(decode(file, &bytes), Some(entry));
        prop_assert_eq!(decode(file.wrapping_add(1), &bytes), None);
        prop_assert_eq!(decode(file, &bytes[..bytes.len() - 1]), None);
        let bit = flip.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(decode(file, &bytes), None);
    }

    #[test]
    fn any_bytes_are_walked(
        head in proptest::collection::vec(any::<u8>(), 0..100),
        key in proptest::collection::vec(any::<u8>(), 1..20),
        tail in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        any_bytes(&head);
        let entry = bytes_of(1, &entry(&key, 7, b"value"));
        any_bytes(&[&head, &entry[..], &tail].concat());
    }
}

#[test]
fn a_flipped_bit_of_the_head_of_a_file_breaks_it() {
    let head = FileHead {
        number: 7,
        bucket: 2,
    };
    let bytes = head.encode();
    let read = |bytes: &[u8]| FileHead::decode(bytes, 7, Path::new("x")).ok().flatten();
    assert_eq!(read(&bytes), Some(head));
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes;
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(read(&damaged), None, "bit {bit}");
    }
}

/// A file of each format version that this program reads. `UPDATE=1 cargo test -p nokv-engine
/// golden` writes it again; that is right only for a new format version.
#[test]
fn the_golden_file_is_what_is_written_and_is_read() {
    let expiring = [&99_u64.to_be_bytes()[..], b"for a while"].concat();
    let entries = [
        entry(b"\x01key", 7, b"value"),
        entry(b"\x02", 8, b""),
        ValueEntry {
            kind: EntryKind::PutExpiring,
            ..entry(b"\x01session", 9, &expiring)
        },
    ];
    let head = FileHead {
        number: 5,
        bucket: 1,
    };
    let mut fresh = head.encode().to_vec();
    for entry in &entries {
        fresh.extend_from_slice(&bytes_of(5, entry));
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/format/vlog-1.vlog");
    let disk = Env::real().files;
    if std::env::var_os("UPDATE").is_some() {
        let file = disk.open(&path, OpenMode::Create).unwrap();
        file.write_at(&fresh, 0).unwrap();
    }
    let file = disk.open(&path, OpenMode::Read).expect("see UPDATE=1");
    let mut golden = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(&mut golden, 0).unwrap();
    assert!(golden == fresh, "the format has changed");
    assert_eq!(FileHead::decode(&golden, 5, &path).unwrap(), Some(head));
    let mut count = 0;
    let walk = walk(5, &golden, &mut |_, found| {
        assert_eq!(*found, entries[count]);
        count += 1;
    });
    assert_eq!((walk.entry_count, walk.torn_bytes), (3, 0));
}

/// Files of one value each, and what leads to them.
fn files(env: &Env, open: &Arc<OpenFiles>, count: u64) -> Vec<(Arc<ValueFile>, Pointer)> {
    env.files.create_dir_all(Path::new(DIR)).unwrap();
    let file = |number: u64| {
        let path = value_path(Path::new(DIR), number);
        let entry = entry(b"\x01k", number, b"value");
        let bytes = bytes_of(number, &entry);
        let pointer = Pointer {
            file: number,
            offset: 0,
            stored_bytes: 5,
            checksum: encode_head(number, &entry).1,
        };
        let handle = env.files.open(&path, OpenMode::Create).unwrap();
        handle.write_at(&bytes, 0).unwrap();
        let open = Arc::clone(open);
        let length = bytes.len() as u64;
        (
            Arc::new(ValueFile::new((path, number), open, length, true)),
            pointer,
        )
    };
    (1..=count).map(file).collect()
}

#[test]
fn few_files_are_open_however_many_are_read() {
    let env = Env::memory(1);
    let open = Arc::new(OpenFiles::with_limit(&env, 3));
    let files = files(&env, &open, 10);
    for round in 0..3 {
        for (file, pointer) in &files {
            let value = file.read(b"\x01k", file.number(), pointer).unwrap();
            assert_eq!(&value[..], b"value", "{round}");
            assert!(open.open_count() <= 3);
        }
    }
    let open_now = files
        .iter()
        .filter(|(file, _)| file.handle.read().is_some());
    assert_eq!(open_now.count(), 3);
}

#[test]
fn a_pointer_to_another_entry_is_told() {
    let env = Env::memory(1);
    let open = Arc::new(OpenFiles::new(&env));
    let files = files(&env, &open, 1);
    let (file, pointer) = &files[0];
    let check = |key: &[u8], version, pointer: Pointer| {
        let got = file.read(key, version, &pointer);
        assert!(matches!(got, Err(Error::Corrupt { offset, .. }) if offset == pointer.offset));
    };
    check(b"\x01l", 1, *pointer);
    check(b"\x01k", 2, *pointer);
    check(
        b"\x01k",
        1,
        Pointer {
            checksum: 1,
            ..*pointer
        },
    );
    check(
        b"\x01k",
        1,
        Pointer {
            stored_bytes: 6,
            ..*pointer
        },
    );
    check(
        b"\x01k",
        1,
        Pointer {
            stored_bytes: 4,
            ..*pointer
        },
    );
    check(
        b"\x01k",
        1,
        Pointer {
            offset: 1,
            ..*pointer
        },
    );
    check(
        b"\x01k",
        1,
        Pointer {
            offset: 1 << 40,
            ..*pointer
        },
    );
}
