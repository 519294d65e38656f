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
    /// Their memory, bytes. Both are the flush backlog.
    pub sealed_bytes: u64,
    /// Segments of the log.
    pub segment_count: u64,
    /// Their size on disk, bytes.
    pub segment_bytes: u64,
    /// Size of the manifest on disk, bytes.
    pub manifest_bytes: u64,
    /// The levels of tables, from level 0 down.
    pub levels: Vec<LevelStats>,
    /// Sorted runs of level 0: how many tables lie over one another there at most.
    pub level0_depth: u64,
    /// The part of the tables, bytes, that no newer entry of the same table hides. What newer
    /// tables hide counts as live until a compaction has brought both together.
    pub table_live_bytes: u64,
    /// Batches written.
    pub batch_count: u64,
    /// Bytes of those batches as callers made them: keys, values, a few bytes an entry.
    pub user_bytes: u64,
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
    /// Bytes that writes appended to the value log.
    pub value_append_bytes: u64,
    /// Compactions that moved values out of files that were mostly garbage.
    pub value_collection_count: u64,
    /// Bytes of values that they moved.
    pub value_relocated_bytes: u64,
    /// Memory of the cache, bytes: blocks, index partitions, filters, and what each open table
    /// keeps.
    pub cache_bytes: u64,
    /// Lookups that the block cache answered.
    pub cache_hit_count: u64,
    /// Lookups that went to the device.
    pub cache_miss_count: u64,
    /// Point reads that were gone through to count what they touch: a sample.
    pub read_sample_count: u64,
    /// Tables whose keys reach over the key of a sampled read, until the one that has it.
    pub read_table_count: u64,
    /// Data blocks in them that were searched, whether they were in the cache or not.
    pub read_block_count: u64,
    /// The keys that are read most by [`crate::Engine::get`] and [`crate::Engine::multi_get`],
    /// hottest first: estimates from samples.
    pub hot_keys: Vec<HotKeyStats>,
}

impl Stats {
    /// All files of the store but a few small ones of fixed size: log, tables, value log, manifest.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        let tables: u64 = self.levels.iter().map(|level| level.bytes).sum();
        self.segment_bytes + tables + self.value_bytes + self.manifest_bytes
    }

    /// The part of tables and value log that is not known to be garbage.
    #[must_use]
    pub fn live_bytes(&self) -> u64 {
        self.table_live_bytes + self.value_bytes.saturating_sub(self.value_dead_bytes)
    }

    /// Bytes on disk for each live one; `None` while nothing is in tables or the value log.
    ///
    /// **Guarantees**: at least 1, and no more than the truth: garbage that is not known yet counts
    /// as live ([`Stats::table_live_bytes`]).
    #[must_use]
    pub fn space_amplification(&self) -> Option<f64> {
        ratio(self.file_bytes(), self.live_bytes())
    }

    /// Bytes written to files, by the log, the value log, flushes and compactions, for each byte
    /// that callers wrote since the store was opened; `None` while they wrote nothing.
    #[must_use]
    pub fn write_amplification(&self) -> Option<f64> {
        let values = self.value_append_bytes + self.value_relocated_bytes;
        let tables = self.flush_bytes + self.compaction_write_bytes;
        ratio(self.log_bytes + values + tables, self.user_bytes)
    }

    /// Tables that a point read asks, on average over the sample; `None` without a sample.
    #[must_use]
    pub fn tables_per_read(&self) -> Option<f64> {
        ratio(self.read_table_count, self.read_sample_count)
    }

    /// Data blocks that a point read searches, on average over the sample; `None` without one.
    #[must_use]
    pub fn blocks_per_read(&self) -> Option<f64> {
        ratio(self.read_block_count, self.read_sample_count)
    }

    /// Memory that has a budget, bytes: memtables and cache ([`crate::Options::memory_bytes_max`]).
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.memtable_bytes + self.sealed_bytes + self.cache_bytes
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
