//! The values that the log points at, when it is read back.
//!
//! A record that was promised has its values, or the store is damaged. One that was not promised
//! may have reached the disk without them: its values are read in full, and where one is not whole
//! the log ends (row l of `wal/recover.rs`).
//!
//! Invariant: before records that nobody promised are taken for good, their values are synced.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use nokv_env::{Env, OpenMode};

use super::tables::Tables;
use crate::{
    Error, Options,
    batch::{Operation, Operations},
    refresh::refresh,
    vlog::{FILE_HEAD_BYTES, OpenFiles, Pointer, ValueFiles, ValueLog, ValueRefs},
    wal::Refused,
};

/// The value-log files of a store that is being opened.
pub(super) struct ReplayValues {
    open: Arc<OpenFiles>,
    files: Arc<ValueFiles>,
    /// Files with values of records that were not promised, and where those begin and end.
    unpromised: BTreeMap<u64, (u64, u64)>,
}

impl ReplayValues {
    /// # Errors
    /// `Corrupt` when a table points at a file that is not there; `Io`.
    pub(super) fn open(env: &Env, dir: &Path, tables: &Tables) -> Result<Self, Error> {
        let open = Arc::new(OpenFiles::new(env));
        let files = Arc::new(ValueFiles::load(env, dir, &open)?);
        for (file, _) in tables.value_refs().iter() {
            files.check_has(file)?;
        }
        Ok(Self {
            open,
            files,
            unpromised: BTreeMap::new(),
        })
    }

    pub(super) fn files(&self) -> &Arc<ValueFiles> {
        &self.files
    }

    /// The pointers of a record, with the lengths of their keys, all of whose values are there.
    pub(super) fn check(
        &mut self,
        payload: &[u8],
        is_promised: bool,
    ) -> Result<Vec<(Pointer, usize)>, Refused> {
        let mut pointers = Vec::new();
        for operation in Operations::new(payload) {
            let Operation::Entry {
                key,
                version,
                kind,
                value,
            } = operation?
            else {
                continue;
            };
            let Some(pointer) = Pointer::of(kind, value) else {
                continue;
            };
            self.check_value((key, version), &pointer, is_promised)
                .map_err(|error| match error {
                    Error::Corrupt { .. } => Refused::Torn(error),
                    other => Refused::Failed(other),
                })?;
            pointers.push((pointer, key.len()));
        }
        Ok(pointers)
    }

    fn check_value(
        &mut self,
        (key, version): (&[u8], u64),
        pointer: &Pointer,
        is_promised: bool,
    ) -> Result<(), Error> {
        let file = self.files.file_of(pointer)?;
        if is_promised {
            let end = pointer
                .offset
                .saturating_add(pointer.entry_bytes(key.len()));
            if end > file.byte_count() {
                let (expected, found) = ("a value", "the end of the file");
                return Err(Error::corrupt(file.path(), pointer.offset, expected, found));
            }
            return Ok(());
        }
        file.read(key, version, pointer)?;
        let begin = pointer.offset;
        let end = begin.saturating_add(pointer.entry_bytes(key.len()));
        let range = self.unpromised.entry(pointer.file).or_insert((begin, end));
        *range = (range.0.min(begin), range.1.max(end));
        Ok(())
    }

    /// The log to append to, and the files that something points at; the others are removed.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn open_log(
        &self,
        env: &Env,
        dir: &Path,
        options: &Options,
        live: &ValueRefs,
    ) -> Result<(ValueLog, Arc<ValueFiles>), Error> {
        self.sync_unpromised(env, dir)?;
        let next = self.files.next_number();
        let log = ValueLog::new((env, dir), options, Arc::clone(&self.open), next);
        let (kept, gone) = self
            .files
            .partition(|file| live.of(file.number()).entry_count == 0);
        for file in gone {
            env.files
                .remove(file.path())
                .map_err(|error| Error::io("removing", file.path(), error))?;
        }
        Ok((log, Arc::new(kept)))
    }

    /// Recovered records are promised as soon as a reader sees them: so are their values.
    fn sync_unpromised(&self, env: &Env, dir: &Path) -> Result<(), Error> {
        for (number, (begin, end)) in &self.unpromised {
            let Some(file) = self.files.get(*number) else {
                continue;
            };
            let opened = env.files.open(file.path(), OpenMode::ReadWrite);
            opened
                .and_then(|opened| {
                    // Its head may not be durable either.
                    refresh(opened.as_ref(), 0, FILE_HEAD_BYTES)?;
                    refresh(opened.as_ref(), *begin, *end)?;
                    opened.sync_data()
                })
                .map_err(|error| Error::io("syncing", file.path(), error))?;
        }
        if self.unpromised.is_empty() {
            return Ok(());
        }
        env.files
            .sync_dir(dir)
            .map_err(|error| Error::io("syncing", dir, error))
    }
}
