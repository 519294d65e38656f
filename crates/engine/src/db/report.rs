//! Figures and checks of a running store.

use std::sync::{Arc, atomic::Ordering};

use super::core::Core;
use crate::{
    HotKeyStats, Keyspace, Retention, Stats, hot_keys::HotKey, manifest::manifest_number,
    vlog::FileUse, wal::segment_number,
};

/// Hot keys that are told; more are not worth an operator's look.
const HOT_KEY_COUNT: usize = 16;

impl Core {
    pub(super) fn set_retention(&self, mut retention: Retention) {
        retention.pins.sort_unstable();
        retention.pins.dedup();
        *self.retention.lock() = Arc::new(retention);
        if let Some(writing) = &self.writing {
            writing.wake_workers();
        }
    }

    pub(super) fn stats(&self) -> Stats {
        let view = self.view.load();
        let (values, uses) = (&view.values, view.value_uses(|_| true));
        let log = self
            .writing
            .as_ref()
            .map(|writing| writing.log.stats())
            .unwrap_or_default();
        let counters = &self.counters;
        let cache = self.cache.figures();
        let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let files = self.file_sizes();
        let reads = &self.read_costs;
        Stats {
            memtable_bytes: view.active.byte_count() as u64,
            sealed_count: view.sealed.len() as u64,
            sealed_bytes: view
                .sealed
                .iter()
                .map(|memory| memory.byte_count() as u64)
                .sum(),
            segment_count: log.segment_count,
            batch_count: load(&counters.batches),
            user_bytes: load(&counters.user_bytes),
            group_count: log.group_count,
            log_bytes: log.log_bytes,
            sync_count: log.sync_count,
            log_pinned_since_millis: self.log_pinned_since_millis(),
            flush_count: load(&counters.flushes),
            flush_bytes: load(&counters.flush_bytes),
            compaction_count: load(&counters.compactions),
            compaction_read_bytes: load(&counters.compaction_read_bytes),
            compaction_write_bytes: load(&counters.compaction_write_bytes),
            slowdown_count: load(&counters.slowdowns),
            stall_count: load(&counters.stalls),
            stall_micros: load(&counters.stall_micros),
            value_file_count: values.iter().count() as u64,
            value_bytes: values.iter().map(|file| file.byte_count()).sum(),
            value_dead_bytes: uses.iter().map(FileUse::dead).sum(),
            value_append_bytes: load(&counters.value_append_bytes),
            value_collection_count: load(&counters.value_collections),
            value_relocated_bytes: load(&counters.relocated_bytes),
            levels: view.tables.stats(),
            level0_depth: view.tables.level0_depth() as u64,
            compaction_running_count: self
                .writing
                .as_ref()
                .map_or(0, |writing| writing.compactions.count()),
            table_live_bytes: view.tables.live_bytes(),
            segment_bytes: files.segment_bytes,
            manifest_bytes: files.manifest_bytes,
            read_sample_count: load(&reads.reads),
            read_table_count: load(&reads.tables),
            read_block_count: load(&reads.blocks),
            cache_bytes: cache.bytes,
            cache_hit_count: cache.hit_count,
            cache_miss_count: cache.miss_count,
            hot_keys: self.hot_keys(),
        }
    }

    fn log_pinned_since_millis(&self) -> Option<u64> {
        let writing = self.writing.as_ref()?;
        self.watch_log(writing);
        writing.log_watch.lock().since_millis
    }

    fn hot_keys(&self) -> Vec<HotKeyStats> {
        let keys = self.hot_keys.top(HOT_KEY_COUNT).into_iter();
        let stats = |mut hot: HotKey| {
            let keyspace = Keyspace::new(*hot.key.first()?);
            hot.key.remove(0);
            Some(HotKeyStats {
                keyspace,
                key: hot.key,
                sample_count: hot.count,
                sample_error: hot.error,
            })
        };
        keys.filter_map(stats).collect()
    }

    /// Files that can't be listed count as nothing: these are figures, not decisions.
    fn file_sizes(&self) -> FileSizes {
        let mut sizes = FileSizes::default();
        for entry in self.env.files.list(&self.dir).unwrap_or_default() {
            if segment_number(&entry.name).is_some() {
                sizes.segment_bytes += entry.size;
            } else if manifest_number(&entry.name).is_some() {
                sizes.manifest_bytes += entry.size;
            }
        }
        sizes
    }
}

/// Of files whose writers do not tell.
#[derive(Default)]
struct FileSizes {
    segment_bytes: u64,
    manifest_bytes: u64,
}
