//! The list of all figures.

use super::figure::Figure;
use super::objects::CountedBlocks;
use super::recorder::Recorder;
use nokv_engine::Stats;
use nokv_namespace::Figures as Names;

/// All figures of a service but those of its listeners.
pub(crate) fn gather(
    recorder: &Recorder,
    objects: &CountedBlocks,
    engine: &Stats,
    names: &Names,
) -> Vec<Figure> {
    let mut figures = recorder.figures();
    figures.extend(commits(engine));
    figures.extend(self::names(names));
    figures.extend(tables(engine));
    figures.extend(compaction(engine));
    figures.extend(values(engine));
    figures.extend(cache(engine));
    figures.extend(objects.figures());
    figures
}

fn commits(engine: &Stats) -> [Figure; 9] {
    let counter = Figure::counter;
    let stall = engine.stall_micros as f64 / 1e6;
    [
        counter("commit_batches", "Batches written", engine.batch_count),
        counter(
            "commit_groups",
            "Groups of batches, each one system call",
            engine.group_count,
        ),
        counter(
            "commit_bytes",
            "Bytes of keys and values written",
            engine.user_bytes,
        ),
        counter(
            "commit_log_bytes",
            "Bytes appended to the log",
            engine.log_bytes,
        ),
        counter("commit_syncs", "Syncs of the log", engine.sync_count),
        counter(
            "commit_slowdowns",
            "Writes that were slowed down",
            engine.slowdown_count,
        ),
        counter(
            "commit_stalls",
            "Writes that had to wait",
            engine.stall_count,
        ),
        Figure::gauge(
            "commit_stall_seconds",
            "Time that writers waited, since the start",
            stall,
        ),
        Figure::gauge("log_file_bytes", "Log on disk", engine.segment_bytes as f64),
    ]
}

fn names(names: &Names) -> [Figure; 13] {
    let counter = Figure::counter;
    [
        counter(
            "plan_retries",
            "Operations planned again: the state had changed",
            names.retries,
        ),
        counter(
            "plan_exhausted",
            "Operations given up after many plans",
            names.exhausted,
        ),
        counter(
            "path_hits",
            "Directories found by path in memory",
            names.path_hits,
        ),
        counter("path_misses", "Directories walked to", names.path_misses),
        counter(
            "quota_checks",
            "Changes that a quota was asked for",
            names.quota_checks,
        ),
        counter(
            "quota_rejects",
            "Changes that a quota refused",
            names.quota_rejects,
        ),
        counter(
            "quota_hits",
            "Directories whose quotas were in memory",
            names.quota_hits,
        ),
        counter(
            "quota_misses",
            "Directories whose quotas were read",
            names.quota_misses,
        ),
        counter(
            "quota_charges",
            "Additions to the usage of quotas",
            names.quota_charges,
        ),
        counter(
            "quota_fences",
            "Quotas that were begun or changed",
            names.quota_begins,
        ),
        counter(
            "mount_hits",
            "Operations that named a mount",
            names.mount_hits,
        ),
        counter(
            "mount_rejects",
            "Operations that named no mount",
            names.mount_rejects,
        ),
        Figure::gauge("mounts", "Mounts", names.mounts as f64),
    ]
}

fn tables(engine: &Stats) -> Vec<Figure> {
    let gauge = |name, help, value: u64| Figure::gauge(name, help, value as f64);
    let mut figures = vec![
        gauge(
            "memtable_bytes",
            "Memory of the active memtable",
            engine.memtable_bytes,
        ),
        gauge(
            "sealed_memtables",
            "Memtables that wait to be flushed",
            engine.sealed_count,
        ),
        gauge("sealed_bytes", "Their memory", engine.sealed_bytes),
        gauge(
            "level0_depth",
            "Sorted runs of level 0 at most over a key",
            engine.level0_depth,
        ),
        gauge(
            "table_live_bytes",
            "Bytes of tables that are not known to be hidden",
            engine.table_live_bytes,
        ),
    ];
    for (at, level) in engine.levels.iter().enumerate() {
        let tables = gauge("tables", "Tables by level", level.table_count);
        let bytes = gauge("table_bytes", "Bytes of tables by level", level.bytes);
        figures.extend([tables, bytes].map(|figure| figure.with("level", at.to_string())));
    }
    figures
}

fn compaction(engine: &Stats) -> [Figure; 7] {
    let counter = Figure::counter;
    let amplification = engine.write_amplification().unwrap_or(0.0);
    [
        counter("flushes", "Memtables flushed", engine.flush_count),
        counter(
            "flush_bytes",
            "Bytes written by flushes",
            engine.flush_bytes,
        ),
        counter("compactions", "Compactions done", engine.compaction_count),
        counter(
            "compaction_read_bytes",
            "Bytes read by compactions",
            engine.compaction_read_bytes,
        ),
        counter(
            "compaction_write_bytes",
            "Bytes written by compactions",
            engine.compaction_write_bytes,
        ),
        Figure::gauge(
            "compactions_running",
            "Compactions now",
            engine.compaction_running_count as f64,
        ),
        Figure::gauge(
            "write_amplification",
            "Bytes written to files for each byte of a caller",
            amplification,
        ),
    ]
}

fn values(engine: &Stats) -> [Figure; 4] {
    let gauge = |name, help, value: u64| Figure::gauge(name, help, value as f64);
    [
        gauge(
            "value_files",
            "Files of the value log",
            engine.value_file_count,
        ),
        gauge("value_bytes", "Bytes of the value log", engine.value_bytes),
        gauge(
            "value_dead_bytes",
            "Bytes in it that nothing points at",
            engine.value_dead_bytes,
        ),
        Figure::counter(
            "value_relocated_bytes",
            "Bytes of values moved",
            engine.value_relocated_bytes,
        ),
    ]
}

fn cache(engine: &Stats) -> [Figure; 3] {
    let counter = Figure::counter;
    [
        Figure::gauge(
            "cache_bytes",
            "Memory of the engine's cache",
            engine.cache_bytes as f64,
        ),
        counter(
            "cache_hits",
            "Lookups that the engine's cache answered",
            engine.cache_hit_count,
        ),
        counter(
            "cache_misses",
            "Lookups that went to the device",
            engine.cache_miss_count,
        ),
    ]
}
