//! Merges against a sorted list of all entries.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use nokv_env::{Clock, ManualClock};
use nokv_types::Version;
use proptest::prelude::*;

use super::{Cover, EntryMerge, LevelCursor, TableSource, VisibleMerge};
use crate::{
    Compression, Direction,
    entry::{EntryKind, RangeTombstone},
    moment::{Asked, Moment},
    table::{
        CursorOptions, Table, TableOptions,
        testing::{OwnedEntry, sort, table},
    },
};

struct TableCover(Arc<Table>);

impl Cover for TableCover {
    fn covering(&self, key: &[u8], at: u64) -> Option<u64> {
        self.0.range_tombstones().covering(key, at)
    }

    fn find(&self, key: &[u8], at: u64) -> Option<Arc<RangeTombstone>> {
        self.0.range_tombstones().find(key, at).cloned()
    }
}

fn keys() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(0..3_u8, 0..4)
}

/// Entries with the number of the run that has them. With one letter there are few keys, so that
/// they have more versions than are stepped over before a seek.
fn runs() -> impl Strategy<Value = Vec<Vec<OwnedEntry>>> {
    (1..4_u8).prop_flat_map(runs_of)
}

fn runs_of(letters: u8) -> impl Strategy<Value = Vec<Vec<OwnedEntry>>> {
    let key = proptest::collection::vec(0..letters, 0..4);
    let entry = (key, 1..40_u64, 0..5_u64, 0..3_usize);
    proptest::collection::vec(entry, 0..160).prop_map(|entries| {
        let mut seen = BTreeMap::new();
        let mut runs = vec![Vec::new(); 3];
        for (key, version, kind, run) in entries {
            // Several runs may have the same entry, but then the same.
            let kind = *seen.entry((key.clone(), version)).or_insert(kind);
            runs[run].push(match kind {
                0 => OwnedEntry::delete(&key, version),
                1 => OwnedEntry::put_expiring(&key, version, version * 13 % 50),
                _ => OwnedEntry::put(&key, version, &version.to_be_bytes()),
            });
        }
        runs.iter_mut().for_each(sort);
        runs
    })
}

fn tombstones() -> impl Strategy<Value = Vec<RangeTombstone>> {
    let one = (keys(), keys(), 1..40_u64);
    proptest::collection::vec(one, 0..4).prop_map(|ranges| {
        let ranges = ranges.into_iter().filter(|(start, end, _)| start < end);
        ranges
            .map(|(start, end, version)| RangeTombstone {
                start,
                end,
                version,
            })
            .collect()
    })
}

/// Keys of a table: few, so that a level has several.
const TABLE_KEYS: usize = 1;

/// Cuts a run into tables of a level, never between versions of a key, and the range tombstones
/// where the tables begin: a table may end at the first key of the next one.
fn level(run: &[OwnedEntry], tombstones: &[RangeTombstone]) -> Arc<[Arc<Table>]> {
    let options = TableOptions {
        block_bytes: 60,
        partition_bytes: 150,
        compression: Compression::None,
    };
    let groups: Vec<_> = run.chunk_by(|a, b| a.key == b.key).collect();
    let mut tables = Vec::new();
    for (id, own) in groups.chunks(TABLE_KEYS).enumerate() {
        let start = if id == 0 {
            &[]
        } else {
            own[0][0].key.as_slice()
        };
        let next = groups
            .get((id + 1) * TABLE_KEYS)
            .map(|next| next[0].key.as_slice());
        let own_tombstones = clipped(tombstones, start, next);
        tables.push(table(id as u64, &own.concat(), &own_tombstones, options));
    }
    if tables.is_empty() && !tombstones.is_empty() {
        tables = vec![table(99, run, tombstones, options)];
    }
    tables.into()
}

fn clipped(tombstones: &[RangeTombstone], start: &[u8], end: Option<&[u8]>) -> Vec<RangeTombstone> {
    let clip = |tombstone: &RangeTombstone| RangeTombstone {
        start: tombstone.start.as_slice().max(start).to_vec(),
        end: end
            .map_or(tombstone.end.as_slice(), |end| {
                tombstone.end.as_slice().min(end)
            })
            .to_vec(),
        version: tombstone.version,
    };
    tombstones
        .iter()
        .map(clip)
        .filter(|tombstone| tombstone.start < tombstone.end)
        .collect()
}

fn cursor(tables: &Arc<[Arc<Table>]>, lower: Option<&[u8]>, upper: Option<&[u8]>) -> LevelCursor {
    let options = CursorOptions {
        lower: lower.map(Bytes::copy_from_slice),
        upper: upper.map(Bytes::copy_from_slice),
        ..CursorOptions::default()
    };
    LevelCursor::new(Arc::clone(tables), options)
}

/// A read at `at`, of the past.
fn moment(at: u64) -> Moment<Arc<dyn Clock>> {
    Moment::new(
        Asked::Version(Version::from_u64(at)),
        u64::MAX,
        Arc::new(ManualClock::new()),
    )
}

/// What a read at `at` sees.
fn visible(
    runs: &[Vec<OwnedEntry>],
    tombstones: &[RangeTombstone],
    at: u64,
) -> BTreeMap<Vec<u8>, OwnedEntry> {
    let mut newest: BTreeMap<Vec<u8>, OwnedEntry> = BTreeMap::new();
    for entry in runs.iter().flatten().filter(|entry| entry.version <= at) {
        let slot = newest
            .entry(entry.key.clone())
            .or_insert_with(|| entry.clone());
        if entry.version > slot.version {
            *slot = entry.clone();
        }
    }
    newest.retain(|key, entry| {
        let expires_at = entry.kind.expires_at(&entry.value);
        entry.kind != EntryKind::Delete
            && expires_at.is_none_or(|expires_at| expires_at > at)
            && !tombstones
                .iter()
                .any(|tombstone| tombstone.hides(key, entry.version, at))
    });
    newest
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_scan_shows_each_visible_key_once(
        runs in runs(),
        tombstones in tombstones(),
        bounds in (keys(), proptest::option::of(keys())),
        at in 0..42_u64,
        reverse: bool,
    ) {
        let (start, end) = bounds;
        let levels: Vec<_> = runs
            .iter()
            .enumerate()
            .map(|(number, run)| level(run, if number == 1 { &tombstones } else { &[] }))
            .collect();
        let direction = if reverse { Direction::Reverse } else { Direction::Forward };
        let sources: Vec<TableSource> = levels
            .iter()
            .map(|tables| match direction {
                Direction::Forward => {
                    TableSource::forward(cursor(tables, None, end.as_deref()), &start, at).unwrap()
                }
                Direction::Reverse => {
                    let cursor = cursor(tables, Some(&start), None);
                    TableSource::reverse(cursor, end.as_deref(), at).unwrap()
                }
            })
            .collect();
        let covers = levels.iter().flat_map(|tables| tables.iter().cloned().map(TableCover));
        let limit = match direction {
            Direction::Forward => end.clone(),
            Direction::Reverse => Some(start.clone()),
        };
        let inputs = (sources, covers.collect());
        let mut merge = VisibleMerge::new(inputs, direction, moment(at), limit);
        let mut found = Vec::new();
        while merge.next().unwrap() {
            let record = merge.record().unwrap();
            let (version, value) = (record.version.as_u64(), record.value.to_vec());
            prop_assert_eq!(merge.lend(), Some((version, value.as_slice())));
            found.push((merge.key().to_vec(), version, value));
        }
        let mut expected: Vec<_> = visible(&runs, &tombstones, at)
            .into_values()
            .filter(|e| start <= e.key && end.as_ref().is_none_or(|end| e.key < *end))
            .map(|entry| {
                let value = entry.value[entry.kind.prefix_bytes()..].to_vec();
                (entry.key, entry.version, value)
            })
            .collect();
        if reverse {
            expected.reverse();
        }
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn a_merge_of_entries_is_their_union(runs in runs()) {
        let cursors = runs.iter().map(|run| cursor(&level(run, &[]), None, None)).collect();
        let mut merge = EntryMerge::new(cursors, None).unwrap();
        let mut found = Vec::new();
        while let Some(entry) = merge.current() {
            let (key, value) = (entry.key().to_vec(), entry.value().to_vec());
            found.push(OwnedEntry { key, version: entry.version(), kind: entry.kind(), value });
            merge.next().unwrap();
        }
        let mut expected = runs.concat();
        sort(&mut expected);
        prop_assert_eq!(found, expected);
    }
}
