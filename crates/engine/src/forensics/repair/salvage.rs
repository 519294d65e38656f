//! What can be read of damaged files, as new tables.

use std::{cmp::Reverse, path::Path, sync::Arc};

use nokv_env::{File, OpenMode};

use super::super::{
    stopped::StoppedStore,
    value_check::{check_operation, check_value},
};
use crate::{
    Error,
    batch::{Operation, Operations},
    compaction::NoLimit,
    db::table_path,
    entry::{EntryKind, RangeTombstone},
    table::{BlockCursor, DataVisit, TableOptions, TableSummary, TableWriter, walk},
    tombstones::Tombstones,
    vlog::ValueFiles,
    wal::{LogStart, scan_segment},
};

/// Records of the log are gathered up to this size before they become a table.
const FOLD_BYTES: usize = 64 << 20;

/// Entries of one file, in order, into a table.
struct Copy<'a> {
    values: &'a ValueFiles,
    writer: TableWriter,
    last: Option<(Vec<u8>, u64)>,
    failure: Option<Error>,
}

impl Copy<'_> {
    fn take(&mut self, visit: &DataVisit<'_>) {
        let mut cursor = BlockCursor::default();
        cursor.enter(visit.block.clone());
        let mut outcome = cursor.seek_to_first();
        while outcome.is_ok() && cursor.is_valid() && self.failure.is_none() {
            let (key, version) = (cursor.key(), cursor.version());
            let is_after = self.last.as_ref().is_none_or(|(last, before)| {
                last.as_slice() < key || (last == key && version < *before)
            });
            // Order is not checked by a checksum, and a writer takes nothing out of order.
            let stored = (cursor.kind(), cursor.value());
            if is_after && check_value(self.values, (key, version), stored).is_ok() {
                let added = self.writer.add(key, version, cursor.kind(), cursor.value());
                self.failure = added.err();
                let last = self.last.get_or_insert_default();
                last.0.clear();
                last.0.extend_from_slice(key);
                last.1 = version;
            }
            outcome = cursor.next();
        }
    }
}

impl StoppedStore {
    /// Writes what can be read of table `number` to `to`; `None` when that is nothing.
    pub(super) fn salvage_table(
        &self,
        number: u64,
        to: &Path,
    ) -> Result<Option<TableSummary>, Error> {
        let from = table_path(&self.dir, number);
        let source = self.env.files.open(&from, OpenMode::Read);
        let source = source.map_err(|error| Error::io("opening", &from, error))?;
        let values = self.value_files()?;
        let mut copy = Copy {
            values: &values,
            writer: TableWriter::new(self.make(to)?, to, TableOptions::default()),
            last: None,
            failure: None,
        };
        let walk = walk(source.as_ref(), &from, &NoLimit, &mut |visit| {
            copy.take(&visit)
        })?;
        if let Some(error) = copy.failure {
            return Err(error);
        }
        for tombstone in walk.tombstones.iter() {
            copy.writer
                .add_range_tombstone(&tombstone.start, &tombstone.end, tombstone.version);
        }
        let summary = copy.writer.finish()?;
        if summary.is_empty() {
            let removed = self.env.files.remove(to);
            removed.map_err(|error| Error::io("removing", to, error))?;
            return Ok(None);
        }
        Ok(Some(summary))
    }

    /// Writes all records of the log that can be read, from `start` on, to tables; `next` gives
    /// their numbers. Older records come first. Returns the tables and the highest sequence.
    pub(super) fn fold_log(
        &self,
        start: LogStart,
        next: &mut dyn FnMut() -> u64,
    ) -> Result<(Vec<(u64, TableSummary)>, u64), Error> {
        let values = self.value_files()?;
        let mut fold = Fold {
            store: self,
            values: &values,
            gathered: Gathered::default(),
            tables: Vec::new(),
            last_sequence: start.sequence.saturating_sub(1),
            failure: None,
            next,
        };
        for number in self.files()?.segments {
            if number < start.segment {
                continue;
            }
            scan_segment(
                self.env.files.as_ref(),
                &self.dir,
                (number, None),
                &mut |place, payload| {
                    // A sequence that was there before is what an earlier recovery had cut.
                    if place.sequence > fold.last_sequence {
                        fold.last_sequence = place.sequence;
                        fold.take(payload);
                    }
                },
            )?;
        }
        fold.write()?;
        match fold.failure {
            Some(error) => Err(error),
            None => Ok((fold.tables, fold.last_sequence)),
        }
    }

    /// A new file.
    fn make(&self, path: &Path) -> Result<Arc<dyn File>, Error> {
        let file = self.env.files.open(path, OpenMode::Create);
        file.map_err(|error| Error::io("making", path, error))
    }
}

/// What is gathered for the next table.
#[derive(Default)]
struct Gathered {
    entries: Vec<(Vec<u8>, u64, EntryKind, Vec<u8>)>,
    tombstones: Tombstones,
    bytes: usize,
}

struct Fold<'a> {
    store: &'a StoppedStore,
    values: &'a ValueFiles,
    gathered: Gathered,
    tables: Vec<(u64, TableSummary)>,
    last_sequence: u64,
    failure: Option<Error>,
    next: &'a mut dyn FnMut() -> u64,
}

impl Fold<'_> {
    /// A batch that does not decode is left out as a whole.
    fn take(&mut self, payload: &[u8]) {
        let operations: Result<Vec<_>, _> = Operations::new(payload).collect();
        for operation in operations.unwrap_or_default() {
            if check_operation(self.values, &operation).is_err() {
                continue;
            }
            match operation {
                Operation::Entry {
                    key,
                    version,
                    kind,
                    value,
                } => {
                    self.gathered.bytes += key.len() + value.len();
                    let entry = (key.to_vec(), version, kind, value.to_vec());
                    self.gathered.entries.push(entry);
                }
                Operation::DeleteRange {
                    start,
                    end,
                    version,
                } => {
                    self.gathered.bytes += start.len() + end.len();
                    self.gathered.tombstones.add(RangeTombstone {
                        start: start.to_vec(),
                        end: end.to_vec(),
                        version,
                    });
                }
            }
        }
        if self.gathered.bytes >= FOLD_BYTES && self.failure.is_none() {
            self.failure = self.write().err();
        }
    }

    fn write(&mut self) -> Result<(), Error> {
        let Gathered {
            mut entries,
            tombstones,
            ..
        } = std::mem::take(&mut self.gathered);
        if entries.is_empty() && tombstones.is_empty() {
            return Ok(());
        }
        // Of the same key and version the later one counts, as in a memtable.
        entries.reverse();
        entries.sort_by(|a, b| (&a.0, Reverse(a.1)).cmp(&(&b.0, Reverse(b.1))));
        entries.dedup_by(|later, earlier| (&later.0, later.1) == (&earlier.0, earlier.1));
        let number = (self.next)();
        let path = table_path(&self.store.dir, number);
        let file = self.store.make(&path)?;
        let mut writer = TableWriter::new(file, &path, TableOptions::default());
        for (key, version, kind, value) in &entries {
            writer.add(key, *version, *kind, value)?;
        }
        for tombstone in tombstones.iter() {
            writer.add_range_tombstone(&tombstone.start, &tombstone.end, tombstone.version);
        }
        self.tables.push((number, writer.finish()?));
        Ok(())
    }
}
