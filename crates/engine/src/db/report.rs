//! Figures and checks of a running store.

use std::sync::{Arc, atomic::Ordering};

use super::core::Core;
use crate::{
    HotKeyStats, Keyspace, Retention, Stats, hot_keys::HotKey, vlog::FileUse, wal::segment_number,
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
            value_collection_count: load(&counters.value_collections),
            value_relocated_bytes: load(&counters.relocated_bytes),
            levels: view.tables.stats(),
            level0_depth: view.tables.level0_depth() as u64,
            compaction_running_count: self
                .writing
                .as_ref()
                .map_or(0, |writing| writing.compactions.count()),
            segment_bytes: self.segment_bytes(),
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
    fn segment_bytes(&self) -> u64 {
        let entries = self.env.files.list(&self.dir).unwrap_or_default();
        let is_segment = |entry: &&nokv_env::DirEntry| segment_number(&entry.name).is_some();
        entries
            .iter()
            .filter(is_segment)
            .map(|entry| entry.size)
            .sum()
    }
}
