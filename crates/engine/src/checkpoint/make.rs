//! Making a checkpoint.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
};

use nokv_env::{DirEntry, Env, OpenMode};
use nokv_types::Version;

use crate::{
    Engine, Error,
    db::{Capture, LOCK_NAME, table_path},
    manifest::Manifest,
    mark::{Mark, Promise},
    transfer::{copy, copy_prefix, link},
    vlog::value_path,
    wal::segment_path,
};

/// What comes after the name of a checkpoint while it is made.
const PARTIAL_SUFFIX: &str = ".partial";

/// A checkpoint that was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Checkpoint {
    /// The newest version in it: it is the state of the store at this version, with its history.
    pub version: Version,
    /// Files in it, without its lock.
    pub file_count: u64,
    /// Their size, bytes; most of it is shared with the store.
    pub byte_count: u64,
    /// Bytes that were copied, not linked.
    pub copied_bytes: u64,
}

impl Engine {
    /// Makes a consistent copy of the store in `dir` while it is used: a store of its own, that can
    /// be opened, moved and removed.
    ///
    /// **Shape**: `dir` must be absent or empty. Tables are hard links where the file system can
    /// (the same device), copies elsewhere. `dir` with `.partial` at its end is used on the way;
    /// what a crash leaves there is removed by the next call, or can be removed by hand.
    /// **Guarantees**: durable on return; after a crash `dir` holds nothing or the whole of it.
    /// **Concurrency**: readers and writers go on; memtables are flushed first, so that the log is
    /// short, and files that compaction is done with stay until the call ends.
    ///
    /// # Errors
    /// `Invalid`: there is something in `dir`. `Busy`: another call makes the same checkpoint.
    /// `Io`, `Exhausted`: nothing is left behind; repeat. `Closed`, `ReadOnly`.
    pub fn checkpoint(&self, dir: &Path) -> Result<Checkpoint, Error> {
        let env = self.env();
        check_target(env, dir)?;
        let partial = partial_path(dir)?;
        let made_parents = make_dir(env, &partial)?;
        // Held until the name is the final one: another call would remove what this one makes.
        let lock_path = partial.join(LOCK_NAME);
        let _lock = env.files.lock(&lock_path).map_err(|error| {
            if nokv_env::is_already_locked(&error) {
                let dir = partial.display().to_string();
                return Error::Busy { dir };
            }
            Error::io("locking", &partial, error)
        })?;
        empty(env, &partial)?;
        let outcome = self
            .build_checkpoint(&partial)
            .and_then(|checkpoint| publish(env, &partial, dir, &made_parents).map(|()| checkpoint));
        if outcome.is_err() {
            abandon(env, &partial);
        }
        outcome
    }

    fn build_checkpoint(&self, partial: &Path) -> Result<Checkpoint, Error> {
        self.flush()?;
        let capture = self.capture()?;
        let mut copied_bytes = self.bring_tables(partial, &capture)?;
        copied_bytes += self.bring_values(partial, &capture)?;
        copied_bytes += self.copy_log(partial, &capture)?;
        let env = self.env();
        let mark = Arc::new(Mark::open(env, partial, Promise::default())?);
        mark.note_log(capture.log_sequence);
        Manifest::create_from(env, partial, &mark, capture.state.clone())?;
        mark.sync();
        env.files
            .sync_dir(partial)
            .map_err(|error| Error::io("syncing", partial, error))?;
        let mut entries = list(env, partial)?;
        entries.retain(|entry| entry.name != LOCK_NAME);
        Ok(Checkpoint {
            version: Version::from_u64(capture.version),
            file_count: entries.len() as u64,
            byte_count: entries.iter().map(|entry| entry.size).sum(),
            copied_bytes,
        })
    }

    /// Links the tables, or copies them; bytes copied.
    fn bring_tables(&self, partial: &Path, capture: &Capture<'_>) -> Result<u64, Error> {
        let mut copied_bytes = 0;
        let tables = capture.state.levels.iter().flat_map(|level| level.values());
        for table in tables {
            let from = table_path(self.dir(), table.number);
            let to = table_path(partial, table.number);
            if !link(self.env(), &from, &to)? {
                copied_bytes += copy(self.env(), &from, &to)?;
            }
        }
        Ok(copied_bytes)
    }

    /// Links the files of the value log, or copies them; bytes copied.
    fn bring_values(&self, partial: &Path, capture: &Capture<'_>) -> Result<u64, Error> {
        let mut copied_bytes = 0;
        for number in &capture.value_files {
            let from = value_path(self.dir(), *number);
            let to = value_path(partial, *number);
            if !link(self.env(), &from, &to)? {
                copied_bytes += copy(self.env(), &from, &to)?;
            }
        }
        Ok(copied_bytes)
    }

    /// Copies the log as it was; bytes copied.
    fn copy_log(&self, partial: &Path, capture: &Capture<'_>) -> Result<u64, Error> {
        let mut copied_bytes = 0;
        for (number, used_bytes) in &capture.segments {
            let from = segment_path(self.dir(), *number);
            let failed = |error| Error::io("reading", &from, error);
            let file = self.env().files.open(&from, OpenMode::Read);
            let file = file.map_err(failed)?;
            let length = match used_bytes {
                Some(length) => *length,
                None => file.len().map_err(failed)?,
            };
            let to = segment_path(partial, *number);
            copy_prefix(self.env(), (file.as_ref(), &from), length, &to)?;
            copied_bytes += length;
        }
        Ok(copied_bytes)
    }
}

/// Gives the checkpoint its name, durably.
fn publish(env: &Env, partial: &Path, dir: &Path, made_parents: &[PathBuf]) -> Result<(), Error> {
    let failed = |error| Error::io("naming", dir, error);
    if env.files.exists(dir).map_err(failed)? {
        env.files.remove_dir(dir).map_err(failed)?;
    }
    env.files.rename(partial, dir).map_err(failed)?;
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    for made in made_parents.iter().map(PathBuf::as_path).chain(parent) {
        env.files.sync_dir(made).map_err(failed)?;
    }
    Ok(())
}

/// # Errors
/// `Invalid` when there is something.
fn check_target(env: &Env, dir: &Path) -> Result<(), Error> {
    let exists = env.files.exists(dir);
    if !exists.map_err(|error| Error::io("looking at", dir, error))? {
        return Ok(());
    }
    match list(env, dir)?.first() {
        Some(entry) => Err(Error::Invalid(format!(
            "{} is not empty (there is {}): a checkpoint needs a new folder",
            dir.display(),
            entry.name
        ))),
        None => Ok(()),
    }
}

fn partial_path(dir: &Path) -> Result<PathBuf, Error> {
    let Some(name) = dir.file_name() else {
        let message = format!("{} is no name for a folder", dir.display());
        return Err(Error::Invalid(message));
    };
    let mut partial = OsString::from(name);
    partial.push(PARTIAL_SUFFIX);
    Ok(dir.with_file_name(partial))
}

/// Makes the folder with those above it; the folders that got a new entry, but for the last.
fn make_dir(env: &Env, dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut changed = Vec::new();
    for ancestor in dir.ancestors().skip(1) {
        let failed = |error| Error::io("looking at", ancestor, error);
        if ancestor.as_os_str().is_empty() || env.files.exists(ancestor).map_err(failed)? {
            break;
        }
        changed.extend(ancestor.parent().map(Path::to_owned));
    }
    env.files
        .create_dir_all(dir)
        .map_err(|error| Error::io("making", dir, error))?;
    Ok(changed)
}

fn list(env: &Env, dir: &Path) -> Result<Vec<DirEntry>, Error> {
    let entries = env.files.list(dir);
    entries.map_err(|error| Error::io("listing", dir, error))
}

/// Removes what an earlier attempt left, but for the lock.
fn empty(env: &Env, partial: &Path) -> Result<(), Error> {
    let entries = list(env, partial)?;
    for entry in entries.iter().filter(|entry| entry.name != LOCK_NAME) {
        let path = partial.join(&entry.name);
        env.files
            .remove(&path)
            .map_err(|error| Error::io("removing", &path, error))?;
    }
    Ok(())
}

/// After a failure: what can't be removed now is removed by the next attempt.
fn abandon(env: &Env, partial: &Path) {
    let removed = empty(env, partial).and_then(|()| {
        let lock = partial.join(LOCK_NAME);
        env.files
            .remove(&lock)
            .and_then(|()| env.files.remove_dir(partial))
            .map_err(|error| Error::io("removing", partial, error))
    });
    if let Err(error) = removed {
        tracing::warn!(%error, "a part of a checkpoint that failed stays");
    }
}
