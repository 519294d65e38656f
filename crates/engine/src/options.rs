//! How an engine is opened, how durable a write is, which versions are kept.

use nokv_types::Version;

use crate::Error;

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether to make, change or only read the store.
    pub access: Access,
    /// Which log makes writes durable.
    pub log: LogMode,
    /// A memtable is flushed at this size, bytes.
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
    /// Cache of blocks, bytes.
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
}

impl Options {
    /// The smallest memtable and segment, bytes: tests use it; below it, files are mostly heads.
    pub const MEMTABLE_BYTES_MIN: usize = 4 << 10;

    /// Separating a smaller value would not make its entry smaller: a pointer and the head of a
    /// value take as much.
    pub const VALUE_SEPARATION_BYTES_MIN: usize = 64;

    /// More buckets only spread a group of writes over more files to sync.
    pub const VALUE_BUCKETS_MAX: usize = 64;

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
    /// Versions at which reads must stay exact, in any order.
    pub pins: Vec<Version>,
}
