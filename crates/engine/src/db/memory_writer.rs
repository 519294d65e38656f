//! One memtable as tables of level 0, cut where the tables below are.
//!
//! A single table over all keys would have to be sorted down with all of the level below at once.
//! Cut at the same keys as that level, each piece goes down by itself, and pieces that do not touch
//! at the same time.
//!
//! Invariants: the tables of a flush share no key, so the order of their numbers says nothing
//! wrong; range tombstones are cut at the same keys; every file is synced, its name is not yet.

use std::{path::PathBuf, sync::Arc};

use nokv_art::Cursor;
use nokv_env::OpenMode;

use super::{
    core::{Core, Writing},
    memory::Memory,
    tables::{Tables, table_path},
};
use crate::{
    Compression, Error, Options,
    entry::EntryKind,
    manifest::TableMeta,
    table::{TableOptions, TableWriter},
    tombstones::Tombstones,
};

/// A table of a flush is cut where a table below begins when it has the usual size of a table
/// divided by this: smaller ones would cost a file and a sync each for little.
const PIECE_PART: u64 = 8;

/// With nothing below to go by, at the usual size divided by this: just large enough to be moved
/// rather than merged.
const FIRST_PIECE_PART: u64 = 4;

/// How tables are written.
pub(super) fn table_options(options: &Options, compression: Compression) -> TableOptions {
    TableOptions {
        block_bytes: options.block_bytes,
        compression,
        ..TableOptions::default()
    }
}

/// Writes a memtable.
pub(super) struct MemoryWriter<'a> {
    core: &'a Core,
    writing: &'a Writing,
    /// Keys where a table may end, ascending.
    bounds: Vec<Vec<u8>>,
    /// Where the current table begins; `None` for at the very beginning.
    begin: Option<Vec<u8>>,
    writer: Option<(u64, TableWriter)>,
    metas: Vec<TableMeta>,
    /// The files that were begun, whatever became of them.
    pub(super) made: Vec<PathBuf>,
}

impl<'a> MemoryWriter<'a> {
    pub(super) fn new(core: &'a Core, writing: &'a Writing, tables: &Tables) -> Self {
        Self {
            core,
            writing,
            bounds: bounds(tables),
            begin: None,
            writer: None,
            metas: Vec::new(),
            made: Vec::new(),
        }
    }

    /// Writes all of a memtable; the tables, by key.
    ///
    /// # Errors
    /// `Exhausted`, `Io`: the files made are of no use.
    pub(super) fn write(&mut self, memory: &Memory) -> Result<Vec<TableMeta>, Error> {
        let tombstones = memory.tombstones();
        let mut cursor = Cursor::new(Arc::clone(&memory.table));
        cursor.seek_to_first();
        let mut next_bound = 0;
        while let Some(key) = cursor.key() {
            let passed = self.bounds.get(next_bound..).unwrap_or_default();
            let passed = passed.partition_point(|bound| bound.as_slice() <= key);
            next_bound += passed;
            if self.is_due(passed > 0) {
                self.finish_table(&tombstones, Some(key))?;
            }
            let writer = self.writer()?;
            for found in cursor.versions() {
                let kind = EntryKind::from_number(found.kind).unwrap_or(EntryKind::Delete);
                writer.add(key, found.version, kind, found.value)?;
            }
            cursor.next_key();
        }
        self.finish_table(&tombstones, None)?;
        let dir = &self.core.dir;
        let synced = self.core.env.files.sync_dir(dir);
        synced.map_err(|error| Error::io("syncing", dir, error))?;
        Ok(std::mem::take(&mut self.metas))
    }

    /// Whether the current table ends before the next key.
    fn is_due(&self, is_at_bound: bool) -> bool {
        let Some((_, writer)) = &self.writer else {
            return false;
        };
        let usual = self.core.options.table_bytes;
        let limit = match (is_at_bound, self.bounds.is_empty()) {
            (true, _) => usual / PIECE_PART,
            (false, true) => usual / FIRST_PIECE_PART,
            (false, false) => usual,
        };
        writer.byte_count() >= limit
    }

    fn writer(&mut self) -> Result<&mut TableWriter, Error> {
        if self.writer.is_none() {
            let number = self.writing.manifest.lock().take_number();
            let path = table_path(&self.core.dir, number);
            let files = &self.core.env.files;
            let file = files.open(&path, OpenMode::CreateNew);
            let file = file.map_err(|error| Error::io("making", &path, error))?;
            let options = table_options(&self.core.options, self.core.options.compression);
            let writer = TableWriter::new(file, &path, options);
            self.made.push(path);
            self.writer = Some((number, writer));
        }
        Ok(&mut self.writer.as_mut().expect("made above").1)
    }

    /// Ends the table for keys below `to`, with its part of the range tombstones.
    fn finish_table(&mut self, tombstones: &Tombstones, to: Option<&[u8]>) -> Result<(), Error> {
        let from = std::mem::replace(&mut self.begin, to.map(<[u8]>::to_vec));
        for tombstone in tombstones.iter() {
            let start = from
                .as_ref()
                .map_or(&tombstone.start, |from| from.max(&tombstone.start));
            let end = to.map_or(tombstone.end.as_slice(), |to| to.min(&tombstone.end));
            if start.as_slice() < end {
                let writer = self.writer()?;
                writer.add_range_tombstone(start, end, tombstone.version);
            }
        }
        if let Some((number, writer)) = self.writer.take() {
            let summary = writer.finish()?;
            self.metas.push(TableMeta { number, summary });
        }
        Ok(())
    }
}

/// Where the tables that a flush will be merged with begin.
fn bounds(tables: &Tables) -> Vec<Vec<u8>> {
    let level = tables.levels.iter().skip(1).find(|level| !level.is_empty());
    let below = level.or(tables.levels.first());
    let mut bounds: Vec<_> = below
        .into_iter()
        .flatten()
        .map(|table| table.summary().smallest.clone())
        .collect();
    bounds.sort_unstable();
    bounds
}
