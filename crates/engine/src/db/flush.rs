//! From sealed memtables to tables of level 0.
//!
//! Invariants: memtables are flushed oldest first, so the log that is needed always is its end; a
//! table is durable, with its name, before the manifest says it; the log is cut only after.

use std::{path::Path, sync::Arc};

use nokv_art::Cursor;
use nokv_env::OpenMode;

use super::{
    background::Progress,
    core::{Core, Counters, Writing},
    memory::Memory,
    tables::{open_table, table_path},
};
use crate::{
    Compression, Error, Options,
    entry::EntryKind,
    manifest::{Edit, TableMeta},
    table::{TableOptions, TableSummary, TableWriter},
    wal::LogStart,
};

/// How tables are written.
pub(super) fn table_options(options: &Options, compression: Compression) -> TableOptions {
    TableOptions {
        block_bytes: options.block_bytes,
        compression,
        ..TableOptions::default()
    }
}

impl Core {
    /// Writes all that is in memory to tables.
    pub(super) fn flush(&self) -> Result<(), Error> {
        let writing = self.writing()?;
        self.seal_active(writing);
        while self.flush_one(writing)? == Progress::Done {
            writing.note_progress(None);
        }
        Ok(())
    }

    /// Seals the active memtable, if there is something in it.
    pub(super) fn seal_active(&self, writing: &Writing) {
        let mut appender = writing.commit.lock();
        if !self.view.load().active.is_empty() {
            self.switch_memory(writing, &mut appender);
        }
    }

    /// Writes the oldest sealed memtable to a table.
    ///
    /// # Errors
    /// `Exhausted`, `Io`: nothing has changed; it can be tried again unless the manifest failed.
    pub(super) fn flush_one(&self, writing: &Writing) -> Result<Progress, Error> {
        let _guard = writing.flushing.lock();
        let view = self.view.load_full();
        let Some(memory) = view.sealed.last() else {
            return Ok(Progress::Idle);
        };
        let next = view.sealed.iter().rev().nth(1).unwrap_or(&view.active);
        let number = writing.manifest.lock().take_number();
        let path = table_path(&self.dir, number);
        let written = self.write_memory(memory, &path);
        let summary = match written {
            Ok(summary) => summary,
            Err(error) => {
                self.remove_quietly(&path);
                return Err(error);
            }
        };
        Counters::add(&self.counters.flush_bytes, summary.bytes);
        self.install_flushed(writing, memory, next.start, TableMeta { number, summary })?;
        Counters::add(&self.counters.flushes, 1);
        Ok(Progress::Done)
    }

    fn write_memory(&self, memory: &Memory, path: &Path) -> Result<TableSummary, Error> {
        let failed = |error| Error::io("making", path, error);
        let file = self
            .env
            .files
            .open(path, OpenMode::CreateNew)
            .map_err(failed)?;
        let options = table_options(&self.options, self.options.compression);
        let mut writer = TableWriter::new(file, path, options);
        let mut cursor = Cursor::new(Arc::clone(&memory.table));
        cursor.seek_to_first();
        while let Some(key) = cursor.key() {
            for found in cursor.versions() {
                let kind = EntryKind::from_number(found.kind).unwrap_or(EntryKind::Delete);
                writer.add(key, found.version, kind, found.value)?;
            }
            cursor.next_key();
        }
        for tombstone in memory.tombstones().iter() {
            writer.add_range_tombstone(&tombstone.start, &tombstone.end, tombstone.version);
        }
        let summary = writer.finish()?;
        self.env.files.sync_dir(&self.dir).map_err(failed)?;
        Ok(summary)
    }

    fn install_flushed(
        &self,
        writing: &Writing,
        memory: &Arc<Memory>,
        log_start: LogStart,
        meta: TableMeta,
    ) -> Result<(), Error> {
        let table = open_table(&self.env, &self.dir, meta.number, &self.cache)?;
        let edit = Edit {
            log_start: Some(log_start),
            last_version: Some(memory.version_max()),
            added: vec![(0, meta)],
            ..Edit::default()
        };
        let mut manifest = writing.manifest.lock();
        manifest.commit(&edit)?;
        self.install(|view| {
            view.sealed.retain(|other| !Arc::ptr_eq(other, memory));
            view.tables = Arc::new(view.tables.changed(&[], vec![(0, table)]));
        });
        drop(manifest);
        writing
            .log
            .release_before(log_start.segment, &|path| self.remove_quietly(path));
        Ok(())
    }
}
