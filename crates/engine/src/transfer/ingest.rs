//! Taking an export into a store.
//!
//! # The rule
//! A file is taken when **every version that the store knows within the file's range of keys is
//! below every version in the file** (which is always so where the store knows no key). Then the
//! file is newer than all that it lies above, and "the newest source that knows a key decides" is
//! as true as before. A file whose every entry is in the store as it is, is there already: it is
//! passed over, so that ingesting twice does nothing. Anything else is refused, with the key.
//!
//! Rejected: comparing versions key by key and taking files that mix (the reads of every key would
//! have to ask every source); rewriting the versions (a snapshot of the source names them).
//!
//! # The level
//! The lowest one such that neither it nor any above has a table that meets the file's range.
//!
//! # A crash
//! Files are linked under numbers of their own, proved, and made visible by one edit of the
//! manifest. Before it, they are garbage that the next open removes; after it, all are there.
//! Called again, the ingest begins again, and finds the files there already if the edit was made.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use nokv_env::{Env, File, OpenMode};
use nokv_types::Version;

use super::{
    catalog::{Catalog, CatalogFile},
    hashing::hash_of,
};
use crate::{Engine, Error, db::table_path, table::Table};

/// Bytes copied at once.
const COPY_BYTES: usize = 1 << 20;

/// How files come into the store.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Transfer {
    /// As hard links, and as copies where the file system can't link (another device). The files
    /// of the export must not be changed afterwards; they may be removed.
    #[default]
    Link,
    /// As copies.
    Copy,
}

/// How an export is ingested.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct IngestOptions {
    /// Links or copies.
    pub transfer: Transfer,
}

/// What an ingest did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ingested {
    /// Files that were taken.
    pub file_count: u64,
    /// Entries in them.
    pub entry_count: u64,
    /// Their size, bytes.
    pub byte_count: u64,
    /// Files that were passed over: all that is in them was in the store.
    pub present_count: u64,
}

/// A file in the store's folder, proved, not yet visible.
pub(crate) struct Candidate {
    pub(crate) path: PathBuf,
    pub(crate) table: Arc<Table>,
}

impl Engine {
    /// Makes the export in `dir` part of the store.
    ///
    /// **Guarantees**: every byte was read and found whole before anything is visible; all of it is
    /// visible, and durable, on return, or nothing. Ingesting the same export again does nothing.
    /// Later writes to its keys need versions above its own, like any other write;
    /// [`Engine::last_version`] is at least its highest.
    ///
    /// # Errors
    /// `NotFound`: no export in `dir`. `Invalid`: it is not complete, or the store has a version
    /// in a file's range that is not below the file's (nothing was changed). `Corrupt`: a byte of
    /// it is not what was written. `Io`, `Exhausted`: repeat.
    pub fn ingest(&self, dir: &Path, options: &IngestOptions) -> Result<Ingested, Error> {
        let env = self.env();
        let Some(catalog) = Catalog::load(env, dir)? else {
            let dir = dir.display().to_string();
            return Err(Error::NotFound { dir });
        };
        if !catalog.is_complete {
            return Err(Error::Invalid(format!(
                "the export in {} is not complete: export again into the same folder to go on",
                dir.display()
            )));
        }
        let mut made = Vec::new();
        let outcome = self.take_in(dir, &catalog, *options, &mut made);
        if let Err((error, IsVisible::No)) = &outcome {
            tracing::debug!(%error, "an ingest is undone");
            self.remove_files(&made);
        }
        outcome.map_err(|(error, _)| error)
    }

    fn take_in(
        &self,
        dir: &Path,
        catalog: &Catalog,
        options: IngestOptions,
        made: &mut Vec<PathBuf>,
    ) -> Result<Ingested, (Error, IsVisible)> {
        let before = |error| (error, IsVisible::No);
        let mut candidates = Vec::with_capacity(catalog.files.len());
        for file in &catalog.files {
            let candidate = self.bring(dir, file, options.transfer, made);
            candidates.push(candidate.map_err(before)?);
        }
        let (mut new, present) = self.sort_out(candidates).map_err(before)?;
        self.remove_files(&present);
        let summaries = || new.iter().map(|candidate| candidate.table.summary());
        let ingested = Ingested {
            file_count: new.len() as u64,
            entry_count: summaries().map(|summary| summary.entry_count).sum(),
            byte_count: summaries().map(|summary| summary.bytes).sum(),
            present_count: present.len() as u64,
        };
        made.retain(|path| !present.contains(path));
        if !new.is_empty() {
            let folder = self.dir();
            let synced = self.env().files.sync_dir(folder);
            synced.map_err(|error| before(Error::io("syncing", folder, error)))?;
            self.adopt(&mut new, made)?;
        }
        Ok(ingested)
    }

    /// Brings a file into the store's folder and proves it there.
    fn bring(
        &self,
        dir: &Path,
        file: &CatalogFile,
        transfer: Transfer,
        made: &mut Vec<PathBuf>,
    ) -> Result<Candidate, Error> {
        let from = table_path(dir, file.number);
        let number = self.take_number()?;
        let path = table_path(self.dir(), number);
        made.push(path.clone());
        if transfer == Transfer::Copy || !link(self.env(), &from, &path)? {
            copy(self.env(), &from, &path)?;
        }
        self.prove(&from, file)
            .and_then(|()| self.open_table(number))
            .and_then(|table| {
                table.verify()?;
                check_has_values(&table)?;
                Ok(Candidate { path, table })
            })
            .map_err(|error| at_source(error, &from))
    }

    /// The file is the one that the catalog describes, and durable.
    fn prove(&self, from: &Path, listed: &CatalogFile) -> Result<(), Error> {
        let open = self.env().files.open(from, OpenMode::Read);
        let file = open.map_err(|error| Error::io("opening", from, error))?;
        let length = file
            .len()
            .map_err(|error| Error::io("measuring", from, error))?;
        if length != listed.summary.bytes {
            let expected = format!("{} bytes", listed.summary.bytes);
            let found = format!("{length} bytes");
            return Err(Error::corrupt(from, length, expected, found));
        }
        if hash_of(file.as_ref(), from, length)? != listed.hash {
            let expected = "the file that the catalog of the export describes";
            return Err(Error::corrupt(from, 0, expected, "another file"));
        }
        // A folder that was copied here by other programs is not known to be durable.
        file.sync_data()
            .map_err(|error| Error::io("syncing", from, error))
    }

    /// The candidates that are new, and the paths of those that are in the store already.
    fn sort_out(
        &self,
        candidates: Vec<Candidate>,
    ) -> Result<(Vec<Candidate>, Vec<PathBuf>), Error> {
        let (mut new, mut present) = (Vec::new(), Vec::new());
        for candidate in candidates {
            match self.find_conflict(&candidate.table)? {
                None => new.push(candidate),
                Some(_) if self.has_all_of(&candidate.table)? => present.push(candidate.path),
                Some((key, version)) => {
                    return Err(conflict(&candidate.table, &key, version));
                }
            }
        }
        Ok((new, present))
    }
}

/// Whether a failed ingest may be visible all the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum IsVisible {
    No,
    /// The manifest failed while the edit was written.
    Unknown,
}

/// Why a file can't be taken.
pub(crate) fn conflict(table: &Table, key: &[u8], version: u64) -> Error {
    let summary = table.summary();
    Error::Invalid(format!(
        "the store has version {version} at or behind key {:?}, and an export that is ingested must \
         be newer there: its versions begin with {} (file of keys {:?} to {:?})",
        bytes::Bytes::copy_from_slice(key),
        Version::from_u64(summary.version_min),
        bytes::Bytes::copy_from_slice(&summary.smallest),
        bytes::Bytes::copy_from_slice(&summary.largest),
    ))
}

/// A pointer means something in the store that wrote it only. No export has one.
fn check_has_values(table: &Table) -> Result<(), Error> {
    if table.summary().value_refs.is_empty() {
        return Ok(());
    }
    let expected = "values in the table";
    Err(Error::corrupt(
        table.path(),
        0,
        expected,
        "pointers into a value log",
    ))
}

/// Damage is told of the file that the caller knows.
fn at_source(error: Error, from: &Path) -> Error {
    match error {
        Error::Corrupt {
            offset,
            expected,
            found,
            ..
        } => Error::corrupt(from, offset, expected, found),
        other => other,
    }
}

/// Whether it could be linked; false where the file system can't.
pub(crate) fn link(env: &Env, from: &Path, to: &Path) -> Result<bool, Error> {
    match env.files.link(from, to) {
        Ok(()) => Ok(true),
        Err(error) => match error.kind() {
            io::ErrorKind::CrossesDevices
            | io::ErrorKind::Unsupported
            | io::ErrorKind::TooManyLinks
            | io::ErrorKind::PermissionDenied => Ok(false),
            io::ErrorKind::NotFound => {
                let expected = "a file that is listed";
                Err(Error::corrupt(from, 0, expected, "no file"))
            }
            _ => Err(Error::io("linking", from, error)),
        },
    }
}

/// Copies a whole file; the copy is durable, its name is the caller's to sync.
pub(crate) fn copy(env: &Env, from: &Path, to: &Path) -> Result<u64, Error> {
    let source = env
        .files
        .open(from, OpenMode::Read)
        .map_err(|error| Error::io("opening", from, error))?;
    let length = source
        .len()
        .map_err(|error| Error::io("measuring", from, error))?;
    copy_prefix(env, (source.as_ref(), from), length, to)?;
    Ok(length)
}

/// Copies the first `length` bytes into a new, durable file.
pub(crate) fn copy_prefix(
    env: &Env,
    (source, from): (&dyn File, &Path),
    length: u64,
    to: &Path,
) -> Result<(), Error> {
    let writing = |error| Error::io("writing", to, error);
    let target = env.files.open(to, OpenMode::CreateNew).map_err(writing)?;
    let mut piece = vec![0; COPY_BYTES];
    let mut offset = 0;
    while offset < length {
        let wanted = usize::try_from(length - offset).map_or(COPY_BYTES, |n| n.min(COPY_BYTES));
        let slice = piece.get_mut(..wanted).unwrap_or_default();
        source
            .read_exact_at(slice, offset)
            .map_err(|error| Error::io("reading", from, error))?;
        target.write_at(slice, offset).map_err(writing)?;
        offset += wanted as u64;
    }
    target.sync_all().map_err(writing)
}
