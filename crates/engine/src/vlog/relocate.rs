//! Moving live values out of files that are mostly garbage, as part of a compaction.
//!
//! Only a compaction moves a value: it writes the pointer of the same key and version to the place
//! of the old one. Through the memtable, an old version would be newer than what it is not.
//!
//! Invariants: moved values are durable, with the names of their files, before the manifest names
//! the tables that point at them ([`Moves::finish`]); their files are held until those tables
//! are in the view.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use nokv_env::File;
use parking_lot::Mutex;

use super::{
    entry::ValueEntry,
    file::ValueFile,
    files::ValueFiles,
    log::{Observer, ValueLog, bucket_of},
    pointer::Pointer,
};
use crate::{Error, entry::EntryKind};

/// What a compaction does with the pointers that it keeps.
pub(crate) trait Relocate {
    /// What is stored instead, if the value was moved, and how many bytes were.
    ///
    /// # Errors
    /// `Corrupt`, `Exhausted`, `Io`.
    fn relocate(
        &self,
        key: &[u8],
        version: u64,
        kind: EntryKind,
        stored: &[u8],
    ) -> Result<Option<Moved>, Error>;
}

/// A value that was moved.
#[derive(Debug)]
pub(crate) struct Moved {
    /// What the entry stores from now on.
    pub(crate) stored: Vec<u8>,
    /// Bytes copied.
    pub(crate) bytes: u64,
}

/// Pointers stay as they are.
pub(crate) struct StayPut;

impl Relocate for StayPut {
    fn relocate(&self, _: &[u8], _: u64, _: EntryKind, _: &[u8]) -> Result<Option<Moved>, Error> {
        Ok(None)
    }
}

/// What one compaction moves, in all of its parts.
pub(crate) struct Moves {
    files: Arc<ValueFiles>,
    /// The files whose live values go elsewhere.
    wanted: BTreeSet<u64>,
    written: Mutex<Written>,
    /// See [`Moves::hold_for_ever`].
    is_unknown: AtomicBool,
}

#[derive(Default)]
struct Written {
    files: Vec<(Arc<ValueFile>, Arc<dyn File>)>,
    bytes: u64,
}

impl Moves {
    /// Moves out of the files `wanted` of `files`, which has all that the inputs point into.
    pub(crate) fn new(files: Arc<ValueFiles>, wanted: BTreeSet<u64>) -> Self {
        Self {
            files,
            wanted,
            written: Mutex::default(),
            is_unknown: AtomicBool::new(false),
        }
    }

    /// The manifest may or may not name the tables that point at what was moved: the files stay
    /// until the next open knows.
    pub(crate) fn hold_for_ever(&self) {
        self.is_unknown.store(true, Ordering::Release);
    }

    /// Makes durable what was moved; how many bytes that is.
    ///
    /// # Errors
    /// What the device says: the tables must not be used.
    pub(crate) fn finish(&self, log: &ValueLog) -> Result<u64, Error> {
        let written = self.written.lock();
        for (file, handle) in &written.files {
            file.sync(handle.as_ref())?;
        }
        if !written.files.is_empty() {
            log.sync_names()?;
        }
        Ok(written.bytes)
    }

    fn note(&self, file: &Arc<ValueFile>, handle: &Arc<dyn File>, bytes: u64) {
        let mut written = self.written.lock();
        let is_other = |(other, _): &(Arc<ValueFile>, _)| other.number() != file.number();
        if written.files.iter().all(is_other) {
            file.hold();
            written.files.push((Arc::clone(file), Arc::clone(handle)));
        }
        written.bytes += bytes;
    }
}

impl Drop for Moves {
    fn drop(&mut self) {
        if self.is_unknown.load(Ordering::Acquire) {
            return;
        }
        for (file, _) in &self.written.lock().files {
            file.release();
        }
    }
}

/// One part of a compaction at its work.
pub(crate) struct Relocation<'a> {
    log: &'a ValueLog,
    observer: &'a dyn Observer,
    moves: &'a Moves,
}

impl<'a> Relocation<'a> {
    pub(crate) fn new(log: &'a ValueLog, observer: &'a dyn Observer, moves: &'a Moves) -> Self {
        Self {
            log,
            observer,
            moves,
        }
    }

    fn append(&self, entry: ValueEntry<'_>) -> Result<Pointer, Error> {
        let heads = &self.log.relocation_heads;
        let Some(slot) = heads.get(bucket_of(entry.key, heads.len())) else {
            return Err(Error::Invalid("a store without buckets".to_owned()));
        };
        let mut slot = slot.lock();
        let pointer = self.log.append_relocated(&mut slot, entry, self.observer)?;
        // Under the lock: the next to append may seal the file.
        if let Some(head) = &*slot {
            let bytes = pointer.entry_bytes(entry.key.len());
            self.moves.note(&head.file, &head.handle, bytes);
        }
        Ok(pointer)
    }
}

impl Relocate for Relocation<'_> {
    fn relocate(
        &self,
        key: &[u8],
        version: u64,
        kind: EntryKind,
        stored: &[u8],
    ) -> Result<Option<Moved>, Error> {
        let Some(pointer) =
            Pointer::of(kind, stored).filter(|p| self.moves.wanted.contains(&p.file))
        else {
            return Ok(None);
        };
        let value = self
            .moves
            .files
            .file_of(&pointer)?
            .read(key, version, &pointer)?;
        let entry = ValueEntry {
            key,
            version,
            kind: kind.in_place(),
            stored: &value,
        };
        let moved = self.append(entry)?;
        let mut bytes = stored
            .get(..kind.prefix_bytes())
            .unwrap_or_default()
            .to_vec();
        bytes.extend_from_slice(&moved.encode());
        Ok(Some(Moved {
            stored: bytes,
            bytes: moved.entry_bytes(key.len()),
        }))
    }
}
