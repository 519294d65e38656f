//! Point reads of our engine at growing numbers of readers: more readers than processors must cost
//! nothing.
//!
//! Workload C over a store that is in the cache, in rounds over all numbers of readers, so that a
//! disturbance of the machine hits all of them; of each number the median round counts.

use super::cell::Spec;
use super::engine::Durability;
use crate::harness::{Report, Row, Scratch, remove_tree, run_cell};
use anyhow::{Context, Result};
use clap::Args;
use std::path::{Path, PathBuf};

const SYSTEM: &str = "nokv-engine";
/// Numbers of readers; the second is the one that the others are compared with.
const READERS: [u32; 5] = [1, 2, 4, 8, 16];
const COMPARED_WITH: u32 = 2;
/// Odd, for a median.
const ROUNDS: usize = 5;
/// The first read of the store brings it into order and into the page cache: this many reads for
/// each record.
const SETTLING_READS: u64 = 10;
const SECONDS_MAX: u64 = 120;

/// Point reads of our engine with 1 to 16 readers, and what more readers than processors cost.
#[derive(Args, Debug, Clone)]
pub(crate) struct ScalingArguments {
    /// Records of 1,000 B [default: 300000; quick: 50000].
    #[arg(long)]
    records: Option<u64>,
    /// Reads of each round [default: 2000000; quick: 200000].
    #[arg(long)]
    ops: Option<u64>,
    /// Where the store goes while measuring [default: the system's temporary directory].
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// Measures all numbers of readers.
pub(crate) fn run_scaling(
    arguments: &ScalingArguments,
    quick: bool,
    report: &mut Report,
) -> Result<()> {
    let scratch = Scratch::new(arguments.dir.as_deref())?;
    let dir = scratch.place(SYSTEM);
    let records = arguments
        .records
        .unwrap_or(if quick { 50_000 } else { 300_000 });
    let ops = arguments
        .ops
        .unwrap_or(if quick { 200_000 } else { 2_000_000 });
    let outcome = measure(report, &dir, records, ops);
    remove_tree(&dir)?;
    outcome
}

fn measure(report: &mut Report, dir: &Path, records: u64, ops: u64) -> Result<()> {
    let cell = |workload: &str, threads: u32, ops: u64| -> Result<Row> {
        let is_load = workload == "load";
        let spec = Spec {
            system: SYSTEM.into(),
            workload: workload.into(),
            durability: Durability::Buffered,
            dir: dir.to_path_buf(),
            loaded: records,
            records: if is_load { 0 } else { records },
            ops,
            threads,
            cache_bytes: 1 << 30,
            seconds_max: SECONDS_MAX,
            seed: 42,
        };
        let answer = run_cell("ycsb", &spec, 2 * SECONDS_MAX)?;
        answer.rows.into_iter().next().context("a cell has a row")
    };
    cell("load", 1, 0)?;
    cell("C", COMPARED_WITH, records * SETTLING_READS)?;
    let mut rounds: Vec<Vec<Row>> = READERS.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for (readers, rows) in READERS.iter().zip(&mut rounds) {
            rows.push(cell("C", *readers, ops)?);
        }
    }
    let median = |mut rows: Vec<Row>| {
        rows.sort_by(|a, b| a.ops_s.total_cmp(&b.ops_s));
        rows.swap_remove(ROUNDS / 2)
    };
    let medians: Vec<Row> = rounds.into_iter().map(median).collect();
    let base = medians.iter().find(|row| row.threads == COMPARED_WITH);
    let base = base.context("the number compared with is measured")?.ops_s;
    for row in medians {
        let (readers, ratio) = (row.threads, row.ops_s / base);
        report.notes.push(format!(
            "{readers} readers: {ratio:.2} of the reads of {COMPARED_WITH}"
        ));
        report.take(row);
    }
    Ok(())
}
