//! A whole run: every measurement by everybody who can.

use super::cell::{SYSTEMS, Spec, answers};
use super::redis;
use super::subject::BATCH_FILES;
use super::workload::{Operation, WORKLOADS, Workload};
use crate::harness::{Report, Scratch, remove_tree, run_cell, settle_disk};
use crate::ycsb::Durability;
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;

/// Preparing takes this long at most.
const PREPARE_SECONDS_MAX: u64 = 300;

/// The namespace: create, lookup, readdirplus, beside the client-stitched path and Redis.
#[derive(Args, Debug, Clone)]
pub(crate) struct NamespaceArguments {
    /// Files created and paths looked up, at most [default: 1000000; quick: 20000].
    #[arg(long)]
    ops: Option<u64>,
    /// Entries of the listed directory [default: 65536; quick: 4096].
    #[arg(long)]
    entries: Option<u64>,
    /// A workload stops after this many seconds and counts what it did [default: 20; quick: 1].
    #[arg(long)]
    seconds_max: Option<u64>,
    /// Only systems whose name begins so (comma-separated): nokv,stitched,redis.
    #[arg(long, value_delimiter = ',')]
    systems: Vec<String>,
    /// Only workloads whose name begins so (comma-separated):
    /// create,create-batch,lookup,readdirplus.
    #[arg(long, value_delimiter = ',')]
    workloads: Vec<String>,
    /// Where the stores go while measuring [default: the system's temporary directory].
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// Measures everything that the arguments name.
pub(crate) fn run(arguments: &NamespaceArguments, quick: bool, report: &mut Report) -> Result<()> {
    let scratch = Scratch::new(arguments.dir.as_deref())?;
    let dir = scratch.place("store");
    for workload in WORKLOADS {
        let name = workload.operation.name();
        if !is_chosen(&arguments.workloads, name) {
            continue;
        }
        for system in SYSTEMS {
            let is_asked = answers(system, workload.operation);
            if !is_asked || !is_chosen(&arguments.systems, system) {
                continue;
            }
            if system.starts_with("redis")
                && let Err(error) = redis::find()
            {
                report.miss(system, format!("{error:#}"));
                continue;
            }
            let spec = spec(arguments, quick, system, *workload, dir.clone());
            settle_disk();
            match run_cell("namespace", &spec, spec.seconds_max + PREPARE_SECONDS_MAX) {
                Ok(cell) => cell.rows.into_iter().for_each(|row| report.take(row)),
                Err(error) => report.miss(system, format!("{name}: {error:#}")),
            }
            remove_tree(&dir)?;
        }
    }
    report.notes.push(
        "snapshots, branches, diff, merge, watches and quotas are measured with issue 4".into(),
    );
    Ok(())
}

fn is_chosen(names: &[String], name: &str) -> bool {
    names.is_empty() || names.iter().any(|chosen| name.starts_with(chosen.as_str()))
}

fn spec(
    arguments: &NamespaceArguments,
    quick: bool,
    system: &str,
    workload: Workload,
    dir: PathBuf,
) -> Spec {
    let wished = arguments
        .ops
        .unwrap_or(if quick { 20_000 } else { 1_000_000 });
    let entries = arguments
        .entries
        .unwrap_or(if quick { 4_096 } else { 65_536 });
    let ops = match workload.operation {
        Operation::CreateBatch => wished / BATCH_FILES,
        Operation::List => wished * 10 / entries,
        Operation::Create if workload.durability == Durability::Synced => wished / 5,
        Operation::Create | Operation::Lookup => wished,
    };
    Spec {
        system: system.into(),
        workload,
        dir,
        ops: ops.max(1),
        entries,
        seconds_max: arguments.seconds_max.unwrap_or(if quick { 1 } else { 20 }),
    }
}
