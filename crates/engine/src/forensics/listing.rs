//! What is in the files of a stopped store, one kind at a time.

use nokv_env::OpenMode;

use super::{
    damage::Damage,
    stopped::StoppedStore,
    table_check::{check_table, content_name},
};
use crate::{
    Error,
    batch::{Operation, Operations},
    compaction::NoLimit,
    db::table_path,
    entry::EntryKind,
    manifest::{EditPlace, current_number, scan_manifest},
    mark::Promise,
    stats::LevelStats,
    table::{BlockCursor, Table, TableSummary, walk},
    wal::{SegmentScan, scan_segment},
};

/// A store, summed up.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StoreSummary {
    /// The manifest that was read; `None` when there is none.
    pub manifest_number: Option<u64>,
    /// Why it, or `CURRENT`, can't be trusted.
    pub manifest_damage: Option<Damage>,
    /// The highest version in tables, or above.
    pub last_version: u64,
    /// The first segment of the log that is needed, and the sequence of its first record.
    pub log_start: (u64, u64),
    /// Records of the log up to this sequence were promised.
    pub promised_sequence: u64,
    /// The levels of tables, from level 0 down.
    pub levels: Vec<LevelStats>,
    /// The part of the tables that no newer entry of the same table hides, bytes: what newer
    /// tables hide counts as live.
    pub table_live_bytes: u64,
    /// Entries in tables.
    pub entry_count: u64,
    /// Deletions among them, of keys and of ranges.
    pub tombstone_count: u64,
    /// Segments of the log.
    pub segment_count: u64,
    /// Their size, bytes.
    pub segment_bytes: u64,
    /// Tables on disk that the manifest does not name: garbage of an unfinished flush or
    /// compaction.
    pub unlisted_tables: Vec<u64>,
    /// Tables that the manifest names and that are not there.
    pub missing_tables: Vec<u64>,
}

/// A manifest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ManifestListing {
    /// The number in its name.
    pub number: u64,
    /// Whether `CURRENT` names it.
    pub is_current: bool,
    /// Length of the file, bytes.
    pub bytes: u64,
    /// The edits that can be read.
    pub edits: Vec<EditListing>,
    /// Why a store would refuse it.
    pub damage: Option<Damage>,
}

/// An edit of a manifest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EditListing {
    /// Where it is, bytes.
    pub offset: u64,
    /// With its head.
    pub bytes: u64,
    /// 0 for the first of the file.
    pub sequence: u64,
    /// The segment where the log begins from now on, and the sequence of its first record.
    pub log_start: Option<(u64, u64)>,
    /// The highest version in tables, or above.
    pub last_version: Option<u64>,
    /// Level and number.
    pub added: Vec<(usize, u64)>,
    /// Level and number.
    pub removed: Vec<(usize, u64)>,
    /// False when only the checksum of it is right.
    pub is_readable: bool,
}

/// A segment of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentListing {
    /// The number in its name.
    pub number: u64,
    /// Length of the file, bytes.
    pub bytes: u64,
    /// The sequence of its first record, as its head says; `None` when the head is damaged.
    pub first_sequence: Option<u64>,
    /// The sequence of the last record that can be read.
    pub last_sequence: Option<u64>,
    /// Records that can be read.
    pub record_count: u64,
    /// Offset and length of places that are neither record nor blank: damage, or the torn end of
    /// what nobody was promised.
    pub unreadable: Vec<(u64, u64)>,
}

/// A record of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordListing {
    /// The segment that it is in.
    pub segment: u64,
    /// Where, bytes.
    pub offset: u64,
    /// With its head.
    pub bytes: u64,
    /// Its number, over all segments.
    pub sequence: u64,
    /// Records up to this sequence were synced when it was written.
    pub synced: u64,
    /// The operations of its batch, as far as they decode.
    pub operations: Vec<OperationListing>,
}

/// An operation of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OperationListing {
    /// `put`, `put-expiring`, `delete`, `delete-range`; `put-apart`, `put-apart-expiring` when the
    /// value is in the value log.
    pub kind: &'static str,
    /// The keyspace.
    pub keyspace: u8,
    /// The key; of a range its start.
    pub key: Vec<u8>,
    /// The end of a range.
    pub end: Option<Vec<u8>>,
    /// Its version.
    pub version: u64,
    /// Length of the value, bytes.
    pub value_bytes: u64,
}

/// A table.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TableListing {
    /// The number in its name.
    pub number: u64,
    /// Its level; `None` when the manifest does not name it, or can't be read.
    pub level: Option<usize>,
    /// Length of the file, bytes.
    pub bytes: u64,
    /// Entries: puts and deletions.
    pub entry_count: u64,
    /// Distinct keys.
    pub key_count: u64,
    /// Deletions of keys.
    pub tombstone_count: u64,
    /// Deletions of ranges.
    pub range_tombstone_count: u64,
    /// The lowest key, the byte of its keyspace first.
    pub smallest: Vec<u8>,
    /// The highest key, the byte of its keyspace first.
    pub largest: Vec<u8>,
    /// The lowest version.
    pub version_min: u64,
    /// The highest version.
    pub version_max: u64,
    /// Why it can't be opened. Blocks are not read for a listing.
    pub damage: Option<Damage>,
}

/// A block of a table, or bytes that are none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BlockListing {
    /// Where it is, bytes.
    pub offset: u64,
    /// With its trailer.
    pub bytes: u64,
    /// What it contains; `damaged` for bytes that are no block.
    pub content: &'static str,
    /// Entries of a data block; partitions, or blocks, of an index.
    pub entry_count: u64,
    /// The first key of a data block, the byte of its keyspace first.
    pub first_key: Option<Vec<u8>>,
    /// What is wrong.
    pub damage: Option<Damage>,
}

impl StoppedStore {
    /// Sums the store up, from manifest and names alone.
    ///
    /// # Errors
    /// `Io`.
    pub fn summary(&self) -> Result<StoreSummary, Error> {
        let files = self.files()?;
        let promise = Promise::load(&self.env, &self.dir)?;
        let scan = self.best_manifest(&files, promise)?;
        let mut summary = StoreSummary {
            segment_count: files.segments.len() as u64,
            promised_sequence: promise.log_sequence,
            ..StoreSummary::default()
        };
        let current = current_number(&self.env, &self.dir);
        let current_path = self.dir.join("CURRENT");
        summary.manifest_damage = match (&current, &scan) {
            (Err(error), _) => Some(Damage::of(error, &current_path)),
            (Ok(None), _) => Some(Damage::new(
                &current_path,
                0,
                "a manifest's name",
                "no file",
            )),
            (Ok(Some(_)), Some(scan)) => scan
                .state
                .as_ref()
                .err()
                .map(|error| Damage::of(error, &scan.path)),
            (Ok(Some(_)), None) => Some(Damage::new(&current_path, 0, "a manifest", "no file")),
        };
        for number in &files.segments {
            let path = crate::wal::segment_path(&self.dir, *number);
            let metadata = self.env.files.metadata(&path);
            summary.segment_bytes += metadata.map_or(0, |metadata| metadata.size);
        }
        let Some(scan) = scan else {
            summary.unlisted_tables = files.tables.iter().map(|(number, _)| *number).collect();
            return Ok(summary);
        };
        let state = self.seen(&scan);
        summary.manifest_number = Some(scan.number);
        summary.last_version = state.last_version;
        summary.log_start = (state.log_start.segment, state.log_start.sequence);
        for tables in &state.levels {
            let tables = || tables.values().map(|table| &table.summary);
            summary.levels.push(LevelStats {
                table_count: tables().count() as u64,
                bytes: tables().map(|table| table.bytes).sum(),
            });
            summary.table_live_bytes += tables().map(TableSummary::live_bytes).sum::<u64>();
            summary.entry_count += tables().map(|table| table.entry_count).sum::<u64>();
            let deletions = |t: &TableSummary| t.tombstone_count + t.range_tombstone_count;
            summary.tombstone_count += tables().map(deletions).sum::<u64>();
        }
        let is_there = |number: &u64| files.tables.iter().any(|(other, _)| other == number);
        let listed = state
            .levels
            .iter()
            .flat_map(|tables| tables.keys().copied());
        summary.missing_tables = listed.filter(|number| !is_there(number)).collect();
        let numbers = files.tables.iter().map(|(number, _)| *number);
        summary.unlisted_tables = numbers.filter(|number| !state.has_table(*number)).collect();
        Ok(summary)
    }

    /// All manifests, with the edits that can be read.
    ///
    /// # Errors
    /// `Io`.
    pub fn manifests(&self) -> Result<Vec<ManifestListing>, Error> {
        let current = current_number(&self.env, &self.dir).ok().flatten();
        let promise = Promise::load(&self.env, &self.dir)?;
        let mut listings = Vec::new();
        for number in self.files()?.manifests {
            let is_meant = promise.manifest_number == number;
            let promised = if is_meant { promise.manifest_bytes } else { 0 };
            let scan = scan_manifest(&self.env, &self.dir, number, promised)?;
            let error = scan.state.as_ref().err();
            listings.push(ManifestListing {
                number,
                is_current: current == Some(number),
                bytes: scan.bytes,
                edits: scan.edits.iter().map(list_edit).collect(),
                damage: error.map(|error| Damage::of(error, &scan.path)),
            });
        }
        Ok(listings)
    }

    /// All segments of the log.
    ///
    /// # Errors
    /// `Io`; `Unsupported`.
    pub fn segments(&self) -> Result<Vec<SegmentListing>, Error> {
        let mut listings = Vec::new();
        for number in self.files()?.segments {
            listings.push(list_segment(&self.scan(number, &mut |_, _| {})?));
        }
        Ok(listings)
    }

    /// Records of the log from sequence `from` on, at most `limit`, as far as they can be read.
    ///
    /// # Errors
    /// `Io`; `Unsupported`.
    pub fn records(&self, from: u64, limit: usize) -> Result<Vec<RecordListing>, Error> {
        let mut records = Vec::new();
        for number in self.files()?.segments {
            self.scan(number, &mut |place, payload| {
                if place.sequence >= from && records.len() < limit {
                    records.push(RecordListing {
                        segment: number,
                        offset: place.offset,
                        bytes: place.bytes,
                        sequence: place.sequence,
                        synced: place.synced,
                        operations: list_operations(payload),
                    });
                }
            })?;
            if records.len() >= limit {
                break;
            }
        }
        Ok(records)
    }

    fn scan(
        &self,
        number: u64,
        visit: &mut dyn FnMut(crate::wal::RecordPlace, &[u8]),
    ) -> Result<SegmentScan, Error> {
        scan_segment(self.env.files.as_ref(), &self.dir, (number, None), visit)
    }

    /// All tables: by level as far as the manifest can be read, then the others.
    ///
    /// # Errors
    /// `Io`.
    pub fn tables(&self) -> Result<Vec<TableListing>, Error> {
        let files = self.files()?;
        let promise = Promise::load(&self.env, &self.dir)?;
        let scan = self.best_manifest(&files, promise)?;
        let state = scan.map(|scan| self.seen(&scan));
        let mut listings = Vec::new();
        for (level, tables) in state
            .iter()
            .flat_map(|state| state.levels.iter().enumerate())
        {
            for table in tables.values() {
                let mut listing = self.list_table(table.number);
                listing.level = Some(level);
                if listing.damage.is_some() {
                    fill(&mut listing, &table.summary);
                }
                listings.push(listing);
            }
        }
        let is_listed = |number| state.as_ref().is_some_and(|state| state.has_table(number));
        for (number, _) in files
            .tables
            .iter()
            .filter(|(number, _)| !is_listed(*number))
        {
            listings.push(self.list_table(*number));
        }
        Ok(listings)
    }

    fn list_table(&self, number: u64) -> TableListing {
        let mut listing = TableListing {
            number,
            ..TableListing::default()
        };
        match self.open_table(number) {
            Ok(table) => fill(&mut listing, table.summary()),
            Err(error) => {
                listing.damage = Some(Damage::of(&error, &table_path(&self.dir, number)));
            }
        }
        listing
    }

    pub(super) fn open_table(&self, number: u64) -> Result<Table, Error> {
        let path = table_path(&self.dir, number);
        let file = self.env.files.open(&path, OpenMode::Read);
        let file = file.map_err(|error| Error::io("opening", &path, error))?;
        let cache = std::sync::Arc::new(crate::cache::BlockCache::new(0));
        Table::open(file, &path, number, cache)
    }

    /// Every block of a table, in order, with what is wrong with it.
    ///
    /// # Errors
    /// `Io`, when there is no such table.
    pub fn blocks(&self, number: u64) -> Result<Vec<BlockListing>, Error> {
        let path = table_path(&self.dir, number);
        let file = self.env.files.open(&path, OpenMode::Read);
        let file = file.map_err(|error| Error::io("opening", &path, error))?;
        let mut first_keys = std::collections::BTreeMap::new();
        let walk = walk(file.as_ref(), &path, &NoLimit, &mut |visit| {
            let mut cursor = BlockCursor::default();
            cursor.enter(visit.block.clone());
            if cursor.seek_to_first().is_ok() {
                first_keys.insert(visit.offset, cursor.key().to_vec());
            }
        })?;
        let whole = walk.blocks.iter().map(|block| BlockListing {
            offset: block.offset,
            bytes: block.bytes.into(),
            content: content_name(block.content),
            entry_count: block.entry_count,
            first_key: first_keys.get(&block.offset).cloned(),
            damage: None,
        });
        let lost = walk.lost.iter().map(|lost| BlockListing {
            offset: lost.offset,
            bytes: lost.bytes,
            content: "damaged",
            damage: Some(Damage::of(&lost.error, &path)),
            ..BlockListing::default()
        });
        let mut listings: Vec<BlockListing> = whole.chain(lost).collect();
        listings.sort_by_key(|block| block.offset);
        Ok(listings)
    }

    /// Reads one table in full.
    ///
    /// # Errors
    /// `Io`, when there is no such table.
    pub fn verify_table(&self, number: u64) -> Result<Vec<Damage>, Error> {
        let path = table_path(&self.dir, number);
        let file = self.env.files.open(&path, OpenMode::Read);
        let file = file.map_err(|error| Error::io("opening", &path, error))?;
        let values = self.value_files()?;
        let check = check_table(file.as_ref(), &path, None, (&NoLimit, &values))?;
        let lost = check.lost_values.into_iter().map(|value| value.damage);
        Ok(check.damages.into_iter().chain(lost).collect())
    }
}

fn fill(listing: &mut TableListing, summary: &TableSummary) {
    listing.bytes = summary.bytes;
    listing.entry_count = summary.entry_count;
    listing.key_count = summary.key_count;
    listing.tombstone_count = summary.tombstone_count;
    listing.range_tombstone_count = summary.range_tombstone_count;
    listing.smallest.clone_from(&summary.smallest);
    listing.largest.clone_from(&summary.largest);
    listing.version_min = summary.version_min;
    listing.version_max = summary.version_max;
}

fn list_edit(place: &EditPlace) -> EditListing {
    let edit = place.edit.clone().unwrap_or_default();
    EditListing {
        offset: place.offset,
        bytes: place.bytes,
        sequence: place.sequence,
        log_start: edit.log_start.map(|start| (start.segment, start.sequence)),
        last_version: edit.last_version,
        added: edit
            .added
            .iter()
            .map(|(level, table)| (*level, table.number))
            .collect(),
        removed: edit.removed,
        is_readable: place.edit.is_some(),
    }
}

fn list_segment(scan: &SegmentScan) -> SegmentListing {
    let gaps = scan.gaps.iter().filter(|gap| !gap.is_blank);
    SegmentListing {
        number: scan.number,
        bytes: scan.bytes,
        first_sequence: scan.first_sequence,
        last_sequence: scan.records.last().map(|record| record.sequence),
        record_count: scan.records.len() as u64,
        unreadable: gaps.map(|gap| (gap.offset, gap.bytes)).collect(),
    }
}

fn list_operations(payload: &[u8]) -> Vec<OperationListing> {
    let decoded = Operations::new(payload).map_while(Result::ok);
    decoded.map(list_operation).collect()
}

fn list_operation(operation: Operation<'_>) -> OperationListing {
    let split = |key: &[u8]| {
        let (keyspace, key) = key.split_first().unwrap_or((&0, &[]));
        (*keyspace, key.to_vec())
    };
    match operation {
        Operation::Entry {
            key,
            version,
            kind,
            value,
        } => {
            let (keyspace, key) = split(key);
            OperationListing {
                kind: kind_name(kind),
                keyspace,
                key,
                end: None,
                version,
                value_bytes: value.len().saturating_sub(kind.prefix_bytes()) as u64,
            }
        }
        Operation::DeleteRange {
            start,
            end,
            version,
        } => {
            let (keyspace, key) = split(start);
            OperationListing {
                kind: "delete-range",
                keyspace,
                key,
                end: Some(split(end).1),
                version,
                value_bytes: 0,
            }
        }
    }
}

const fn kind_name(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Delete => "delete",
        EntryKind::Put => "put",
        EntryKind::PutExpiring => "put-expiring",
        EntryKind::Pointer => "put-apart",
        EntryKind::PointerExpiring => "put-apart-expiring",
    }
}
