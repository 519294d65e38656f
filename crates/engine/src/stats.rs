//! Figures of a running engine.

use crate::Keyspace;

/// One level of tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LevelStats {
    /// Number of tables.
    pub table_count: u64,
    /// Their size on disk, bytes.
    pub bytes: u64,
}

/// A key that is read often.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HotKeyStats {
    /// Its keyspace.
    pub keyspace: Keyspace,
    /// The key.
    pub key: Vec<u8>,
    /// Samples of it, recent ones weighing more: at most this,
    pub sample_count: u64,
    /// and at least so many less.
    pub sample_error: u64,
}

/// A snapshot of counters and gauges. Counters run since the store was opened.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Memory of the active memtable, bytes.
    pub memtable_bytes: u64,
    /// Memtables waiting to be flushed.
    pub sealed_count: u64,
    /// Their memory, bytes.
    pub sealed_bytes: u64,
    /// Segments of the log.
    pub segment_count: u64,
    /// Their size on disk, bytes.
    pub segment_bytes: u64,
    /// The levels of tables, from level 0 down.
    pub levels: Vec<LevelStats>,
    /// Sorted runs of level 0: how many tables lie over one another there at most.
    pub level0_depth: u64,
    /// Batches written.
    pub batch_count: u64,
    /// Groups of batches written with one system call.
    pub group_count: u64,
    /// Bytes appended to the log.
    pub log_bytes: u64,
    /// Syncs of the log.
    pub sync_count: u64,
    /// Since when the log has been over [`crate::Options::log_bytes_max`], milliseconds since
    /// 1970; `None` when it is not.
    pub log_pinned_since_millis: Option<u64>,
    /// Memtables flushed.
    pub flush_count: u64,
    /// Bytes written by flushes.
    pub flush_bytes: u64,
    /// Compactions that run now.
    pub compaction_running_count: u64,
    /// Compactions done.
    pub compaction_count: u64,
    /// Bytes read by compactions.
    pub compaction_read_bytes: u64,
    /// Bytes written by compactions.
    pub compaction_write_bytes: u64,
    /// Writes that were slowed down.
    pub slowdown_count: u64,
    /// Writes that had to wait.
    pub stall_count: u64,
    /// Time that writers waited or were slowed down, microseconds.
    pub stall_micros: u64,
    /// Files of the value log.
    pub value_file_count: u64,
    /// Their size on disk, bytes.
    pub value_bytes: u64,
    /// Bytes in them that no table and no memtable points at.
    pub value_dead_bytes: u64,
    /// Compactions that moved values out of files that were mostly garbage.
    pub value_collection_count: u64,
    /// Bytes of values that they moved.
    pub value_relocated_bytes: u64,
    /// Bytes in the block cache.
    pub cache_bytes: u64,
    /// Lookups that the block cache answered.
    pub cache_hit_count: u64,
    /// Lookups that went to the device.
    pub cache_miss_count: u64,
    /// The keys that are read most by [`crate::Engine::get`] and [`crate::Engine::multi_get`],
    /// hottest first: estimates from samples.
    pub hot_keys: Vec<HotKeyStats>,
}
