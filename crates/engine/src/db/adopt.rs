//! Making tables that were written elsewhere part of the store.
//!
//! Invariant: a table is put in only where nothing that the store knows in its range is newer than,
//! or as new as, anything in it, and above all of that. That is asked, and acted on, while nobody
//! writes, compacts or edits the manifest; a memtable that meets the table is flushed before, or it
//! would stay above it.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use nokv_art::Cursor;
use nokv_env::Env;

use super::{
    core::{Core, Writing},
    engine::Engine,
    memory::Memory,
    tables::{Tables, open_table, table_path},
    view::View,
};
use crate::{
    Error, Record, Value,
    manifest::{Edit, TableMeta},
    moment::{Asked, LookupMoment},
    table::{CursorOptions, Reading, Table, TableCursor, TableSummary},
    transfer::{Candidate, IsVisible, conflict},
};

/// Flushes before giving up: each is needed only when somebody wrote into the range since the one
/// before, which an ingest is not made for.
const FLUSHES_MAX: usize = 8;

/// A key that the store knows, and its version.
type Known = (Vec<u8>, u64);

impl Engine {
    /// The store's machine.
    pub(crate) fn env(&self) -> &Env {
        &self.core().env
    }

    /// The store's folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.core().dir
    }

    /// A number for a file that is about to be brought in.
    pub(crate) fn take_number(&self) -> Result<u64, Error> {
        Ok(self.core().writing()?.manifest.lock().take_number())
    }

    /// Opens a table that is in the folder.
    pub(crate) fn open_table(&self, number: u64) -> Result<Arc<Table>, Error> {
        let core = self.core();
        open_table(&core.env, &core.dir, number, &core.cache)
    }

    /// Removes files that were brought in and are not needed.
    pub(crate) fn remove_files(&self, paths: &[PathBuf]) {
        for path in paths {
            // One that was never made is no reason to complain.
            if self.core().env.files.exists(path).unwrap_or(true) {
                self.core().remove_quietly(path);
            }
        }
    }

    /// # Errors
    /// `Invalid` when retention does not keep the state at `at`.
    pub(crate) fn check_retained(&self, at: nokv_types::Version) -> Result<(), Error> {
        let retention = Arc::clone(&self.core().retention.lock());
        if at >= retention.horizon || retention.pins.contains(&at) {
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "version {at} is below the retention horizon {} and not pinned",
            retention.horizon
        )))
    }

    /// Something that the store knows in the range of the table and that is not below it.
    pub(crate) fn find_conflict(&self, table: &Table) -> Result<Option<Known>, Error> {
        find_conflict(&self.core().view.load(), table.summary())
    }

    /// Whether each entry of the table is in the store as it is.
    pub(crate) fn has_all_of(&self, table: &Arc<Table>) -> Result<bool, Error> {
        let core = self.core();
        let view = core.view.load();
        let mut cursor = walk(table);
        cursor.seek_to_first()?;
        while cursor.is_valid() {
            let version = cursor.version();
            let moment = LookupMoment::new(
                Asked::Version(nokv_types::Version::from_u64(version)),
                version,
                &*core.env.clock,
            );
            let found = view.get(cursor.key(), &moment)?;
            let stored = Value::from(cursor.value_bytes());
            // What had expired when it was written reads as deleted.
            let is_same = match Record::of_stored(version, cursor.kind(), stored) {
                _ if moment.hides(cursor.kind(), cursor.value()) => found.is_none(),
                record => found == Some(record),
            };
            if !is_same {
                return Ok(false);
            }
            cursor.next()?;
        }
        Ok(true)
    }

    /// Makes the tables visible, all at once. `made` gets the paths that they are moved to.
    ///
    /// # Errors
    /// `Invalid` when one of them is not above what the store knows; `Io`; and whether they may be
    /// visible all the same.
    pub(crate) fn adopt(
        &self,
        candidates: &mut [Candidate],
        made: &mut Vec<PathBuf>,
    ) -> Result<(), (Error, IsVisible)> {
        let core = self.core();
        let before = |error| (error, IsVisible::No);
        let writing = core.writing().map_err(before)?;
        let _quiet = writing.compactions.hold();
        for _ in 0..FLUSHES_MAX {
            if core.try_adopt(writing, candidates)? {
                return Ok(());
            }
            core.flush().map_err(before)?;
            self.renumber(candidates, made).map_err(before)?;
        }
        let message = "keys in the range of the export are being written: stop that first";
        Err(before(Error::Invalid(message.to_owned())))
    }

    /// Gives the tables numbers above those of all others: in level 0 the number says which is
    /// newer.
    fn renumber(&self, candidates: &mut [Candidate], made: &mut Vec<PathBuf>) -> Result<(), Error> {
        let core = self.core();
        for candidate in candidates {
            let number = self.take_number()?;
            let path = table_path(&core.dir, number);
            made.push(path.clone());
            let renamed = core.env.files.rename(&candidate.path, &path);
            renamed.map_err(|error| Error::io("renaming", &candidate.path, error))?;
            candidate.path = path;
            candidate.table = self.open_table(number)?;
        }
        let synced = core.env.files.sync_dir(&core.dir);
        synced.map_err(|error| Error::io("syncing", &core.dir, error))
    }
}

impl Core {
    /// False when a memtable, or a table of level 0 that was made since, would stay above a table:
    /// flush and renumber first.
    fn try_adopt(
        &self,
        writing: &Writing,
        candidates: &[Candidate],
    ) -> Result<bool, (Error, IsVisible)> {
        let before = |error| (error, IsVisible::No);
        let _commit = writing.commit.lock();
        let mut manifest = writing.manifest.lock();
        let view = self.view.load_full();
        let mut edit = Edit::default();
        let mut added = Vec::new();
        for candidate in candidates {
            let summary = candidate.table.summary();
            if view.memories().any(|memory| memory_meets(memory, summary)) {
                return Ok(false);
            }
            if let Some((key, version)) = find_conflict(&view, summary).map_err(before)? {
                return Err(before(conflict(&candidate.table, &key, version)));
            }
            let level = lowest_level(&view.tables, summary);
            let mut level0 = view.tables.levels.first().into_iter().flatten();
            let is_above = |table: &Arc<Table>| table.id() > candidate.table.id();
            if level == 0 && level0.any(is_above) {
                return Ok(false);
            }
            let meta = TableMeta {
                number: candidate.table.id(),
                summary: summary.clone(),
            };
            edit.last_version = edit.last_version.max(Some(summary.version_max));
            edit.added.push((level, meta));
            added.push((level, Arc::clone(&candidate.table)));
        }
        let version_max = edit.last_version.unwrap_or(0);
        manifest
            .commit(&edit)
            .map_err(|error| (error, IsVisible::Unknown))?;
        self.install(|view| view.tables = Arc::new(view.tables.changed(&[], added)));
        self.visible.fetch_max(version_max, Ordering::AcqRel);
        Ok(true)
    }
}

/// The lowest level such that neither it nor any above meets the table.
fn lowest_level(tables: &Tables, summary: &TableSummary) -> usize {
    let is_free = |level: &&Vec<Arc<Table>>| !level.iter().any(|t| meets(t.summary(), summary));
    let free_count = tables.levels.iter().take_while(is_free).count();
    free_count.saturating_sub(1)
}

/// Whether the ranges of keys have one in common.
fn meets(a: &TableSummary, b: &TableSummary) -> bool {
    a.smallest <= b.largest && b.smallest <= a.largest
}

fn memory_meets(memory: &Memory, summary: &TableSummary) -> bool {
    let mut cursor = Cursor::new(Arc::clone(&memory.table));
    cursor.seek(&summary.smallest);
    cursor
        .key()
        .is_some_and(|key| key <= summary.largest.as_slice())
        || memory
            .tombstones()
            .iter()
            .any(|t| t.start <= summary.largest && t.end > summary.smallest)
}

/// Something in the range of the table whose version is not below all of the table's.
fn find_conflict(view: &View, summary: &TableSummary) -> Result<Option<Known>, Error> {
    for memory in view.memories() {
        if memory.version_max() >= summary.version_min
            && let Some(known) = conflict_in_memory(memory, summary)
        {
            return Ok(Some(known));
        }
    }
    for table in view.tables.levels.iter().flatten() {
        let own = table.summary();
        if own.version_max >= summary.version_min
            && meets(own, summary)
            && let Some(known) = conflict_in_table(table, summary)?
        {
            return Ok(Some(known));
        }
    }
    Ok(None)
}

fn conflict_in_memory(memory: &Memory, summary: &TableSummary) -> Option<Known> {
    let mut cursor = Cursor::new(Arc::clone(&memory.table));
    cursor.seek(&summary.smallest);
    while let Some(key) = cursor
        .key()
        .filter(|key| *key <= summary.largest.as_slice())
    {
        let newest = cursor.version_at(u64::MAX).map_or(0, |found| found.version);
        if newest >= summary.version_min {
            return Some((key.to_vec(), newest));
        }
        cursor.next_key();
    }
    conflict_in_tombstones(&memory.tombstones(), summary)
}

fn conflict_in_table(table: &Arc<Table>, summary: &TableSummary) -> Result<Option<Known>, Error> {
    let mut cursor = walk(table);
    cursor.seek(&summary.smallest, u64::MAX)?;
    while cursor.is_valid() && cursor.key() <= summary.largest.as_slice() {
        if cursor.version() >= summary.version_min {
            return Ok(Some((cursor.key().to_vec(), cursor.version())));
        }
        cursor.next()?;
    }
    Ok(conflict_in_tombstones(table.range_tombstones(), summary))
}

fn conflict_in_tombstones(
    tombstones: &crate::tombstones::Tombstones,
    summary: &TableSummary,
) -> Option<Known> {
    tombstones
        .iter()
        .find(|t| {
            t.version >= summary.version_min
                && t.start <= summary.largest
                && t.end > summary.smallest
        })
        .map(|t| (t.start, t.version))
}

fn walk(table: &Arc<Table>) -> TableCursor {
    let options = CursorOptions {
        reading: Reading::ahead(1),
        ..CursorOptions::default()
    };
    TableCursor::new(Arc::clone(table), options)
}
