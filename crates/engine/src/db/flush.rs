//! From sealed memtables to tables of level 0.
//!
//! Invariants: memtables are flushed oldest first, so the log that is needed always is its end; a
//! table is durable, with its name, before the manifest says it; the log is cut only after.

use std::sync::{Arc, atomic::Ordering};

use super::{
    background::Progress,
    core::{Core, Counters, Writing},
    memory::Memory,
    memory_writer::MemoryWriter,
    tables::open_table,
};
use crate::{
    Error, LogMode,
    manifest::{Edit, TableMeta},
    plant::{Plant, is_planted},
    wal::LogStart,
};

/// A memtable below this is left in the log: an idle store would make a table for a few keys again
/// and again.
const REST_BYTES_MIN: u64 = 1 << 20;

/// Nor is one that has less than one byte in so many of the tables.
const REST_PART: u64 = 20;

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
        let view = self.view.load();
        if !view.active.is_empty() || view.active.applied_index() > 0 {
            drop(view);
            self.switch_memory(writing, &mut appender);
        }
    }

    /// Seals the memtable of a store that is idle, when the log behind it takes much beside the
    /// tables: at rest a store takes hardly more than what is in it.
    pub(super) fn seal_at_rest(&self, writing: &Writing) -> Progress {
        let view = self.view.load();
        let bytes = view.active.byte_count() as u64;
        if bytes < REST_BYTES_MIN || bytes < view.tables.bytes() / REST_PART {
            return Progress::Idle;
        }
        self.seal_active(writing);
        Progress::Done
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
        let mut writer = MemoryWriter::new(self, writing, &view.tables);
        let metas = match writer.write(memory) {
            Ok(metas) => metas,
            Err(error) => {
                for path in &writer.made {
                    self.remove_quietly(path);
                }
                return Err(error);
            }
        };
        let bytes = metas.iter().map(|meta| meta.summary.bytes).sum();
        Counters::add(&self.counters.flush_bytes, bytes);
        // The log that would bring the values back is cut after.
        if metas.iter().any(|meta| !meta.summary.value_refs.is_empty()) {
            let synced = writing.values.unsynced().sync();
            synced.map_err(|error| writing.log.poison(&error))?;
        }
        if let Err(error) = self.install_flushed(writing, memory, next.start, metas) {
            self.remove_unless_unknown(&error, &writer.made);
            return Err(error);
        }
        self.release_values(writing);
        Counters::add(&self.counters.flushes, 1);
        Ok(Progress::Done)
    }

    fn install_flushed(
        &self,
        writing: &Writing,
        memory: &Arc<Memory>,
        log_start: LogStart,
        metas: Vec<TableMeta>,
    ) -> Result<(), Error> {
        let open = |meta: &TableMeta| {
            let table = open_table(&self.env, &self.dir, meta.number, &self.cache)?;
            Ok((0, table))
        };
        let tables = metas.iter().map(open).collect::<Result<Vec<_>, Error>>()?;
        let applied_index = memory.applied_index();
        let edit = Edit {
            log_start: Some(log_start),
            last_version: Some(memory.version_max()),
            applied_index: (applied_index > 0).then_some(applied_index),
            added: metas.into_iter().map(|meta| (0, meta)).collect(),
            ..Edit::default()
        };
        if is_planted(Plant::ReleaseLogFirst) {
            let remove = |path: &_| self.remove_quietly(path);
            writing.log.release_before(log_start.segment, &remove);
        }
        let mut manifest = writing.manifest.lock();
        manifest.commit(&edit)?;
        self.install(|view| {
            view.sealed.retain(|other| !Arc::ptr_eq(other, memory));
            view.tables = Arc::new(view.tables.changed(&[], tables));
        });
        self.applied_index
            .fetch_max(applied_index, Ordering::AcqRel);
        drop(manifest);
        writing
            .log
            .release_before(log_start.segment, &|path| self.remove_quietly(path));
        Ok(())
    }

    /// From now on an external log makes writes durable. Everything is in tables, and nobody
    /// writes.
    pub(super) fn turn_over(&self, applied_index: u64) -> Result<(), Error> {
        if self.options.log == LogMode::External {
            let message = "the store has an external log already";
            return Err(Error::Invalid(message.to_owned()));
        }
        let edit = Edit {
            applied_index: Some(applied_index),
            ..Edit::default()
        };
        self.writing()?.manifest.lock().commit(&edit)
    }
}
