//! A run: load, watching, rest, verdict.

use super::load::{Load, Shared, write};
use super::plot::svg;
use super::second::{Second, csv};
use crate::harness::{Latencies, Scratch, Usage, disk_mib};
use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use nokv_engine::{Durability, Engine, Options, Retention, Stats};
use nokv_env::Env;
use nokv_types::Version;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

/// The bound on the 99.9th percentile of a write.
const P999_US_MAX: f64 = 20_000.0;
/// Compaction keeps up when the backlog of the last quarter of the run is at most so many times
/// that of the second.
const BACKLOG_GROWTH_MAX: f64 = 1.5;
/// The store rests when nothing of it changed for so long.
const REST_S: u64 = 8;
const REST_S_MAX: u64 = 300;
/// What is left alone may take so many times what is live.
const SPACE_MAX: f64 = 1.3;
/// Bytes of a key.
const KEY_BYTES: u64 = 24;

/// Sustained writes: stalls, second by second, and what is on disk afterwards.
#[derive(Args, Debug, Clone)]
pub(crate) struct StallArguments {
    /// How long to write [default: 600; quick: 5].
    #[arg(long)]
    seconds: Option<u64>,
    /// Concurrent writers.
    #[arg(long, default_value_t = 16)]
    writers: u64,
    /// Distinct keys [default: 1000000; quick: 50000].
    #[arg(long)]
    records: Option<u64>,
    /// Bytes of a value.
    #[arg(long, default_value_t = 1000)]
    value_bytes: usize,
    /// Ends after so many writes for each key, if time does not end it before.
    #[arg(long)]
    rounds: Option<u64>,
    /// Every write waits for the device.
    #[arg(long)]
    synced: bool,
    /// Threads that compact [default: by the number of processors].
    #[arg(long)]
    compaction_threads: Option<usize>,
    /// Where `stall.csv`, `stall.json` and `stall.svg` go [default: nowhere].
    #[arg(long)]
    out: Option<PathBuf>,
    /// Where the store goes [default: the system's temporary directory].
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// Measures, and prints rows and verdict.
pub(crate) fn run(arguments: &StallArguments, quick: bool) -> Result<()> {
    let seconds = arguments.seconds.unwrap_or(if quick { 5 } else { 600 });
    let default_records = if quick { 50_000 } else { 1_000_000 };
    let records = arguments.records.unwrap_or(default_records);
    if arguments.writers == 0 || records == 0 {
        bail!("there must be a writer and a record");
    }
    let load = Load {
        writers: arguments.writers,
        records,
        value_bytes: arguments.value_bytes,
        writes_max: arguments.rounds.map_or(u64::MAX, |rounds| rounds * records),
        durability: if arguments.synced {
            Durability::Synced
        } else {
            Durability::Buffered
        },
    };
    let scratch = Scratch::new(arguments.dir.as_deref())?;
    let dir = scratch.place("store");
    let options = Options {
        compaction_threads: arguments.compaction_threads,
        ..Options::default()
    };
    let engine = Engine::open(Env::real(), &dir, options)?;
    engine.set_retention(Retention {
        horizon: Version::MAX,
        pins: Vec::new(),
    });
    let (rows, latencies, written) = watched(&engine, &load, seconds)?;
    let (rest_s, disk_bytes) = rest(&engine, &dir)?;
    let outcome = Outcome {
        rows,
        latencies,
        written,
        rest_s,
        space: disk_bytes / live_bytes(&load, written),
        stats: engine.stats(),
        peak_mib: Usage::own()?.rss_mib,
    };
    engine.close()?;
    print_outcome(&outcome, &load);
    match &arguments.out {
        Some(out) => write_files(out, &outcome, &load),
        None => Ok(()),
    }
}

struct Outcome {
    rows: Vec<Second>,
    latencies: Latencies,
    written: u64,
    rest_s: u64,
    /// Bytes on disk at rest for a live byte.
    space: f64,
    stats: Stats,
    peak_mib: f64,
}

/// Runs the writers and looks once a second.
fn watched(engine: &Engine, load: &Load, seconds: u64) -> Result<(Vec<Second>, Latencies, u64)> {
    let shared = Shared::new(load, engine);
    let begun = Instant::now();
    let until = begun + Duration::from_secs(seconds);
    let mut rows: Vec<Second> = Vec::new();
    let mut all = Latencies::new();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..load.writers)
            .map(|writer| {
                let shared = &shared;
                scope.spawn(move || {
                    let outcome = write(engine, load, shared, (writer, until));
                    if outcome.is_err() {
                        shared.is_over.store(true, Ordering::Relaxed);
                    }
                    outcome
                })
            })
            .collect();
        let mut before = engine.stats();
        while !workers.iter().all(|worker| worker.is_finished()) {
            let next = begun + Duration::from_secs(rows.len() as u64 + 1);
            thread::sleep(next.saturating_duration_since(Instant::now()));
            let window = shared.take();
            let stats = engine.stats();
            rows.push(row(rows.len() as u64, &window, &stats, &before));
            all.merge(&window);
            before = stats;
        }
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().map_err(|_| anyhow!("a writer panicked"))?)
    })?;
    let written = shared.written().saturating_sub(load.writers);
    Ok((rows, all, written))
}

fn row(at_s: u64, window: &Latencies, stats: &Stats, before: &Stats) -> Second {
    let level0 = stats.levels.first().copied().unwrap_or_default();
    Second {
        at_s,
        writes: window.count(),
        p50_us: window.quantile_us(0.5),
        p999_us: window.quantile_us(0.999),
        max_us: window.quantile_us(1.0),
        level0_depth: stats.level0_depth,
        level0_tables: level0.table_count,
        sealed: stats.sealed_count,
        backlog_bytes: level0.bytes + stats.sealed_bytes + stats.memtable_bytes,
        compactions: stats.compaction_running_count,
        slowed: stats.slowdown_count - before.slowdown_count,
        stopped: stats.stall_count - before.stall_count,
    }
}

/// Waits until the store does nothing more by itself; how long that took, and its bytes on disk.
fn rest(engine: &Engine, dir: &Path) -> Result<(u64, f64)> {
    let (mut last, mut since) = (None, 0);
    for second in 0..REST_S_MAX {
        let stats = engine.stats();
        let now = (stats.levels, stats.compaction_count, stats.segment_bytes);
        if last.as_ref() != Some(&now) || stats.compaction_running_count > 0 {
            (last, since) = (Some(now), second);
        }
        if second - since >= REST_S {
            break;
        }
        thread::sleep(Duration::from_secs(1));
    }
    Ok((since, disk_mib(dir)? * f64::from(1 << 20)))
}

/// Of uniformly chosen keys some are never written while writes are few.
fn live_bytes(load: &Load, written: u64) -> f64 {
    let records = load.records as f64;
    let share = 1.0 - (-(written as f64) / records).exp();
    records * share * (load.value_bytes as u64 + KEY_BYTES) as f64
}

fn keeps_up(rows: &[Second]) -> bool {
    let quarter = rows.len() / 4;
    let highest = |rows: &[Second]| rows.iter().map(|row| row.backlog_bytes).max().unwrap_or(0);
    let early = highest(&rows[quarter..(2 * quarter).max(quarter)]);
    let late = highest(&rows[rows.len() - quarter..]);
    late as f64 <= early as f64 * BACKLOG_GROWTH_MAX
}

fn summary(outcome: &Outcome, load: &Load) -> serde_json::Value {
    let p999_us = outcome.latencies.quantile_us(0.999);
    let stats = &outcome.stats;
    let user_bytes = outcome.written * (load.value_bytes as u64 + KEY_BYTES);
    let table_bytes = stats.flush_bytes + stats.compaction_write_bytes;
    serde_json::json!({
        "writers": load.writers,
        "records": load.records,
        "value_bytes": load.value_bytes,
        "durability": format!("{:?}", load.durability),
        "seconds": outcome.rows.len(),
        "writes": outcome.written,
        "writes_s": outcome.written / (outcome.rows.len() as u64).max(1),
        "p50_us": outcome.latencies.quantile_us(0.5),
        "p99_us": outcome.latencies.quantile_us(0.99),
        "p999_us": p999_us,
        "max_us": outcome.latencies.quantile_us(1.0),
        "p999_is_below_20_ms": p999_us < P999_US_MAX,
        "compaction_keeps_up": keeps_up(&outcome.rows),
        "stopped": stats.stall_count,
        "write_amplification": table_bytes as f64 / user_bytes.max(1) as f64,
        "rest_after_s": outcome.rest_s,
        "disk_for_a_live_byte_at_rest": outcome.space,
        "space_is_within_1_3": outcome.space <= SPACE_MAX,
        "peak_mib": outcome.peak_mib,
    })
}

fn print_outcome(outcome: &Outcome, load: &Load) {
    let summary = summary(outcome, load);
    for (name, value) in summary.as_object().into_iter().flatten() {
        println!("{name:>30}  {value}");
    }
    println!("{:?}", outcome.stats);
}

fn write_files(out: &Path, outcome: &Outcome, load: &Load) -> Result<()> {
    std::fs::create_dir_all(out).with_context(|| format!("create {}", out.display()))?;
    let summary = summary(outcome, load);
    let title = format!(
        "{} writers, {} keys of {} B, {:?}",
        load.writers, load.records, load.value_bytes, load.durability
    );
    let json = serde_json::json!({ "summary": summary, "seconds": outcome.rows });
    for (name, text) in [
        ("stall.csv", csv(&outcome.rows)),
        ("stall.json", serde_json::to_string_pretty(&json)?),
        ("stall.svg", svg(&outcome.rows, &title)),
    ] {
        let path = out.join(name);
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}
