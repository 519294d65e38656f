//! One system under one workload in a child process.
//!
//! The parent starts this binary again as `cell BENCH SPEC`; the child answers with one JSON line,
//! a [`CellReport`] or the reason why there is none, as the last line of its standard output. What
//! it writes to standard error passes through.

use super::Row;
use anyhow::{Context, Result, anyhow, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// What a child found.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct CellReport {
    /// The figures.
    pub(crate) rows: Vec<Row>,
    /// Records in the store afterwards, for the next workload on it.
    pub(crate) records_after: u64,
    /// Remarks for the reader.
    pub(crate) notes: Vec<String>,
}

/// Gives the parent what the child found or why it found nothing.
pub(crate) fn print_answer(answer: Result<CellReport>) -> Result<()> {
    let answer = answer.map_err(|error| format!("{error:#}"));
    println!("{}", serde_json::to_string(&answer)?);
    Ok(())
}

/// Runs a cell and waits for it, at most `seconds_max`.
///
/// **Errors**: the child failed (its own words), answered nonsense, or did not finish; it is dead
/// in any case.
pub(crate) fn run_cell(bench: &str, spec: &impl Serialize, seconds_max: u64) -> Result<CellReport> {
    let program = std::env::current_exe().context("find this binary")?;
    let mut child = Command::new(program)
        .arg("cell")
        .arg(bench)
        .arg(serde_json::to_string(spec)?)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // A group of its own, so that a tool which the child started dies with it.
        .process_group(0)
        .spawn()
        .context("start a cell")?;
    let group = Pid::from_raw(i32::try_from(child.id()).context("a process id")?);
    let mut output = child.stdout.take().context("the child's output")?;
    let (sender, receiver) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        let outcome = output.read_to_string(&mut text).map(|_| text);
        // The parent may have given up already.
        drop(sender.send(outcome));
    });
    let answer = receiver.recv_timeout(Duration::from_secs(seconds_max));
    if answer.is_err() {
        killpg(group, Signal::SIGKILL).context("stop a cell")?;
    }
    let status = child.wait().context("wait for a cell")?;
    drop(reader);
    let Ok(text) = answer else {
        bail!("did not finish within {seconds_max} s");
    };
    let text = text.context("read a cell's answer")?;
    if !status.success() {
        bail!("failed: {status}");
    }
    let line = text.lines().last().unwrap_or_default();
    let answer: Result<CellReport, String> =
        serde_json::from_str(line).with_context(|| format!("a cell answered {line:?}"))?;
    answer.map_err(|reason| anyhow!(reason))
}
