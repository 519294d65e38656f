//! One measurement: a system with its own data, in a process of its own.

use super::ours::Ours;
use super::redis::Redis;
use super::stitched::{Fetch, Stitched};
use super::subject::{BATCH_FILES, Subject, choose_lookup};
use super::workload::{Operation, Workload};
use crate::harness::{
    CellReport, Measured, Plan, Random, Row, Subject as About, Usage, disk_mib, measure,
};
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What the parent asks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) system: String,
    pub(crate) workload: Workload,
    pub(crate) dir: PathBuf,
    /// Calls at most.
    pub(crate) ops: u64,
    /// Entries of the listed directory.
    pub(crate) entries: u64,
    pub(crate) seconds_max: u64,
}

/// Every system, ours first.
pub(crate) const SYSTEMS: [&str; 5] = [
    "nokv",
    "stitched gets",
    "stitched multi-get",
    "stitched fan-out",
    "redis (juicefs lua)",
];

/// Whether a system can be asked that.
pub(crate) fn answers(system: &str, operation: Operation) -> bool {
    operation == Operation::List || !system.starts_with("stitched")
}

fn open(spec: &Spec, dir: &Path) -> Result<Box<dyn Subject>> {
    let durability = spec.workload.durability;
    Ok(match spec.system.as_str() {
        "nokv" => Box::new(Ours::open(dir, durability)?),
        "stitched gets" => Box::new(Stitched::open(dir, Fetch::Gets)?),
        "stitched multi-get" => Box::new(Stitched::open(dir, Fetch::MultiGet)?),
        "stitched fan-out" => Box::new(Stitched::open(dir, Fetch::FanOut)?),
        "redis (juicefs lua)" => Box::new(Redis::start(dir, durability)?),
        system => bail!("no such system: {system}"),
    })
}

/// Runs what the parent asked for.
pub(crate) fn answer_cell(spec: &str) -> Result<CellReport> {
    let spec: Spec = serde_json::from_str(spec).context("read the cell's spec")?;
    std::fs::create_dir_all(&spec.dir)?;
    let subject = open(&spec, &spec.dir)?;
    match spec.workload.operation {
        Operation::Create | Operation::CreateBatch => subject.prepare_create()?,
        Operation::Lookup => subject.prepare_lookup()?,
        Operation::List => subject.prepare_list(spec.entries)?,
    }
    let (cpu_before, _) = subject.beside()?;
    let mut measured = run(&spec, &*subject)?;
    let (cpu_after, rss_beside) = subject.beside()?;
    measured.cpu_s += cpu_after - cpu_before;
    let about = About {
        bench: "namespace",
        system: &spec.system,
        workload: spec.workload.operation.name(),
        threads: spec.workload.threads,
        durability: spec.workload.durability.name(),
        cache: "warm",
    };
    let mut row = Row::new(about, &measured);
    drop(subject);
    row.rss_mib = Usage::own()?.rss_mib + rss_beside;
    row.disk_mib = disk_mib(&spec.dir)?;
    Ok(CellReport {
        rows: vec![row],
        ..CellReport::default()
    })
}

fn run(spec: &Spec, subject: &dyn Subject) -> Result<Measured> {
    let next = AtomicU64::new(0);
    let plan = Plan {
        threads: spec.workload.threads,
        ops: spec.ops,
        time_max: Duration::from_secs(spec.seconds_max),
    };
    let operation = spec.workload.operation;
    let mut measured = measure(plan, |caller| {
        let (next, mut random, mut own) = (&next, Random::new(u64::from(caller)), 0);
        move || match operation {
            Operation::Create => {
                own += 1;
                subject.create(caller, own)
            }
            Operation::CreateBatch => {
                subject.create_batch(next.fetch_add(BATCH_FILES, Ordering::Relaxed))
            }
            Operation::Lookup => subject.lookup(choose_lookup(&mut random)).map(|_| ()),
            Operation::List => {
                let count = subject.list()?;
                ensure!(count == spec.entries, "listed {count} of {}", spec.entries);
                Ok(())
            }
        }
    })?;
    measured.ops *= match operation {
        Operation::Create | Operation::Lookup => 1,
        Operation::CreateBatch => BATCH_FILES,
        Operation::List => spec.entries,
    };
    Ok(measured)
}
