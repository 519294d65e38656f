//! Sorted entries into table files: bulk load, and the writing side of an export.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use nokv_env::{Env, OpenMode};
use nokv_types::Version;

use super::{
    catalog::{Catalog, CatalogFile, CatalogWriter, Entry, Scope},
    hashing::HashingFile,
};
use crate::{
    Compression, Error, Keyspace, Options, Record,
    db::{table_number, table_path},
    entry::EntryKind,
    keyspace::{KEY_BYTES_MAX, VALUE_BYTES_MAX},
    table::{TableOptions, TableWriter},
};

/// How the files of a sink are written. The default is that of [`Options`] for the lowest level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SinkOptions {
    /// A file ends at the first key after this size, bytes.
    pub table_bytes: u64,
    /// A block of a table, bytes before compression.
    pub block_bytes: usize,
    /// How blocks are compressed.
    pub compression: Compression,
}

impl Default for SinkOptions {
    fn default() -> Self {
        Self::from(&Options::default())
    }
}

impl From<&Options> for SinkOptions {
    fn from(options: &Options) -> Self {
        Self {
            table_bytes: options.table_bytes,
            block_bytes: options.block_bytes,
            compression: options.compression_bottom,
        }
    }
}

/// A complete export: a folder that [`crate::Engine::ingest`] takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Export {
    /// Table files.
    pub file_count: u64,
    /// Entries in them.
    pub entry_count: u64,
    /// Their size, bytes.
    pub byte_count: u64,
    /// The highest version in them.
    pub version_max: Version,
}

/// Writes sorted entries as table files into a folder of their own, for [`crate::Engine::ingest`]:
/// the fastest way to fill a store.
///
/// **Shape**: entries come in order of keyspace, then key, then newest version first, each once.
/// **Guarantees**: after [`TableSink::finish`] all is durable; before, the folder can't be
/// ingested. **Concurrency**: one thread.
///
/// ```
/// use std::path::Path;
/// use nokv_engine::{Engine, IngestOptions, Keyspace, Options, SinkOptions, TableSink};
/// use nokv_env::Env;
/// use nokv_types::Version;
///
/// # fn main() -> Result<(), nokv_engine::Error> {
/// let env = Env::memory(1);
/// let mut sink = TableSink::create(&env, Path::new("/load"), SinkOptions::default())?;
/// for number in 0..1000_u32 {
///     sink.put(Keyspace::new(1), &number.to_be_bytes(), b"value", Version::from_u64(1))?;
/// }
/// sink.finish()?;
/// let engine = Engine::open(env, Path::new("/store"), Options::default())?;
/// let ingested = engine.ingest(Path::new("/load"), &IngestOptions::default())?;
/// assert_eq!(ingested.entry_count, 1000);
/// # engine.close()
/// # }
/// ```
pub struct TableSink {
    env: Env,
    dir: PathBuf,
    options: SinkOptions,
    catalog: CatalogWriter,
    open: Option<OpenTable>,
    next_number: u64,
    /// Internal key and version of the last entry.
    last_key: Vec<u8>,
    last_version: Option<u64>,
    key: Vec<u8>,
}

/// The file that is being written.
struct OpenTable {
    number: u64,
    file: Arc<HashingFile>,
    writer: TableWriter,
}

impl TableSink {
    /// Begins an export in `dir`, which is made if absent and must not hold one.
    ///
    /// # Errors
    /// `Invalid` when there is something in `dir`; `Io`, `Exhausted`.
    pub fn create(env: &Env, dir: &Path, options: SinkOptions) -> Result<Self, Error> {
        Self::begin(env, dir, options, Scope::default())
    }

    pub(super) fn begin(
        env: &Env,
        dir: &Path,
        options: SinkOptions,
        scope: Scope,
    ) -> Result<Self, Error> {
        prepare_dir(env, dir)?;
        let entries = list(env, dir)?;
        // A catalog that did not get its name yet is the only thing that a crash may have left.
        if let Some(other) = entries.iter().find(|name| *name != "EXPORT.next") {
            return Err(Error::Invalid(format!(
                "{} is not empty (there is {other}): export into an empty folder",
                dir.display()
            )));
        }
        let catalog = CatalogWriter::create(env, dir, scope)?;
        Ok(Self::over(env, dir, options, catalog))
    }

    /// Goes on with an export that has no end: behind its last complete file.
    pub(super) fn go_on(
        env: &Env,
        dir: &Path,
        options: SinkOptions,
        catalog: Catalog,
    ) -> Result<Self, Error> {
        let is_listed = |number| catalog.files.iter().any(|file| file.number == number);
        for name in list(env, dir)? {
            if table_number(&name).is_some_and(|number| !is_listed(number)) {
                let path = dir.join(&name);
                let removed = env.files.remove(&path);
                removed.map_err(|error| Error::io("removing", &path, error))?;
            }
        }
        let catalog = CatalogWriter::go_on(env, dir, catalog)?;
        Ok(Self::over(env, dir, options, catalog))
    }

    fn over(env: &Env, dir: &Path, options: SinkOptions, catalog: CatalogWriter) -> Self {
        let last = catalog.catalog.files.last();
        Self {
            env: env.clone(),
            dir: dir.to_owned(),
            options,
            open: None,
            next_number: last.map_or(1, |file| file.number + 1),
            last_key: last.map_or_else(Vec::new, |file| file.summary.largest.clone()),
            last_version: last.map(|_| 0),
            key: Vec::new(),
            catalog,
        }
    }

    /// Adds `value` at `version` of `key`.
    ///
    /// # Errors
    /// `Invalid` when it is not after the entry before, or over a limit; `Io`, `Exhausted`: drop
    /// the sink.
    pub fn put(
        &mut self,
        keyspace: Keyspace,
        key: &[u8],
        value: &[u8],
        version: Version,
    ) -> Result<(), Error> {
        self.add((keyspace, key), version, EntryKind::Put, value)
    }

    /// Adds a record as a read returned it: with its version, and its expiry if it has one.
    ///
    /// # Errors
    /// As [`TableSink::put`].
    pub fn put_record(
        &mut self,
        (keyspace, key): (Keyspace, &[u8]),
        record: &Record,
    ) -> Result<(), Error> {
        let Some(expires_at) = record.expires_at else {
            return self.put(keyspace, key, &record.value, record.version);
        };
        let mut stored = expires_at.as_u64().to_be_bytes().to_vec();
        stored.extend_from_slice(&record.value);
        self.add(
            (keyspace, key),
            record.version,
            EntryKind::PutExpiring,
            &stored,
        )
    }

    /// Adds the deletion of `key` at `version`.
    ///
    /// # Errors
    /// As [`TableSink::put`].
    pub fn delete(
        &mut self,
        keyspace: Keyspace,
        key: &[u8],
        version: Version,
    ) -> Result<(), Error> {
        self.add((keyspace, key), version, EntryKind::Delete, &[])
    }

    /// Closes the last file and makes the export complete and durable.
    ///
    /// # Errors
    /// `Io`, `Exhausted`.
    pub fn finish(mut self) -> Result<Export, Error> {
        self.finish_table()?;
        let export = Export::of(&self.catalog.catalog);
        self.catalog.add(Entry::End {
            file_count: export.file_count,
            entry_count: export.entry_count,
        })?;
        Ok(export)
    }

    fn add(
        &mut self,
        (keyspace, user_key): (Keyspace, &[u8]),
        version: Version,
        kind: EntryKind,
        value: &[u8],
    ) -> Result<(), Error> {
        if user_key.len() > KEY_BYTES_MAX || value.len() > VALUE_BYTES_MAX + kind.prefix_bytes() {
            let (key_bytes, value_bytes) = (user_key.len(), value.len());
            return Err(Error::Invalid(format!(
                "an entry of {key_bytes} and {value_bytes} bytes is over the limits"
            )));
        }
        self.key.clear();
        self.key.push(keyspace.get());
        self.key.extend_from_slice(user_key);
        let version = version.as_u64();
        let is_same_key = self.last_version.is_some() && self.last_key == self.key;
        let is_after = match self.last_version {
            Some(last) => self.last_key < self.key || (is_same_key && version < last),
            None => true,
        };
        if !is_after {
            let last = self.last_version.unwrap_or(0);
            return Err(Error::Invalid(format!(
                "entries of a sink come in order: {:?} at {version} after {:?} at {last}",
                bytes::Bytes::copy_from_slice(&self.key),
                bytes::Bytes::copy_from_slice(&self.last_key),
            )));
        }
        let is_full = |open: &OpenTable| open.writer.byte_count() >= self.options.table_bytes;
        // All versions of a key are in one table.
        if !is_same_key && self.open.as_ref().is_some_and(is_full) {
            self.finish_table()?;
        }
        if self.open.is_none() {
            self.open = Some(self.start_table()?);
        }
        let open = self.open.as_mut().expect("made above");
        open.writer.add(&self.key, version, kind, value)?;
        std::mem::swap(&mut self.last_key, &mut self.key);
        self.last_version = Some(version);
        Ok(())
    }

    fn start_table(&mut self) -> Result<OpenTable, Error> {
        let number = self.next_number;
        self.next_number += 1;
        let path = table_path(&self.dir, number);
        let file = self
            .env
            .files
            .open(&path, OpenMode::CreateNew)
            .map_err(|error| Error::io("making", &path, error))?;
        let file = Arc::new(HashingFile::new(file));
        let options = TableOptions {
            block_bytes: self.options.block_bytes,
            compression: self.options.compression,
            ..TableOptions::default()
        };
        let writer = TableWriter::new(file.clone(), &path, options);
        Ok(OpenTable {
            number,
            file,
            writer,
        })
    }

    fn finish_table(&mut self) -> Result<(), Error> {
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        let summary = open.writer.finish()?;
        // The name must be durable before the catalog says it.
        self.env
            .files
            .sync_dir(&self.dir)
            .map_err(|error| Error::io("syncing", &self.dir, error))?;
        self.catalog.add(Entry::File(CatalogFile {
            number: open.number,
            hash: open.file.hash(),
            summary,
        }))
    }
}

impl std::fmt::Debug for TableSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TableSink({})", self.dir.display())
    }
}

impl Export {
    pub(super) fn of(catalog: &Catalog) -> Self {
        let summaries = || catalog.files.iter().map(|file| &file.summary);
        Self {
            file_count: catalog.files.len() as u64,
            entry_count: summaries().map(|summary| summary.entry_count).sum(),
            byte_count: summaries().map(|summary| summary.bytes).sum(),
            version_max: Version::from_u64(
                summaries()
                    .map(|summary| summary.version_max)
                    .max()
                    .unwrap_or(0),
            ),
        }
    }
}

/// Makes the folder, durably.
fn prepare_dir(env: &Env, dir: &Path) -> Result<(), Error> {
    env.files
        .create_dir_all(dir)
        .map_err(|error| Error::io("making", dir, error))?;
    match dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => env
            .files
            .sync_dir(parent)
            .map_err(|error| Error::io("syncing", parent, error)),
        None => Ok(()),
    }
}

fn list(env: &Env, dir: &Path) -> Result<Vec<String>, Error> {
    let entries = env
        .files
        .list(dir)
        .map_err(|error| Error::io("listing", dir, error))?;
    Ok(entries.into_iter().map(|entry| entry.name).collect())
}
