//! From sealed memtables to tables of level 0.
//!
//! Invariants: memtables are flushed oldest first, so the log that is needed always is its end; a
//! table is durable, with its name, before the manifest says it; the log is cut only after.

use std::sync::Arc;

use super::{
    background::Progress,
    core::{Core, Counters, Writing},
    memory::Memory,
    memory_writer::MemoryWriter,
    tables::open_table,
};
use crate::{
    Error,
    manifest::{Edit, TableMeta},
    wal::LogStart,
};

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
        self.install_flushed(writing, memory, next.start, metas)?;
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
        let edit = Edit {
            log_start: Some(log_start),
            last_version: Some(memory.version_max()),
            added: metas.into_iter().map(|meta| (0, meta)).collect(),
            ..Edit::default()
        };
        let mut manifest = writing.manifest.lock();
        manifest.commit(&edit)?;
        self.install(|view| {
            view.sealed.retain(|other| !Arc::ptr_eq(other, memory));
            view.tables = Arc::new(view.tables.changed(&[], tables));
        });
        drop(manifest);
        writing
            .log
            .release_before(log_start.segment, &|path| self.remove_quietly(path));
        Ok(())
    }
}
