//! One transfer in a process of its own: its CPU and memory are those of the tool (or of this
//! process, for the raw client), the server's not included.

use super::place::Place;
use super::raw::{self, Direction};
use super::tool::Call;
use crate::harness::{CellReport, Measured, Row, Subject, Usage};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Instant;

/// Longest piece of a tool's complaint that is passed on.
const COMPLAINT_BYTES_MAX: usize = 400;

/// Who does it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Action {
    /// A command.
    Call(Call),
    /// The object client in this process.
    Raw {
        direction: Direction,
        source: PathBuf,
        target: PathBuf,
    },
}

/// What the parent asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) system: String,
    pub(crate) workload: String,
    pub(crate) place: Place,
    pub(crate) concurrency: u32,
    /// Units moved: files or MiB.
    pub(crate) units: u64,
    pub(crate) action: Action,
}

/// Runs what the parent asked for.
pub(crate) fn answer_cell(spec: &str) -> Result<CellReport> {
    let spec: Spec = serde_json::from_str(spec).context("read the cell's spec")?;
    let usage = || match spec.action {
        Action::Call(_) => Usage::children(),
        Action::Raw { .. } => Usage::own(),
    };
    let (begun, cpu_before) = (Instant::now(), usage()?.cpu_s);
    match &spec.action {
        Action::Call(call) => run_call(call)?,
        Action::Raw {
            direction,
            source,
            target,
        } => {
            raw::transfer(*direction, &spec.place, (source, target), spec.concurrency)?;
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let after = usage()?;
    let cpu_s = after.cpu_s - cpu_before;
    let measured = Measured {
        ops: spec.units,
        seconds,
        latencies: None,
        cpu_s,
    };
    let subject = Subject {
        bench: "bodies",
        system: &spec.system,
        workload: &spec.workload,
        threads: spec.concurrency,
        durability: spec.place.name(),
        cache: "warm",
    };
    let mut row = Row::new(subject, &measured);
    row.rss_mib = after.rss_mib;
    Ok(CellReport {
        rows: vec![row],
        ..CellReport::default()
    })
}

fn run_call(call: &Call) -> Result<()> {
    let output = call
        .command()
        .stderr(Stdio::piped())
        .output()
        .with_context(|| format!("start {}", call.program.display()))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let complaint: String = complaint.trim().chars().take(COMPLAINT_BYTES_MAX).collect();
        bail!("{} {}: {complaint}", call.program.display(), output.status);
    }
    Ok(())
}
