//! Tables in memory, for tests of this folder and of those above it.

use std::{path::Path, sync::Arc};

use nokv_env::{Env, File, OpenMode};

use super::{Table, TableOptions, TableSummary, TableWriter};
use crate::{
    Error,
    cache::BlockCache,
    entry::{EntryKind, RangeTombstone},
};

/// An entry, owned. Ordered as in a table when the version is compared in reverse.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct OwnedEntry {
    pub(crate) key: Vec<u8>,
    pub(crate) version: u64,
    pub(crate) kind: EntryKind,
    pub(crate) value: Vec<u8>,
}

impl OwnedEntry {
    pub(crate) fn put(key: &[u8], version: u64, value: &[u8]) -> Self {
        let (key, value) = (key.to_vec(), value.to_vec());
        Self {
            key,
            version,
            kind: EntryKind::Put,
            value,
        }
    }

    /// A value that expires: the stored bytes are the expiry alone.
    pub(crate) fn put_expiring(key: &[u8], version: u64, expires_at: u64) -> Self {
        Self {
            key: key.to_vec(),
            version,
            kind: EntryKind::PutExpiring,
            value: expires_at.to_be_bytes().to_vec(),
        }
    }

    pub(crate) fn delete(key: &[u8], version: u64) -> Self {
        Self {
            key: key.to_vec(),
            version,
            kind: EntryKind::Delete,
            value: Vec::new(),
        }
    }
}

/// Sorts as a table is, and drops all but the first of those with the same key and version.
pub(crate) fn sort(entries: &mut Vec<OwnedEntry>) {
    entries.sort_by(|a, b| a.key.cmp(&b.key).then_with(|| b.version.cmp(&a.version)));
    entries.dedup_by(|a, b| a.key == b.key && a.version == b.version);
}

/// A file in memory.
pub(crate) fn file(env: &Env, name: &str) -> Arc<dyn File> {
    let dir = Path::new("/tables");
    env.files.create_dir_all(dir).expect("memory");
    env.files
        .open(&dir.join(name), OpenMode::Create)
        .expect("memory")
}

/// Writes sorted entries and range tombstones as a table.
pub(crate) fn write(
    file: &Arc<dyn File>,
    entries: &[OwnedEntry],
    tombstones: &[RangeTombstone],
    options: TableOptions,
) -> TableSummary {
    let mut writer = TableWriter::new(Arc::clone(file), Path::new("/tables/t"), options);
    for entry in entries {
        writer
            .add(&entry.key, entry.version, entry.kind, &entry.value)
            .expect("memory");
    }
    for tombstone in tombstones {
        writer.add_range_tombstone(&tombstone.start, &tombstone.end, tombstone.version);
    }
    writer.finish().expect("memory")
}

/// Opens a file with a cache of its own.
pub(crate) fn open(file: &Arc<dyn File>, id: u64) -> Result<Arc<Table>, Error> {
    let cache = Arc::new(BlockCache::new(1 << 20));
    Table::open(Arc::clone(file), Path::new("/tables/t"), id, cache).map(Arc::new)
}

/// A table of these entries.
pub(crate) fn table(
    id: u64,
    entries: &[OwnedEntry],
    tombstones: &[RangeTombstone],
    options: TableOptions,
) -> Arc<Table> {
    let env = Env::memory(1);
    let file = file(&env, "t");
    write(&file, entries, tombstones, options);
    open(&file, id).expect("just written")
}
