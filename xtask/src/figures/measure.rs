//! Running the release binary and watching it: wall time, CPU time, memory.

use crate::process;
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Pause between looks at a running process.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// What a process took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Wall time.
    pub(crate) wall: Duration,
    /// Highest resident memory seen, MiB.
    pub(crate) rss_mib: f64,
}

/// Builds the release binary; its path.
pub(crate) fn release_binary() -> Result<PathBuf> {
    process::run(
        "cargo",
        &["build", "--release", "--locked", "--package", "nokv"],
    )?;
    Ok(process::target().join("release/nokv"))
}

/// Runs a command to its end; an error unless it succeeds.
pub(crate) fn run(command: &mut Command) -> Result<Cost> {
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot run {command:?}"))?;
    let mut rss_mib = 0.0_f64;
    let status = loop {
        rss_mib = rss_mib.max(memory_mib(child.id(), "VmHWM").unwrap_or(0.0));
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(LOOK_PAUSE);
    };
    if !status.success() {
        bail!("{command:?} failed: {status}");
    }
    Ok(Cost {
        wall: start.elapsed(),
        rss_mib,
    })
}

/// A field of `/proc/ID/status` in MiB: `VmRSS` is the memory now, `VmHWM` the highest so far.
pub(crate) fn memory_mib(id: u32, field: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(field))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}

/// A running `nokv serve`, stopped when dropped.
pub(crate) struct Server(Child);

impl Server {
    /// Starts it and waits until it says that it is ready.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {command:?}"))?;
        let mut server = Self(child);
        let stdout = server.0.stdout.take().context("no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        if !lines.any(|line| line.is_ok_and(|line| line.starts_with("ready"))) {
            bail!("the server ended before it was ready");
        }
        Ok(server)
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already ended or not: nothing of it may stay.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A command of the product in a home of its own.
pub(crate) fn nokv(binary: &Path, home: &Path) -> Command {
    let mut command = Command::new(binary);
    command
        .env_clear()
        .env("HOME", home)
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}
