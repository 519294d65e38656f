//! Opening, appending to and rewriting the manifest.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use nokv_env::{Env, File, OpenMode};

pub(crate) use super::current::manifest_number;
use super::{
    current::{manifest_path, read_current, write_current},
    edit::Edit,
    layout::{HEAD_BYTES, MANIFEST_BYTES_MAX},
    reader::{self, encode_head, encode_record},
    state::State,
};
use crate::{
    Error, LogMode,
    mark::{Mark, Promise},
    refresh::refresh,
};

/// The manifest of a store that is open for writing.
pub(crate) struct Manifest {
    env: Env,
    dir: PathBuf,
    mark: Arc<Mark>,
    number: u64,
    file: Arc<dyn File>,
    offset: u64,
    sequence: u64,
    first_bytes: u64,
    state: State,
    /// A write or sync failed: what is in the file is not known.
    is_broken: bool,
}

/// The state of the store in `dir`, without changing anything; `None` when there is none.
///
/// # Errors
/// `Corrupt`, `Unsupported`, `Io`.
fn load(env: &Env, dir: &Path, promise: Promise) -> Result<Option<(u64, reader::Read)>, Error> {
    let Some(number) = read_current(env, dir)? else {
        return Ok(None);
    };
    let path = manifest_path(dir, number);
    let bytes = match env.files.open(&path, OpenMode::Read) {
        Ok(file) => read_all(file.as_ref(), &path)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::corrupt(
                &path,
                0,
                "the manifest that CURRENT names",
                "no file",
            ));
        }
        Err(error) => return Err(Error::io("opening", &path, error)),
    };
    let promised = if promise.manifest_number == number {
        promise.manifest_bytes
    } else {
        0
    };
    let read = reader::read(&path, number, &bytes, promised)?;
    Ok(Some((number, read)))
}

pub(super) fn read_all(file: &dyn File, path: &Path) -> Result<Vec<u8>, Error> {
    let failed = |error| Error::io("reading", path, error);
    let length = usize::try_from(file.len().map_err(failed)?)
        .map_err(|_| Error::Invalid("a manifest does not fit in memory".to_owned()))?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0).map_err(failed)?;
    Ok(bytes)
}

impl Manifest {
    /// The state of the store, for reading only; `None` when there is no store.
    ///
    /// # Errors
    /// `Corrupt`, `Unsupported`, `Io`.
    pub(crate) fn read_only(
        env: &Env,
        dir: &Path,
        promise: Promise,
    ) -> Result<Option<State>, Error> {
        Ok(load(env, dir, promise)?.map(|(_, read)| read.state))
    }

    /// Opens the manifest that `CURRENT` names, cutting a torn tail; `None` when there is no
    /// `CURRENT`.
    ///
    /// # Errors
    /// `Corrupt`, `Unsupported`, `Io`.
    pub(crate) fn open(
        env: &Env,
        dir: &Path,
        promise: Promise,
        mark: &Arc<Mark>,
    ) -> Result<Option<Self>, Error> {
        let Some((number, read)) = load(env, dir, promise)? else {
            return Ok(None);
        };
        let path = manifest_path(dir, number);
        let failed = |error| Error::io("opening", &path, error);
        let file = env.files.open(&path, OpenMode::ReadWrite).map_err(failed)?;
        if file.len().map_err(failed)? > read.offset {
            file.set_len(read.offset).map_err(failed)?;
            file.sync_data().map_err(failed)?;
        }
        let is_promised = promise.manifest_number == number;
        let promised = if is_promised {
            promise.manifest_bytes
        } else {
            0
        };
        if promised < read.offset {
            refresh(file.as_ref(), promised, read.offset).map_err(failed)?;
            file.sync_data().map_err(failed)?;
            mark.note_manifest(number, read.offset);
        }
        Ok(Some(Self {
            env: env.clone(),
            dir: dir.to_owned(),
            mark: Arc::clone(mark),
            number,
            file,
            offset: read.offset,
            sequence: read.sequence,
            first_bytes: read.first_bytes,
            state: read.state,
            is_broken: false,
        }))
    }

    /// Makes the manifest of a new store.
    ///
    /// # Errors
    /// `Exhausted`, `Io`.
    pub(crate) fn create(
        env: &Env,
        dir: &Path,
        mark: &Arc<Mark>,
        log: LogMode,
    ) -> Result<Self, Error> {
        let mut state = State::new(log);
        state.next_number = 2;
        Self::write_new(env, dir, mark, 1, state)
    }

    /// Makes the manifest of a store that has `state` from the beginning.
    ///
    /// # Errors
    /// `Exhausted`, `Io`.
    pub(crate) fn create_from(
        env: &Env,
        dir: &Path,
        mark: &Arc<Mark>,
        mut state: State,
    ) -> Result<Self, Error> {
        let number = state.next_number;
        state.next_number += 1;
        Self::write_new(env, dir, mark, number, state)
    }

    /// Writes the file of a manifest and makes it the one that counts.
    fn write_new(
        env: &Env,
        dir: &Path,
        mark: &Arc<Mark>,
        number: u64,
        state: State,
    ) -> Result<Self, Error> {
        let new = Self::write_file(env, dir, mark, number, state)?;
        new.make_current()?;
        Ok(new)
    }

    fn make_current(&self) -> Result<(), Error> {
        write_current(&self.env, &self.dir, self.number)?;
        self.mark.note_manifest(self.number, self.offset);
        Ok(())
    }

    /// Writes the file of a manifest, durable and with its name; nothing counts it yet.
    fn write_file(
        env: &Env,
        dir: &Path,
        mark: &Arc<Mark>,
        number: u64,
        state: State,
    ) -> Result<Self, Error> {
        let path = manifest_path(dir, number);
        let failed = |error| Error::io("writing", &path, error);
        let file = env.files.open(&path, OpenMode::Create).map_err(failed)?;
        let mut bytes = encode_head(number).to_vec();
        bytes.extend_from_slice(&encode_record(number, 0, &state.to_edit())?);
        file.write_at(&bytes, 0).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        // The name must be durable before CURRENT says it.
        env.files
            .sync_dir(dir)
            .map_err(|error| Error::io("syncing", dir, error))?;
        let offset = bytes.len() as u64;
        Ok(Self {
            env: env.clone(),
            dir: dir.to_owned(),
            mark: Arc::clone(mark),
            number,
            file,
            offset,
            sequence: 1,
            first_bytes: offset,
            state,
            is_broken: false,
        })
    }

    /// The state after all edits.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// The number of the file.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Makes an edit durable and applies it.
    ///
    /// # Errors
    /// `Invalid` when it does not fit the state (nothing is written); `Exhausted` (nothing is
    /// written; it can be tried again, unless cutting the rest off failed too); `Io`,
    /// `OutcomeUnknown`: from then on every commit fails until the store is opened again, for the
    /// edit may or may not be there.
    pub(crate) fn commit(&mut self, edit: &Edit) -> Result<(), Error> {
        if self.is_broken {
            return Err(Error::OutcomeUnknown {
                cause: "the manifest failed before".to_owned(),
            });
        }
        let mut state = self.state.clone();
        state.apply(edit).map_err(Error::Invalid)?;
        let record = encode_record(self.number, self.sequence, edit)?;
        let path = manifest_path(&self.dir, self.number);
        self.is_broken = true;
        let failed = |error| Error::io("writing", &path, error);
        if let Err(error) = self.file.write_at(&record, self.offset) {
            // A full device is no reason to stop: what was written of the record is cut off again.
            // It was not whole, so no power cut can bring it back as an edit.
            let is_full = error.kind() == std::io::ErrorKind::StorageFull;
            self.is_broken = !(is_full && self.file.set_len(self.offset).is_ok());
            return Err(failed(error));
        }
        // Whatever the reason, even a full device: whether the edit is there is not known now.
        self.file
            .sync_data()
            .map_err(|error| Error::OutcomeUnknown {
                cause: failed(error).to_string(),
            })?;
        self.is_broken = false;
        self.offset += record.len() as u64;
        self.sequence += 1;
        self.state = state;
        self.mark.note_manifest(self.number, self.offset);
        if self.offset > MANIFEST_BYTES_MAX && self.offset > 4 * self.first_bytes {
            // The edit is durable, whatever becomes of this.
            if let Err(error) = self.rewrite() {
                tracing::error!(%error, "the manifest could not be rewritten");
            }
        }
        Ok(())
    }

    /// Starts a new file with the whole state and removes this one. While the new one could not be
    /// written, this one goes on, and the next commit tries again.
    fn rewrite(&mut self) -> Result<(), Error> {
        let mut state = self.state.clone();
        let number = state.next_number;
        state.next_number += 1;
        let next = Self::write_file(&self.env, &self.dir, &self.mark, number, state)?;
        self.is_broken = true;
        // When this fails it is not known which of the two counts, so no edit may follow.
        next.make_current()?;
        let path = manifest_path(&self.dir, self.number);
        *self = next;
        // A file that stays is removed at the next open.
        if let Err(error) = self.env.files.remove(&path) {
            tracing::warn!(%error, path = %path.display(), "a manifest that is no longer needed stays");
        }
        Ok(())
    }

    /// Takes a number for a file that is about to be written.
    pub(crate) fn take_number(&mut self) -> u64 {
        let number = self.state.next_number;
        self.state.next_number += 1;
        number
    }
}

const _: () = assert!(HEAD_BYTES < MANIFEST_BYTES_MAX as usize);
