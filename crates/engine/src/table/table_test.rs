//! Tables against their entries in a sorted list.

use std::{cmp::Ordering, sync::Arc};

use bytes::Bytes;
use nokv_env::{Env, File};
use proptest::prelude::*;

use super::{
    CursorOptions, LookupKey, Reading, Table, TableCursor, TableOptions,
    testing::{OwnedEntry, file, open, sort, table, write},
};
use crate::{
    Compression, Error,
    entry::{EntryKind, RangeTombstone},
};

/// Keys that are prefixes of each other, repeat, and are sometimes longer than a bound in the
/// index.
fn keys() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => proptest::collection::vec(0..3_u8, 0..5),
        1 => proptest::collection::vec(254..=255_u8, 0..4),
        1 => (0..3_u8, 0..3_u8, 0..4_usize).prop_map(|(fill, last, extra)| {
            let mut key = vec![if fill == 2 { 255 } else { fill }; 510 + extra];
            key.push(last);
            key
        }),
    ]
}

fn entries(count: usize) -> impl Strategy<Value = Vec<OwnedEntry>> {
    let one =
        (keys(), 0..12_u64, any::<bool>(), 0..90_usize).prop_map(|(key, version, put, size)| {
            match put {
                true => OwnedEntry::put(&key, version << 60 | version, &vec![version as u8; size]),
                false => OwnedEntry::delete(&key, version << 60 | version),
            }
        });
    proptest::collection::vec(one, 0..count).prop_map(|mut entries| {
        sort(&mut entries);
        entries
    })
}

fn options() -> impl Strategy<Value = TableOptions> {
    let compression = prop_oneof![
        Just(Compression::None),
        Just(Compression::Lz4),
        Just(Compression::Zstd)
    ];
    (1..600_usize, 1..900_usize, compression).prop_map(
        |(block_bytes, partition_bytes, compression)| TableOptions {
            block_bytes,
            partition_bytes,
            compression,
        },
    )
}

fn order(entry: &OwnedEntry, key: &[u8], version: u64) -> Ordering {
    entry
        .key
        .as_slice()
        .cmp(key)
        .then_with(|| version.cmp(&entry.version))
}

fn current(cursor: &TableCursor) -> Option<OwnedEntry> {
    cursor.is_valid().then(|| {
        assert_eq!(cursor.value(), &cursor.value_bytes()[..]);
        OwnedEntry {
            key: cursor.key().to_vec(),
            version: cursor.version(),
            kind: cursor.kind(),
            value: cursor.value().to_vec(),
        }
    })
}

/// All entries, forward or backward.
fn all(table: &Arc<Table>, reading: Reading, forward: bool) -> Result<Vec<OwnedEntry>, Error> {
    let options = CursorOptions {
        reading,
        ..CursorOptions::default()
    };
    let mut cursor = TableCursor::new(Arc::clone(table), options);
    if forward {
        cursor.seek_to_first()?
    } else {
        cursor.seek_to_last()?
    }
    let mut found = Vec::new();
    while let Some(entry) = current(&cursor) {
        found.push(entry);
        if forward {
            cursor.next()?
        } else {
            cursor.prev()?
        }
    }
    Ok(found)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_table_is_its_entries(entries in entries(120), options in options()) {
        let table = table(1, &entries, &[], options);
        let mut backward = entries.clone();
        backward.reverse();
        for reading in [Reading::Cached, Reading::ahead(1)] {
            prop_assert_eq!(&all(&table, reading, true).unwrap(), &entries);
            prop_assert_eq!(&all(&table, reading, false).unwrap(), &backward);
        }
        let summary = table.summary();
        prop_assert_eq!(summary.entry_count as usize, entries.len());
        prop_assert_eq!(&summary.smallest, &entries.first().map_or(vec![], |e| e.key.clone()));
        prop_assert_eq!(&summary.largest, &entries.last().map_or(vec![], |e| e.key.clone()));
        let versions = || entries.iter().map(|entry| entry.version);
        prop_assert_eq!(summary.version_min, versions().min().unwrap_or(0));
        prop_assert_eq!(summary.version_max, versions().max().unwrap_or(0));
    }

    #[test]
    fn lookups_and_seeks_find_what_a_list_has(
        entries in entries(120),
        options in options(),
        probes in proptest::collection::vec((keys(), 0..13_u64), 1..40),
    ) {
        let table = table(1, &entries, &[], options);
        let mut cursor = TableCursor::new(Arc::clone(&table), CursorOptions::default());
        let own = entries.iter().map(|entry| (entry.key.clone(), entry.version));
        let at = |version: u64| version << 60 | version;
        for (key, at) in probes.into_iter().map(|(key, version)| (key, at(version))).chain(own) {
            let first = entries.iter().position(|e| order(e, &key, at) != Ordering::Less);
            let first = first.map(|index| &entries[index]);
            let found = table.get(&LookupKey::new(&key), at).unwrap();
            let expected = first.filter(|entry| entry.key == key);
            prop_assert_eq!(
                found.map(|found| (found.version, found.kind, found.value.to_vec())),
                expected.map(|entry| (entry.version, entry.kind, entry.value.clone()))
            );
            cursor.seek(&key, at).unwrap();
            prop_assert_eq!(current(&cursor), first.cloned());
            let last = entries.iter().rfind(|e| order(e, &key, at) != Ordering::Greater);
            cursor.seek_for_prev(&key, at).unwrap();
            prop_assert_eq!(current(&cursor), last.cloned());
        }
    }

    #[test]
    fn a_walk_may_turn_around(
        entries in entries(80),
        options in options(),
        steps in proptest::collection::vec(any::<bool>(), 0..200),
    ) {
        let table = table(1, &entries, &[], options);
        let mut cursor = TableCursor::new(table, CursorOptions::default());
        cursor.seek_to_first().unwrap();
        let mut place = 0_usize;
        for forward in steps {
            if forward && place + 1 < entries.len() {
                cursor.next().unwrap();
                place += 1;
            } else if !forward && place > 0 && place < entries.len() {
                cursor.prev().unwrap();
                place -= 1;
            }
            prop_assert_eq!(current(&cursor), entries.get(place).cloned());
        }
    }

    #[test]
    fn a_bounded_cursor_visits_all_within_its_bounds(
        entries in entries(80),
        options in options(),
        bounds in (keys(), keys()),
    ) {
        let (lower, upper) = bounds;
        let table = table(1, &entries, &[], options);
        let inside = |e: &&OwnedEntry| lower <= e.key && e.key < upper;
        let expected: Vec<_> = entries.iter().filter(inside).cloned().collect();
        let options = CursorOptions {
            lower: Some(Bytes::from(lower.clone())),
            upper: Some(Bytes::from(upper.clone())),
            reading: Reading::Cached,
        };
        let mut cursor = TableCursor::new(table, options);
        let mut found = Vec::new();
        cursor.seek(&lower, u64::MAX).unwrap();
        while let Some(entry) = current(&cursor).filter(|entry| entry.key < upper) {
            found.push(entry);
            cursor.next().unwrap();
        }
        prop_assert_eq!(&found, &expected);
        found.clear();
        cursor.seek_for_prev(&upper, u64::MAX).unwrap();
        while let Some(entry) = current(&cursor).filter(|entry| lower <= entry.key) {
            if entry.key < upper {
                found.insert(0, entry);
            }
            cursor.prev().unwrap();
        }
        prop_assert_eq!(&found, &expected);
    }
}

/// A small table with several blocks, partitions and tombstones, and its file.
fn small(compression: Compression) -> (Vec<OwnedEntry>, Arc<dyn File>) {
    let mut entries: Vec<_> = (0..40_u8)
        .flat_map(|key| {
            let key = [b'k', key / 8, key % 8];
            [
                OwnedEntry::put(&key, 9, &[key[2]; 20]),
                OwnedEntry::delete(&key, 4),
            ]
        })
        .collect();
    sort(&mut entries);
    let tombstone = RangeTombstone {
        start: b"k".to_vec(),
        end: b"m".to_vec(),
        version: 3,
    };
    let file = file(&Env::memory(1), "t");
    let options = TableOptions {
        block_bytes: 256,
        partition_bytes: 200,
        compression,
    };
    write(&file, &entries, &[tombstone], options);
    (entries, file)
}

/// Everything that a table can be asked.
fn read_all(file: &Arc<dyn File>, entries: &[OwnedEntry]) -> Result<(), Error> {
    let table = open(file, 1)?;
    assert_eq!(table.range_tombstones().covering(b"k1", 5), Some(3));
    assert_eq!(all(&table, Reading::Cached, true)?, entries);
    for entry in entries {
        let found = table.get(&LookupKey::new(&entry.key), entry.version)?;
        assert_eq!(
            found.map(|found| found.value.to_vec()),
            Some(entry.value.clone())
        );
    }
    table.verify()?;
    Ok(())
}

#[test]
fn every_flipped_bit_is_reported_with_file_and_offset() {
    for compression in [Compression::None, Compression::Lz4] {
        let (entries, file) = small(compression);
        read_all(&file, &entries).unwrap();
        let length = file.len().unwrap();
        for offset in 0..length {
            let mut byte = [0];
            file.read_exact_at(&mut byte, offset).unwrap();
            let damaged = [byte[0] ^ (1 << (offset % 8))];
            file.write_at(&damaged, offset).unwrap();
            match read_all(&file, &entries) {
                Err(Error::Corrupt {
                    file,
                    offset: found,
                    ..
                }) => {
                    assert!(
                        file.contains("/tables/t") && found <= offset,
                        "byte {offset}"
                    );
                }
                other => panic!("byte {offset} of {length}: {other:?}"),
            }
            file.write_at(&byte, offset).unwrap();
        }
    }
}

#[test]
fn a_file_of_another_length_is_no_table() {
    let (entries, file) = small(Compression::Lz4);
    let length = file.len().unwrap();
    file.set_len(length + 1).unwrap();
    assert!(matches!(
        read_all(&file, &entries),
        Err(Error::Corrupt { .. })
    ));
    for cut in (0..length).rev() {
        file.set_len(cut).unwrap();
        assert!(
            matches!(read_all(&file, &entries), Err(Error::Corrupt { .. })),
            "cut at {cut}"
        );
    }
}

#[test]
fn a_giant_value_has_a_block_of_its_own() {
    let giant = vec![7; 5 << 20];
    let entries = [
        OwnedEntry::put(b"a", 1, b"small"),
        OwnedEntry::put(b"b", 2, &giant),
        OwnedEntry::put(b"c", 1, b""),
    ];
    for compression in [Compression::None, Compression::Zstd] {
        let options = TableOptions {
            compression,
            ..TableOptions::default()
        };
        let table = table(1, &entries, &[], options);
        assert_eq!(table.summary().data_block_count, 3);
        let found = table.get(&LookupKey::new(b"b"), 9).unwrap().unwrap();
        assert_eq!(&*found.value, &giant[..]);
        assert_eq!(all(&table, Reading::ahead(1), true).unwrap(), entries);
        assert!(table.cache_figures().bytes < 1 << 20);
    }
}

#[test]
fn a_gap_and_an_absent_key_read_no_data_block() {
    let entries: Vec<_> = (0..4000_u32)
        .map(|number| OwnedEntry::put(&(number * 2).to_be_bytes(), 1, &[1; 100]))
        .collect();
    let options = TableOptions {
        block_bytes: 1000,
        ..TableOptions::default()
    };
    let table = table(1, &entries, &[], options);
    // Warm the partitions, so that only data blocks can be missed.
    for index in 0..table.top().entry_count() {
        table.partition(index, Default::default()).unwrap();
    }
    let before = table.cache_figures().miss_count;
    let mut read = 0;
    for number in (1..8000_u32).step_by(2) {
        assert_eq!(
            table
                .get(&LookupKey::new(&number.to_be_bytes()), 9)
                .unwrap(),
            None
        );
        read += 1;
    }
    let misses = table.cache_figures().miss_count - before;
    assert!(
        misses <= read / 50,
        "{misses} blocks read for {read} absent keys"
    );
    let before = table.cache_figures().miss_count;
    for number in (1..8000_u32).step_by(2) {
        let options = CursorOptions {
            upper: Some(Bytes::copy_from_slice(&(number + 1).to_be_bytes())),
            ..CursorOptions::default()
        };
        let mut cursor = TableCursor::new(Arc::clone(&table), options);
        cursor.seek(&number.to_be_bytes(), u64::MAX).unwrap();
    }
    // A gap within a block reads that block, once.
    let misses = table.cache_figures().miss_count - before;
    assert!(misses <= table.summary().data_block_count, "{misses}");
}

#[test]
fn a_scan_of_a_gap_between_blocks_reads_none() {
    let entries = [
        OwnedEntry::put(b"a", 1, &[1; 100]),
        OwnedEntry::put(b"z", 1, &[1; 100]),
    ];
    let options = TableOptions {
        block_bytes: 64,
        ..TableOptions::default()
    };
    let table = table(2, &entries, &[], options);
    let upper = Some(Bytes::from_static(b"m"));
    let options = CursorOptions {
        upper,
        ..CursorOptions::default()
    };
    let mut cursor = TableCursor::new(Arc::clone(&table), options);
    cursor.seek(b"b", u64::MAX).unwrap();
    assert!(!cursor.is_valid());
    assert_eq!(table.cache_figures().miss_count, 1, "the partition");
}

#[test]
fn many_nested_range_tombstones_stay_small() {
    let key = |number: u32| number.to_be_bytes().to_vec();
    let tombstones: Vec<_> = (0..300_u32)
        .map(|n| RangeTombstone {
            start: key(n),
            end: key(1000 - n),
            version: n.into(),
        })
        .collect();
    let table = table(1, &[], &tombstones, TableOptions::default());
    assert!(table.summary().bytes < 300 * 12 + 1000);
    for probe in 0..1000_u32 {
        let covers = tombstones
            .iter()
            .filter(|t| t.start <= key(probe) && key(probe) < t.end);
        let expected = covers.map(|tombstone| tombstone.version).max();
        assert_eq!(
            table.range_tombstones().covering(&key(probe), u64::MAX),
            expected
        );
    }
}

#[test]
fn an_empty_table_is_a_table() {
    let table = table(1, &[], &[], TableOptions::default());
    assert!(table.summary().is_empty());
    assert_eq!(table.get(&LookupKey::new(b""), u64::MAX).unwrap(), None);
    assert_eq!(all(&table, Reading::Cached, false).unwrap(), []);
}

#[test]
fn garbage_is_what_newer_entries_hide() {
    let entries = [
        OwnedEntry::put(b"a", 9, b"12345"),
        OwnedEntry::put(b"a", 5, b"1234"),
        OwnedEntry::delete(b"b", 7),
        OwnedEntry::put(b"c", 3, b"1"),
    ];
    let table = table(1, &entries, &[], TableOptions::default());
    let garbage = &table.summary().garbage;
    assert_eq!(garbage.byte_count(), 5 + 1);
    assert_eq!(garbage.droppable(8, &[]), 1, "only the deletion of b");
    assert_eq!(garbage.droppable(9, &[]), 6);
    assert_eq!(garbage.droppable(9, &[6]), 1, "the older a is pinned");
    assert_eq!(table.summary().tombstone_count, 1);
    assert_eq!(EntryKind::Delete.number(), 0);
}
