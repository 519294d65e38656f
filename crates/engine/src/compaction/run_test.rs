//! Compactions against an oracle: what a retained read sees does not change, and nothing
//! superfluous stays.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
};

use bytes::Bytes;
use nokv_env::Env;
use nokv_types::Version;
use proptest::prelude::*;

use super::{Job, KeySpan, NewTable, NoLimit, Part, run};
use crate::{
    Compression, Error, Keyspace, Retention,
    entry::{EntryKind, RangeTombstone},
    merge::LevelCursor,
    table::{
        CursorOptions, Table, TableOptions,
        testing::{OwnedEntry, file, open, sort, table},
    },
    vlog::StayPut,
};

/// Entries and range tombstones of one source.
#[derive(Clone, Default, Debug)]
struct Content {
    entries: Vec<OwnedEntry>,
    tombstones: Vec<RangeTombstone>,
}

#[derive(Clone, Debug)]
enum Change {
    Put(Vec<u8>),
    /// With the version from which on it has expired.
    PutExpiring(Vec<u8>, u64),
    Delete(Vec<u8>),
    DeleteRange(Vec<u8>, Vec<u8>),
}

fn keys() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(0..3_u8, 1..3)
}

fn changes(count: usize) -> impl Strategy<Value = Vec<(u64, Change)>> {
    let change = prop_oneof![
        6 => keys().prop_map(Change::Put),
        2 => (keys(), 0..90_u64).prop_map(|(key, at)| Change::PutExpiring(key, at)),
        3 => keys().prop_map(Change::Delete),
        1 => (keys(), keys()).prop_map(|(start, end)| Change::DeleteRange(start, end)),
    ];
    // Some changes share a version, as those of one batch do.
    proptest::collection::vec((0..3_u64, change), 0..count).prop_map(|changes| {
        let mut version = 1;
        let next = |(step, change)| {
            version += step;
            (version, change)
        };
        changes.into_iter().map(next).collect()
    })
}

/// The changes, one after another in time, dealt to as many sources as there are cuts and one,
/// oldest first.
fn deal(changes: &[(u64, Change)], cuts: &[usize]) -> Vec<Content> {
    let mut sources = vec![Content::default(); cuts.len() + 1];
    for (place, (version, change)) in changes.iter().enumerate() {
        let source = cuts.iter().filter(|cut| place >= **cut).count();
        let source = &mut sources[source];
        let version = *version;
        match change {
            Change::Put(key) => {
                source
                    .entries
                    .push(OwnedEntry::put(key, version, &version.to_be_bytes()));
            }
            Change::PutExpiring(key, expires_at) => {
                let entry = OwnedEntry::put_expiring(key, version, *expires_at);
                source.entries.push(entry);
            }
            Change::Delete(key) => source.entries.push(OwnedEntry::delete(key, version)),
            Change::DeleteRange(start, end) if start < end => {
                let (start, end) = (start.clone(), end.clone());
                source.tombstones.push(RangeTombstone {
                    start,
                    end,
                    version,
                });
            }
            Change::DeleteRange(..) => {}
        }
    }
    // In one version, the first change of a key counts, wherever it was dealt to: sources agree on
    // it.
    let mut seen = BTreeSet::new();
    for source in &mut sources {
        source
            .entries
            .retain(|entry| seen.insert((entry.key.clone(), entry.version)));
        sort(&mut source.entries);
    }
    sources
}

/// What a read at `at` sees of all sources.
fn visible<'a>(
    sources: impl Iterator<Item = &'a Content> + Clone,
    at: u64,
) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut newest: BTreeMap<&[u8], &OwnedEntry> = BTreeMap::new();
    let entries = sources.clone().flat_map(|source| &source.entries);
    for entry in entries.filter(|entry| entry.version <= at) {
        let slot = newest.entry(&entry.key).or_insert(entry);
        if entry.version > slot.version {
            *slot = entry;
        }
    }
    let is_hidden = |entry: &OwnedEntry| {
        let mut tombstones = sources.clone().flat_map(|source| &source.tombstones);
        tombstones.any(|tombstone| tombstone.hides(&entry.key, entry.version, at))
    };
    let is_expired = |e: &OwnedEntry| {
        e.kind
            .expires_at(&e.value)
            .is_some_and(|expires_at| expires_at <= at)
    };
    let live = newest
        .into_values()
        .filter(|e| e.kind != EntryKind::Delete && !is_hidden(e) && !is_expired(e));
    live.map(|entry| (entry.key.clone(), entry.value.clone()))
        .collect()
}

fn options() -> TableOptions {
    TableOptions {
        block_bytes: 64,
        compression: Compression::None,
        ..TableOptions::default()
    }
}

/// Compacts the sources (newest first) and reads the outputs back.
fn compact(
    sources: &[Content],
    deeper: Vec<KeySpan>,
    (retention, unpinned_from): (&Retention, Option<Keyspace>),
    table_bytes: u64,
    cuts: &[Vec<u8>],
) -> Result<(Content, Vec<Arc<Table>>), Error> {
    let inputs: Vec<_> = sources
        .iter()
        .enumerate()
        .filter_map(|(id, source)| {
            let is_empty = source.entries.is_empty() && source.tombstones.is_empty();
            let table = || table(id as u64, &source.entries, &source.tombstones, options());
            (!is_empty).then(|| Arc::from([table()]))
        })
        .collect();
    let env = Env::memory(1);
    let mut files = Vec::new();
    let mut outputs = Vec::new();
    let cuts = cuts.iter().map(|cut| Some(Bytes::copy_from_slice(cut)));
    let bounds: Vec<Option<Bytes>> = [None].into_iter().chain(cuts).chain([None]).collect();
    for bound in bounds.windows(2) {
        let job = Job {
            inputs: Vec::clone(&inputs),
            part: Part {
                from: bound[0].clone(),
                to: bound[1].clone(),
            },
            deeper: deeper.clone(),
            retention,
            unpinned_from,
            table_options: options(),
            table_bytes,
            values: &StayPut,
            throttle: &NoLimit,
            cancel: &AtomicBool::new(false),
        };
        outputs.extend(run(job, &mut || {
            let number = files.len() as u64;
            let file = file(&env, &number.to_string());
            files.push(Arc::clone(&file));
            let path = PathBuf::from("/tables/t");
            Ok(NewTable { number, path, file })
        })?);
    }
    assert_eq!(outputs.len(), files.len());
    let mut content = Content::default();
    let mut tables = Vec::new();
    for (number, summary) in outputs {
        assert!(!summary.is_empty());
        let table = open(&files[usize::try_from(number).unwrap()], 100 + number)?;
        assert_eq!(table.summary(), &summary);
        assert_eq!(table.verify()?, summary.entry_count);
        content.tombstones.extend(table.range_tombstones().iter());
        tables.push(table);
    }
    let mut cursor = LevelCursor::new(tables.clone().into(), CursorOptions::default());
    cursor.seek_to_first()?;
    while cursor.is_valid() {
        content.entries.push(OwnedEntry {
            key: cursor.key().to_vec(),
            version: cursor.version(),
            kind: cursor.kind(),
            value: cursor.value().to_vec(),
        });
        cursor.next()?;
    }
    Ok((content, tables))
}

fn retention() -> impl Strategy<Value = Retention> {
    (0..60_u64, proptest::collection::vec(0..60_u64, 0..4)).prop_map(|(horizon, pins)| Retention {
        horizon: Version::from_u64(horizon),
        pins: pins.into_iter().map(Version::from_u64).collect(),
    })
}

fn rule(retention: &Retention, unpinned: Option<u8>) -> (&Retention, Option<Keyspace>) {
    (retention, unpinned.map(Keyspace::new))
}

/// Every version at which a read is retained; above 90 nothing happens any more.
fn retained(retention: &Retention) -> BTreeSet<u64> {
    let pins = retention.pins.iter().map(|pin| pin.as_u64());
    (retention.horizon.as_u64()..=90)
        .chain([u64::MAX])
        .chain(pins)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn retained_reads_see_the_same_before_and_after(
        changes in changes(60),
        cuts in [0..60_usize, 0..60_usize, 0..60_usize, 0..60_usize],
        retention in retention(),
        unpinned in proptest::option::of(0..3_u8),
        table_bytes in 1..2000_u64,
        skip in 0..2_usize,
        parts in proptest::collection::btree_set(keys(), 0..3),
    ) {
        let parts: Vec<Vec<u8>> = parts.into_iter().collect();
        let mut sources = deal(&changes, &cuts);
        sources.reverse();
        // The newest source is a memtable, say; the oldest, or none, is a lower level.
        let (upper, rest) = sources.split_at(1);
        let (inputs, lower) = rest.split_at(rest.len() - skip);
        let deeper = lower.iter().filter_map(|source| {
            let table = table(9, &source.entries, &source.tombstones, options());
            (!table.summary().is_empty()).then(|| KeySpan::of(table.summary()))
        });
        let (output, tables) =
            compact(inputs, deeper.collect(), rule(&retention, unpinned), table_bytes, &parts)
                .unwrap();
        for pair in tables.windows(2) {
            prop_assert!(pair[0].summary().largest <= pair[1].summary().smallest);
        }
        for at in retained(&retention) {
            let mut before = visible(sources.iter(), at);
            let after = upper.iter().chain([&output]).chain(lower);
            let mut after = visible(after, at);
            // Below the horizon, pins hold only what they hold.
            if let Some(unpinned) = unpinned && at < retention.horizon.as_u64() {
                before.retain(|key, _| key[0] < unpinned);
                after.retain(|key, _| key[0] < unpinned);
            }
            prop_assert_eq!(after, before, "at {}", at);
        }
    }

    #[test]
    fn nothing_superfluous_survives_at_the_bottom(
        changes in changes(60),
        cut in 0..60_usize,
        retention in retention(),
        unpinned in proptest::option::of(0..3_u8),
        table_bytes in 1..2000_u64,
        parts in proptest::collection::btree_set(keys(), 0..3),
    ) {
        let parts: Vec<Vec<u8>> = parts.into_iter().collect();
        let mut sources = deal(&changes, &[cut]);
        sources.reverse();
        let compacted = compact(
            &sources, Vec::new(), rule(&retention, unpinned), table_bytes, &parts,
        );
        let (output, tables) = compacted.unwrap();
        let horizon = retention.horizon.as_u64();
        let reads = retained(&retention);
        let hides = |tombstone: &RangeTombstone, e: &OwnedEntry| {
            tombstone.hides(&e.key, e.version, u64::MAX)
        };
        for entry in &output.entries {
            let read = |at: u64| visible(sources.iter(), at).remove(&entry.key);
            let free = unpinned.is_some_and(|unpinned| entry.key[0] >= unpinned);
            let seen = |at: &u64| {
                (*at >= horizon || !free) && read(*at).as_ref() == Some(&entry.value)
            };
            let older = |e: &&OwnedEntry| e.key == entry.key && e.version < entry.version;
            let is_needed = match entry.kind {
                EntryKind::Put | EntryKind::PutExpiring if entry.version > horizon => true,
                EntryKind::Put | EntryKind::PutExpiring => reads.iter().any(seen),
                EntryKind::Pointer | EntryKind::PointerExpiring => {
                    unreachable!("none was written")
                }
                EntryKind::Delete => {
                    entry.version > horizon || output.entries.iter().any(|e| older(&e))
                }
            };
            prop_assert!(is_needed, "{:?} survives", entry);
        }
        for tombstone in &output.tombstones {
            let is_needed = tombstone.version > horizon
                || output.entries.iter().any(|entry| hides(tombstone, entry));
            prop_assert!(is_needed, "{:?} survives", tombstone);
        }
        // So the estimate of what can be dropped is zero, and the tables are not chosen again.
        let mut pins: Vec<u64> = retention.pins.iter().map(|pin| pin.as_u64()).collect();
        pins.sort_unstable();
        for table in &tables {
            prop_assert_eq!(table.summary().garbage.droppable(horizon, &pins), 0);
        }
    }
}

#[test]
fn an_expired_value_is_a_deletion() {
    let entries = vec![
        OwnedEntry::put_expiring(b"a", 5, 8),
        OwnedEntry::put(b"a", 1, b"."),
        OwnedEntry::put(b"b", 1, b"."),
    ];
    let input: Arc<[Arc<Table>]> = Arc::from([table(1, &entries, &[], options())]);
    let env = Env::memory(1);
    let run_at = |horizon: u64, deeper: Vec<KeySpan>| {
        let retention = Retention {
            horizon: Version::from_u64(horizon),
            pins: Vec::new(),
        };
        let job = Job {
            inputs: vec![Arc::clone(&input)],
            part: Part::default(),
            deeper,
            retention: &retention,
            unpinned_from: None,
            table_options: options(),
            table_bytes: 1 << 20,
            values: &StayPut,
            throttle: &NoLimit,
            cancel: &AtomicBool::new(false),
        };
        let create = &mut || {
            let path = PathBuf::from("/tables/t");
            Ok(NewTable {
                number: 1,
                path,
                file: file(&env, "t"),
            })
        };
        let (_, summary) = run(job, create).unwrap().remove(0);
        (summary.entry_count, summary.tombstone_count)
    };
    let everywhere = || {
        vec![KeySpan {
            smallest: vec![],
            largest: vec![255],
        }]
    };
    assert_eq!(
        run_at(7, everywhere()),
        (2, 0),
        "not expired at 7: a at 5, and b"
    );
    assert_eq!(
        run_at(8, everywhere()),
        (2, 1),
        "a deletion, which a lower level may need"
    );
    assert_eq!(run_at(8, vec![]), (1, 0), "nothing below: only b");
}

#[test]
fn a_cancelled_compaction_ends() {
    let input: Arc<[Arc<Table>]> = Arc::from([table(
        1,
        &[OwnedEntry::put(b"a", 1, &[1; 300 << 10])],
        &[],
        options(),
    )]);
    let job = Job {
        inputs: vec![input],
        part: Part::default(),
        deeper: Vec::new(),
        retention: &Retention::default(),
        unpinned_from: None,
        table_options: options(),
        table_bytes: 1 << 20,
        values: &StayPut,
        throttle: &NoLimit,
        cancel: &AtomicBool::new(true),
    };
    let create = &mut || unreachable!("nothing is written");
    assert!(matches!(run(job, create), Err(Error::Closed)));
}
