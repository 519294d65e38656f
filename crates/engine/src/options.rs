//! How an engine is opened, how durable a write is, which versions are kept.

use nokv_types::Version;

use crate::{Error, Keyspace};

/// When a write is acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Durability {
    /// Written to the log, in order, not synced: survives the death of the process; a power cut may
    /// take the last moments, never a part of a batch and never one before another that is kept.
    Buffered,
    /// Synced to the device: survives a power cut.
    #[default]
    Synced,
}

/// What the engine does with its directory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Access {
    /// Makes the store if there is none, recovers it, and writes.
    #[default]
    Create,
    /// Recovers a store that must exist, and writes.
    Existing,
    /// Opens a store that must exist and changes nothing.
    ReadOnly,
}

/// Which log makes writes durable. A store keeps the mode that it was made with
/// ([`crate::Engine::into_external_log`] is the one way out).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum LogMode {
    /// The store's own write-ahead log.
    #[default]
    Own,
    /// A log outside, such as that of a replicated state machine: nothing is written before a
    /// memtable is flushed, and [`Durability`] says nothing. Each batch carries the index of its
    /// entry in that log ([`crate::Batch::set_applied_index`]); after opening, the entries above
    /// [`crate::Engine::applied_index`] are to be applied again.
    External,
}

/// How blocks of tables are compressed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Compression {
    /// Not at all.
    None,
    /// LZ4: fast on both ways.
    #[default]
    Lz4,
    /// Zstandard, level 1: smaller.
    Zstd,
}

/// How an engine is opened.
///
/// **Memory**: a store takes at most
/// `memtable_bytes * (1 + immutables_max) + cache_bytes` for what has a budget: the active memtable
/// and those that wait to be flushed; the cache with blocks, index partitions, filters, top indexes
/// and whatever else open tables keep. By default that is 64 MiB * 4 + 64 MiB = 320 MiB, of which
/// a store that is not written to uses the 64 MiB of the cache. Beside it, each thread that
/// compacts works with up to [`Options::COMPACTION_MEMORY_BYTES`] while it compacts.
/// [`Options::memory_bytes_max`] adds it all up, [`Options::with_memory`] splits a budget. A batch
/// larger than a memtable, and what readers hold (a scan or a borrowed value keeps the memtable or
/// the block that it is in), come on top. The allocator of the process may keep freed memory: its
/// resident size goes down later or never.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether to make, change or only read the store.
    pub access: Access,
    /// Which log makes writes durable.
    pub log: LogMode,
    /// A memtable is flushed at this size, bytes. It is found full by the batch after, so it may
    /// be larger by one group of batches, or by a piece of its memory (1 MiB).
    pub memtable_bytes: usize,
    /// The structure of the memtable.
    pub structure: nokv_art::Structure,
    /// Writers wait when this many memtables are waiting to be flushed.
    pub immutables_max: usize,
    /// A segment of the log is full at this size, bytes.
    pub segment_bytes: u64,
    /// The most that the log should take on disk, bytes: above it the memtable that needs its
    /// oldest segment is flushed whatever its size, and writers are slowed down until, at twice as
    /// much, they wait. `None` for four segments and all memtables.
    pub log_bytes_max: Option<u64>,
    /// The cache, bytes: blocks, index partitions, filters, and what open tables keep.
    pub cache_bytes: usize,
    /// A block of a table, bytes before compression.
    pub block_bytes: usize,
    /// A table of a level below the first, bytes.
    pub table_bytes: u64,
    /// Compaction of level 0 begins when so many tables of it lie over one another.
    pub level0_tables: usize,
    /// The level below level 0, bytes; each one further down is ten times as large.
    pub level_base_bytes: u64,
    /// Values of at least this go to the value log; `None` keeps all of them in the tree.
    pub value_separation_bytes: Option<usize>,
    /// Parts of the keys, by hash, whose values go to files of their own.
    pub value_buckets: usize,
    /// A file of the value log is full, and a memtable that points at so much is flushed, at this
    /// size, bytes.
    pub value_file_bytes: u64,
    /// A file of the value log is collected when more than this share of it is garbage, percent.
    pub value_garbage_percent: u64,
    /// The most that compactions read in a second, bytes; `None` for no limit.
    pub compaction_bytes_per_second: Option<u64>,
    /// Threads that compact; `None` for as many as there are processors, at most four.
    pub compaction_threads: Option<usize>,
    /// Compression of the upper levels.
    pub compression: Compression,
    /// Compression of the lowest level.
    pub compression_bottom: Compression,
    /// Keyspaces from this one up are not held by the pins of [`Retention`], only by its horizon:
    /// for what nobody reads in the past, as a log that is trimmed. `None`: pins hold all.
    pub unpinned_from: Option<Keyspace>,
}

impl Options {
    /// The smallest memtable and segment, bytes: tests use it; below it, files are mostly heads.
    pub const MEMTABLE_BYTES_MIN: usize = 4 << 10;

    /// Separating a smaller value would not make its entry smaller: a pointer and the head of a
    /// value take as much.
    pub const VALUE_SEPARATION_BYTES_MIN: usize = 64;

    /// More buckets only spread a group of writes over more files to sync.
    pub const VALUE_BUCKETS_MAX: usize = 64;

    /// What a thread needs to compact, bytes: pieces of its inputs that were read ahead, an open
    /// block of each, the buffers and the index of the table that it writes.
    pub const COMPACTION_MEMORY_BYTES: usize = 16 << 20;

    /// Threads that compact unless more are asked for: more would keep a device busy that writers
    /// need, and what one has read is out of the cache of the others.
    pub(crate) const COMPACTION_THREADS_MAX: usize = 4;

    /// The smallest budget that [`Options::with_memory`] splits.
    pub const MEMORY_BYTES_MIN: usize = 32 << 20;

    /// More memory is of more use in the cache: a flush should not take long.
    const MEMTABLE_BYTES_USEFUL: usize = 128 << 20;

    /// The default options, for a store that takes at most so many bytes of memory
    /// ([`Options::memory_bytes_max`]): three parts in eight for memtables, less when they would be
    /// larger than is of use, the rest for compactions and the cache.
    ///
    /// **Shape**: less than [`Options::MEMORY_BYTES_MIN`] counts as that.
    #[must_use]
    pub fn with_memory(bytes: usize) -> Self {
        let mut options = Self::default();
        let bytes = bytes.max(Self::MEMORY_BYTES_MIN);
        // A quarter for compactions; the smallest stores compact with one thread.
        let threads = bytes / 4 / Self::COMPACTION_MEMORY_BYTES;
        if threads < Self::COMPACTION_THREADS_MAX {
            options.compaction_threads = Some(threads.max(1));
        }
        let memtable = bytes / 8 * 3 / (options.immutables_max + 1);
        options.memtable_bytes = memtable.min(Self::MEMTABLE_BYTES_USEFUL);
        options.cache_bytes = 0;
        options.cache_bytes = bytes - options.memory_bytes_max();
        options
    }

    /// The most memory that a store with these options takes, bytes: see the formula above.
    #[must_use]
    pub fn memory_bytes_max(&self) -> usize {
        let memtables = self.memtable_bytes.saturating_mul(self.immutables_max + 1);
        let threads = self
            .compaction_threads
            .unwrap_or(Self::COMPACTION_THREADS_MAX);
        let compactions = Self::COMPACTION_MEMORY_BYTES.saturating_mul(threads);
        memtables
            .saturating_add(self.cache_bytes)
            .saturating_add(compactions)
    }

    /// # Errors
    /// `Invalid` when a size is out of range.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let small = self.memtable_bytes < Self::MEMTABLE_BYTES_MIN
            || self.segment_bytes < Self::MEMTABLE_BYTES_MIN as u64
            || self.log_bytes_max() < Self::MEMTABLE_BYTES_MIN as u64
            || self.block_bytes < 256
            || self.table_bytes < 4096
            || self.level_base_bytes < 4096;
        let separates_pointers = self
            .value_separation_bytes
            .is_some_and(|bytes| bytes < Self::VALUE_SEPARATION_BYTES_MIN);
        let small = small
            || separates_pointers
            || !(1..=Self::VALUE_BUCKETS_MAX).contains(&self.value_buckets)
            || self.value_file_bytes < Self::MEMTABLE_BYTES_MIN as u64
            || !(1..=99).contains(&self.value_garbage_percent);
        if small || self.immutables_max == 0 || self.level0_tables == 0 {
            return Err(Error::Invalid(
                "an option of the engine is out of its range".to_owned(),
            ));
        }
        Ok(())
    }

    /// The most that the log should take on disk, bytes.
    pub(crate) fn log_bytes_max(&self) -> u64 {
        self.log_bytes_max.unwrap_or_else(|| {
            let memtables = (self.immutables_max as u64 + 1) * self.memtable_bytes as u64;
            self.segment_bytes * 4 + memtables
        })
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            access: Access::Create,
            log: LogMode::Own,
            log_bytes_max: None,
            memtable_bytes: 64 << 20,
            structure: nokv_art::Structure::Art,
            immutables_max: 3,
            segment_bytes: 64 << 20,
            cache_bytes: 64 << 20,
            block_bytes: 8 << 10,
            table_bytes: 64 << 20,
            level0_tables: 4,
            level_base_bytes: 256 << 20,
            value_separation_bytes: Some(32 << 10),
            value_buckets: 2,
            value_file_bytes: 256 << 20,
            value_garbage_percent: 30,
            compaction_bytes_per_second: None,
            compaction_threads: None,
            compression: Compression::Lz4,
            compression_bottom: Compression::Zstd,
            unpinned_from: None,
        }
    }
}

/// Which versions a compaction keeps: for each key the newest overall, the newest at or below each
/// pin and at or below the horizon, and all above the horizon.
///
/// A read at a version below the horizon that is no pin may find too little: the layer above
/// refuses it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Retention {
    /// Everything above it is kept.
    pub horizon: Version,
    /// Versions at which reads must stay exact, in any order; but see
    /// [`Options::unpinned_from`].
    pub pins: Vec<Version>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_of_memory_is_split_and_used_up() {
        for mib in [1, 32, 33, 64, 100, 256, 1024, 4096, 65_536] {
            let options = Options::with_memory(mib << 20);
            options.check().unwrap();
            let budget = (mib << 20).max(Options::MEMORY_BYTES_MIN);
            assert_eq!(options.memory_bytes_max(), budget, "{mib} MiB");
            assert!(options.cache_bytes >= budget / 8, "{mib} MiB");
        }
        assert_eq!(Options::default().memory_bytes_max(), 384 << 20);
    }
}
