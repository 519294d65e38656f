//! A whole run: every engine through every workload, each in a process of its own.

use super::cell::Spec;
use super::engine;
use super::workload::{self, Round, STORES};
use crate::harness::{Report, Scratch, remove_tree, run_cell, settle_disk};
use anyhow::{Result, bail};
use clap::Args;
use std::path::{Path, PathBuf};

/// A cell may need this many times its measured time, for opening, warming up and closing, ...
const CELL_SECONDS_FACTOR: u64 = 3;
/// ... and this much more, whatever it measures.
const CELL_SECONDS_EXTRA: u64 = 60;
/// A load is not cut short, as a partial store would not compare: it gets this many times a
/// workload's time.
const LOAD_SECONDS_FACTOR: u64 = 5;

/// Key-value engines: YCSB A to F, appends, metadata-shaped get, scan and insert.
#[derive(Args, Debug, Clone)]
pub(crate) struct YcsbArguments {
    /// Records loaded before each series [default: 1000000; quick: 50000].
    #[arg(long)]
    records: Option<u64>,
    /// Operations of each workload; synced ones do a tenth [default: 1000000; quick: 50000].
    #[arg(long)]
    ops: Option<u64>,
    /// Concurrent callers.
    #[arg(long, default_value_t = 16)]
    threads: u32,
    /// Only these engines (comma-separated): nokv-engine, nokv-engine-skip-list (only on demand),
    /// fjall, rocksdb, lmdb, redb, holt.
    #[arg(long, value_delimiter = ',')]
    systems: Vec<String>,
    /// Only these workloads (comma-separated); the loads that they need run anyway.
    #[arg(long, value_delimiter = ',')]
    workloads: Vec<String>,
    /// Cache budget of each engine, MiB.
    #[arg(long, default_value_t = 1024)]
    cache_mib: u64,
    /// A workload stops after this many seconds and counts what it did [default: 120; quick: 1].
    #[arg(long)]
    seconds_max: Option<u64>,
    /// Seed of keys, values and requests.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Where the stores go while measuring [default: the system's temporary directory].
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// Measures everything that the arguments name.
pub(crate) fn run(arguments: &YcsbArguments, quick: bool, report: &mut Report) -> Result<()> {
    if let Some(unknown) = arguments
        .workloads
        .iter()
        .find(|name| workload::find(name).is_none())
    {
        bail!("no workload {unknown:?}; there are {}", workload::names());
    }
    if let Some(unknown) = arguments
        .systems
        .iter()
        .find(|name| !engine::names().any(|known| known == *name))
    {
        bail!(
            "no engine {unknown:?}; there are {}",
            engine::names().collect::<Vec<_>>().join(",")
        );
    }
    let scratch = Scratch::new(arguments.dir.as_deref())?;
    for system in engine::names() {
        let is_wanted = match &arguments.systems[..] {
            [] => !engine::ON_DEMAND.contains(&system),
            names => names.iter().any(|name| name == system),
        };
        if !is_wanted {
            continue;
        }
        if let Some(reason) = engine::absence(system) {
            report.miss(system, reason);
            continue;
        }
        for store in STORES {
            let dir = scratch.place(system);
            run_store(
                &Series {
                    arguments,
                    quick,
                    system,
                    dir: &dir,
                },
                store,
                report,
            );
            remove_tree(&dir)?;
        }
    }
    Ok(())
}

struct Series<'a> {
    arguments: &'a YcsbArguments,
    quick: bool,
    system: &'a str,
    dir: &'a Path,
}

/// One engine through the workloads of one store; a failure ends the series, since the state is
/// then unknown.
fn run_store(series: &Series<'_>, store: &[(&str, Round)], report: &mut Report) {
    let wanted = |name: &str| {
        let names = &series.arguments.workloads;
        names.is_empty() || names.iter().any(|wanted| wanted == name)
    };
    if !store.iter().any(|(name, _)| wanted(name)) {
        return;
    }
    let mut records = 0;
    for (position, (name, round)) in store.iter().enumerate() {
        let is_load = position == 0;
        if !is_load && !wanted(name) {
            continue;
        }
        let spec = series.spec(name, *round, records, is_load);
        let seconds_max = spec.seconds_max * CELL_SECONDS_FACTOR + CELL_SECONDS_EXTRA;
        settle_disk();
        match run_cell("ycsb", &spec, seconds_max) {
            Ok(cell) => {
                records = cell.records_after;
                cell.rows.into_iter().for_each(|row| report.take(row));
                report.notes.extend(cell.notes);
            }
            Err(error) => {
                let what = format!("{name} {}: {error:#}", round.durability.name());
                report.miss(
                    series.system,
                    format!("{what}; the rest of its series is skipped"),
                );
                return;
            }
        }
    }
}

impl Series<'_> {
    fn spec(&self, workload: &str, round: Round, records: u64, is_load: bool) -> Spec {
        let arguments = self.arguments;
        let default = if self.quick { 50_000 } else { 1_000_000 };
        let seconds = arguments
            .seconds_max
            .unwrap_or(if self.quick { 1 } else { 120 });
        Spec {
            system: self.system.into(),
            workload: workload.into(),
            durability: round.durability,
            dir: self.dir.to_path_buf(),
            loaded: arguments.records.unwrap_or(default),
            records,
            ops: (arguments.ops.unwrap_or(default) / round.ops_divisor).max(1),
            threads: arguments.threads,
            cache_bytes: arguments.cache_mib << 20,
            seconds_max: if is_load {
                seconds * LOAD_SECONDS_FACTOR
            } else {
                seconds
            },
            seed: arguments.seed,
        }
    }
}
