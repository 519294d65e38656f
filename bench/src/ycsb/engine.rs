//! The one trait through which every engine is driven, and the list of engines.

use super::peers;
use anyhow::{Result, anyhow};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// When a write returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Durability {
    /// In the log or with the operating system.
    Buffered,
    /// On disk.
    Synced,
}

impl Durability {
    /// As in the rows.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Buffered => "buffered",
            Self::Synced => "synced",
        }
    }
}

/// How an engine is opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EngineOptions {
    /// Of `put`; `batch` and `sync` say themselves.
    pub(crate) durability: Durability,
    /// The whole cache budget.
    pub(crate) cache_bytes: u64,
}

/// Receives the records of a scan.
pub(crate) type Sink<'a> = &'a mut dyn FnMut(&[u8], &[u8]);

/// An ordered map on disk, used by many threads.
pub(crate) trait Engine: Send + Sync {
    /// Writes one record with the durability of the options.
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()>;
    /// Copies the value into `value` (replacing what is there); `false` when there is none.
    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool>;
    /// Gives at most `limit` records at or after `start`, ascending; the number given.
    fn scan(&self, start: &[u8], limit: usize, sink: Sink<'_>) -> Result<usize>;
    /// Writes all records atomically, buffered.
    fn batch(&self, records: &[(Vec<u8>, Vec<u8>)]) -> Result<()>;
    /// All writes that returned are on disk.
    fn sync(&self) -> Result<()>;
}

/// Opens an engine in a directory that exists.
pub(super) type Open = fn(&Path, EngineOptions) -> Result<Box<dyn Engine>>;

/// Every engine, ours first; those that cannot be opened with the reason.
const ENGINES: &[(&str, Result<Open, &str>)] = &[
    ("nokv-engine", Ok(peers::open_nokv)),
    ("nokv-engine-skip-list", Ok(peers::open_nokv_skip_list)),
    ("fjall", Ok(peers::open_fjall)),
    ("rocksdb", peers::OPEN_ROCKSDB),
    ("lmdb", Ok(peers::open_lmdb)),
    ("redb", Ok(peers::open_redb)),
    ("holt", Ok(peers::open_holt)),
];

/// Engines that run only when asked for: variants of another.
pub(crate) const ON_DEMAND: &[&str] = &["nokv-engine-skip-list"];

/// The names of all engines.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ENGINES.iter().map(|(name, _)| *name)
}

/// Why an engine can't be measured, if so.
pub(crate) fn absence(name: &str) -> Option<&'static str> {
    find(name).err()
}

/// Opens an engine by name.
pub(crate) fn open(name: &str, dir: &Path, options: EngineOptions) -> Result<Box<dyn Engine>> {
    find(name).map_err(|reason| anyhow!("{name}: {reason}"))?(dir, options)
}

fn find(name: &str) -> Result<Open, &'static str> {
    let found = ENGINES.iter().find(|(known, _)| *known == name);
    found.map_or(Err("no such engine"), |(_, open)| *open)
}
