//! First contact: how long until the first answer, how much memory when idle, how large the binary.

use super::measure::{Server, memory_mib, nokv, release_binary, run};
use anyhow::{Context, Result};
use std::time::{Duration, Instant};

/// What an idle server may take.
const IDLE_MIB_MAX: f64 = 60.0;
/// How long until a published file is read, counted from the start of the server.
const FIRST_ANSWER_MAX: Duration = Duration::from_secs(3);
/// What the stripped binary may take.
const BINARY_MIB_MAX: f64 = 40.0;
/// Until a started server counts as idle.
const SETTLE: Duration = Duration::from_secs(2);

/// Prints the figures beside what they may be.
pub(crate) fn first_try() -> Result<()> {
    let binary = release_binary()?;
    let home = tempfile::tempdir()?;
    let file = home.path().join("hello.txt");
    std::fs::write(&file, vec![b'x'; 100_000])?;
    let start = Instant::now();
    let server = Server::start(nokv(&binary, home.path()).arg("up"))?;
    let ready = start.elapsed();
    run(nokv(&binary, home.path())
        .args(["put", "--quiet"])
        .arg(&file)
        .arg("/hello.txt"))?;
    run(nokv(&binary, home.path()).args(["cat", "/hello.txt"]))?;
    let answer = start.elapsed();
    std::thread::sleep(SETTLE);
    let idle = memory_mib(server.id(), "VmRSS").context("the server has no memory")?;
    let stripped = home.path().join("stripped");
    run(std::process::Command::new("strip")
        .arg("-o")
        .arg(&stripped)
        .arg(&binary))?;
    #[expect(clippy::cast_precision_loss, reason = "a figure for a person")]
    let size = std::fs::metadata(&stripped)?.len() as f64 / f64::from(1 << 20);
    println!("{:<28} {:>10} {:>10}", "figure", "measured", "at most");
    let row =
        |name: &str, value: String, most: String| println!("{name:<28} {value:>10} {most:>10}");
    row("ready", format!("{ready:.2?}"), String::new());
    row(
        "first cat answered",
        format!("{answer:.2?}"),
        format!("{FIRST_ANSWER_MAX:.2?}"),
    );
    row(
        "idle memory",
        format!("{idle:.1} MiB"),
        format!("{IDLE_MIB_MAX:.0} MiB"),
    );
    row(
        "binary, stripped",
        format!("{size:.1} MiB"),
        format!("{BINARY_MIB_MAX:.0} MiB"),
    );
    Ok(())
}
