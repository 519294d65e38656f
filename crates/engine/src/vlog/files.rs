//! The value-log files that a view needs.
//!
//! Invariant: whatever pointer a memtable or table of a view has, its file is in the view's set,
//! and is on disk as long as the set is held.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use bytes::Buf;
use nokv_env::{Env, FileSystem};

use super::{
    file::{ValueFile, value_number, value_path},
    open_files::OpenFiles,
    pointer::Pointer,
};
use crate::{Error, Record, Value, entry::EXPIRY_BYTES};

/// The numbers and lengths of the value-log files in `dir`, by number.
///
/// # Errors
/// `Io`.
pub(crate) fn list_value_files(
    files: &dyn FileSystem,
    dir: &Path,
) -> Result<Vec<(u64, u64)>, Error> {
    let entries = files
        .list(dir)
        .map_err(|error| Error::io("listing", dir, error))?;
    let file = |entry: &nokv_env::DirEntry| Some((value_number(&entry.name)?, entry.size));
    let mut numbers: Vec<_> = entries.iter().filter_map(file).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// A set of files, by number. Immutable; replaced as a whole with the view.
#[derive(Clone, Debug)]
pub(crate) struct ValueFiles {
    dir: Arc<Path>,
    files: BTreeMap<u64, Arc<ValueFile>>,
}

impl ValueFiles {
    /// All that are in `dir`, sealed.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn load(env: &Env, dir: &Path, open: &Arc<OpenFiles>) -> Result<Self, Error> {
        let found = list_value_files(env.files.as_ref(), dir)?;
        let file = |(number, bytes)| {
            let name = (value_path(dir, number), number);
            let file = ValueFile::new(name, Arc::clone(open), bytes, true);
            (number, Arc::new(file))
        };
        Ok(Self {
            dir: dir.into(),
            files: found.into_iter().map(file).collect(),
        })
    }

    /// Where they are.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<ValueFile>> {
        self.files.values()
    }

    pub(crate) fn get(&self, number: u64) -> Option<&Arc<ValueFile>> {
        self.files.get(&number)
    }

    /// The lowest number above all of them.
    pub(crate) fn next_number(&self) -> u64 {
        self.files
            .last_key_value()
            .map_or(1, |(last, _)| last.saturating_add(1))
    }

    pub(crate) fn with(&self, file: Arc<ValueFile>) -> Self {
        let mut files = self.clone();
        files.files.insert(file.number(), file);
        files
    }

    /// The set without those that `goes` says, and those.
    pub(crate) fn partition(
        &self,
        goes: impl Fn(&ValueFile) -> bool,
    ) -> (Self, Vec<Arc<ValueFile>>) {
        let (gone, files) = self
            .files
            .iter()
            .map(|(number, file)| (*number, Arc::clone(file)))
            .partition::<BTreeMap<_, _>, _>(|(_, file)| goes(file));
        let kept = Self {
            dir: Arc::clone(&self.dir),
            files,
        };
        (kept, gone.into_values().collect())
    }

    /// The record with its value instead of the pointer to it.
    ///
    /// # Errors
    /// `Corrupt` when the value, or its file, is not what it was; `Io`.
    pub(crate) fn fetch(&self, key: &[u8], mut record: Record) -> Result<Record, Error> {
        let Some(pointer) = Pointer::decode(&record.value) else {
            let expected = "a pointer to a value";
            return Err(Error::corrupt(&self.dir, 0, expected, "other bytes"));
        };
        let version = record.version.as_u64();
        let mut stored = self.file_of(&pointer)?.read(key, version, &pointer)?;
        if record.expires_at.is_some() {
            stored.advance(EXPIRY_BYTES.min(stored.len()));
        }
        record.value = Value::from(stored);
        Ok(record)
    }

    /// # Errors
    /// `Corrupt` when there is no such file.
    pub(crate) fn check_has(&self, number: u64) -> Result<(), Error> {
        if self.files.contains_key(&number) {
            return Ok(());
        }
        let path = value_path(&self.dir, number);
        let expected = "a value-log file that a table points at";
        Err(Error::corrupt(&path, 0, expected, "no file"))
    }

    /// The file of a pointer.
    ///
    /// # Errors
    /// `Corrupt`.
    pub(crate) fn file_of(&self, pointer: &Pointer) -> Result<&Arc<ValueFile>, Error> {
        self.files.get(&pointer.file).ok_or_else(|| {
            let path = value_path(&self.dir, pointer.file);
            Error::corrupt(
                &path,
                pointer.offset,
                "a value that is pointed at",
                "no file",
            )
        })
    }
}
