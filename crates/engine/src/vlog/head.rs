//! The appending side of one bucket: the file that values go to now.
//!
//! Invariant: what is at or behind `offset` is not pointed at; a write that failed is written over
//! or left as garbage, never continued.

use std::{io::IoSlice, path::Path, sync::Arc};

use nokv_env::{Env, File, OpenMode};

use super::{
    entry::{EntryHead, ValueEntry, encode_head, entry_bytes},
    file::{FileHead, ValueFile, value_path},
    layout::HEAD_BYTES,
    open_files::OpenFiles,
    pointer::Pointer,
};
use crate::Error;

/// A file that is being appended to.
pub(super) struct Head {
    pub(super) file: Arc<ValueFile>,
    pub(super) handle: Arc<dyn File>,
    offset: u64,
}

/// Entries that will be written to one file with one system call.
pub(super) struct Group<'a> {
    offset: u64,
    entries: Vec<(EntryHead, ValueEntry<'a>)>,
}

impl Head {
    /// Makes file `number` for `bucket`.
    ///
    /// # Errors
    /// `Exhausted`, `Io`.
    pub(super) fn create(
        (env, dir): (&Env, &Path),
        open: &Arc<OpenFiles>,
        number: u64,
        bucket: u32,
    ) -> Result<Self, Error> {
        let path = value_path(dir, number);
        let failed = |error| Error::io("making", &path, error);
        let handle = env.files.open(&path, OpenMode::Create).map_err(failed)?;
        let head = FileHead { number, bucket };
        if let Err(error) = handle.write_at(&head.encode(), 0) {
            // One that stays is removed at the next open.
            env.files.remove(&path).ok();
            return Err(failed(error));
        }
        let bytes = HEAD_BYTES as u64;
        let file = ValueFile::new((path.clone(), number), Arc::clone(open), bytes, false);
        Ok(Self {
            file: Arc::new(file),
            handle,
            offset: bytes,
        })
    }

    pub(super) fn is_full(&self, file_bytes: u64) -> bool {
        self.offset >= file_bytes
    }

    /// An empty group behind what was written.
    pub(super) fn begin<'a>(&self) -> Group<'a> {
        Group {
            offset: self.offset,
            entries: Vec::new(),
        }
    }

    /// Adds an entry to a group; where it will be.
    pub(super) fn plan<'a>(&self, group: &mut Group<'a>, entry: ValueEntry<'a>) -> Pointer {
        let number = self.file.number();
        let (head, checksum) = encode_head(number, &entry);
        let pointer = Pointer {
            file: number,
            offset: group.offset,
            stored_bytes: u32::try_from(entry.stored.len()).expect("VALUE_BYTES_MAX fits"),
            checksum,
        };
        group.offset += entry_bytes(entry.key.len(), entry.stored.len());
        group.entries.push((head, entry));
        pointer
    }

    /// Writes a group.
    ///
    /// # Errors
    /// `Exhausted`: nothing has changed. `Io`: the head is not to be used any more.
    pub(super) fn write(&mut self, group: &Group<'_>) -> Result<(), Error> {
        let mut slices = Vec::with_capacity(group.entries.len() * 3);
        for (head, entry) in &group.entries {
            slices.push(IoSlice::new(head));
            slices.push(IoSlice::new(entry.key));
            slices.push(IoSlice::new(entry.stored));
        }
        self.handle
            .write_slices_at(&slices, self.offset)
            .map_err(|error| Error::io("appending to", self.file.path(), error))?;
        self.offset = group.offset;
        self.file.set_byte_count(self.offset);
        Ok(())
    }
}

impl Drop for Head {
    /// Nothing is appended any more, whatever the reason.
    fn drop(&mut self) {
        self.file.seal();
    }
}
