//! What `./test` runs, in the order in which a mistake shows soonest.

use crate::{process, setup, tidy};
use anyhow::Result;
use std::time::Instant;

/// Runs every check and test; the first that fails is the error.
pub(crate) fn run() -> Result<()> {
    step("format", || {
        process::run("cargo", &["fmt", "--all", "--check"])
    })?;
    step("tidy", tidy::run)?;
    step("tools", || setup::run().map(drop))?;
    step("lints", || {
        let lints = [
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ];
        process::run("cargo", &lints)
    })?;
    step("tests", || {
        process::run("cargo", &["test", "--workspace", "--locked"])
    })?;
    println!("xtask: all checks and tests passed");
    Ok(())
}

fn step(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("xtask: == {name}");
    let start = Instant::now();
    work()?;
    println!("xtask: == {name}: {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}
