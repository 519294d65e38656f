//! `nokv umount`: ends a mount, and waits until all that was written through it is stored.

use crate::error::Error;
use crate::output::Output;
use nokv_types::{Failure, Reason};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  nokv umount /mnt";

/// How long the process of the mount may take to store what was written: it is told after that.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// Between two looks at it.
const PAUSE: Duration = Duration::from_millis(10);

/// Arguments of `nokv umount`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Where it is mounted
    #[arg(value_name = "MOUNTPOINT")]
    mountpoint: PathBuf,
}

/// Unmounts.
pub(crate) async fn run(arguments: Arguments, output: &Output) -> Result<(), Error> {
    let mountpoint = arguments.mountpoint;
    let looked = mountpoint.clone();
    let process = tokio::task::spawn_blocking(move || process_of(&looked)).await;
    let process = process.ok().flatten();
    tokio::task::spawn_blocking(move || unmount(&mountpoint))
        .await
        .map_err(|_| Failure::new(Reason::Io, "unmounting was stopped"))??;
    if let Some(process) = process {
        wait_for(process).await?;
    }
    if output.is_json() {
        let mut object = Map::new();
        object.insert("unmounted".to_owned(), true.into());
        output.json(object)?;
    }
    output.flush()
}

/// The process that serves a mount, as that says itself.
fn process_of(mountpoint: &Path) -> Option<u64> {
    let status = super::stats::read_control(mountpoint, "mount").ok()?;
    let status: Value = serde_json::from_str(&status).ok()?;
    status.get("process_id")?.as_u64()
}

fn unmount(mountpoint: &Path) -> Result<(), Failure> {
    let failed = |error: String| {
        let shown = mountpoint.display();
        Failure::new(Reason::Io, format!("can't unmount {shown}: {error}"))
    };
    if rustix::process::geteuid().is_root() {
        let done = rustix::mount::unmount(mountpoint, rustix::mount::UnmountFlags::empty());
        return done.map_err(|error| failed(error.to_string()));
    }
    let done = Command::new("fusermount3")
        .arg("-u")
        .arg(mountpoint)
        .output();
    let done = done.map_err(|error| failed(format!("fusermount3: {error}")))?;
    if done.status.success() {
        return Ok(());
    }
    Err(failed(
        String::from_utf8_lossy(&done.stderr).trim().to_owned(),
    ))
}

async fn wait_for(process: u64) -> Result<(), Failure> {
    let place = PathBuf::from(format!("/proc/{process}"));
    let gone = async {
        while place.exists() {
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(WAIT_MAX, gone).await.map_err(|_| {
        let flaw = format!("unmounted, but process {process} is still storing what was written");
        Failure::new(Reason::DeadlineExceeded, flaw)
    })
}
