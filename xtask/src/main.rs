//! The one entry point for checks, tests and measurements: `cargo xtask COMMAND`.
//!
//! `test` is what `./test` and CI run. Everything here may touch files, processes and the clock
//! directly: it is a build tool, no part of the product, and runs under no simulation.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a build tool talks to its terminal"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "a build tool works on the real machine"
)]

mod figures;
mod process;
mod setup;
mod tests;
mod tidy;

use anyhow::Result;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test       formatting, lints, structure, every test (what ./test and CI run)
  tidy       structure only: layers, heads, sizes, names, forbidden things
  wrap       break comments at 100 columns (needs the nightly rustfmt)
  sim A..B   seeds of the simulated namespace, optimized; prints small scripts of failures
  setup      install what the tests need (an S3 server, a gRPC client) into target/tools
  firsttry   figures of a first contact: start-up, idle memory, binary size
  realinput [--s3] [--quick]
             a real tree of 20,000 files and 8 x 256 MiB checkpoints, put and got back";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rest = arguments.get(1..).unwrap_or_default();
    let outcome = match arguments.first().map(String::as_str) {
        Some("test") => tests::run(),
        Some("tidy") => tidy::run(),
        Some("wrap") => wrap(),
        Some("sim") => sim(rest),
        Some("setup") => setup::run().map(drop),
        Some("firsttry") => figures::first_try(),
        Some("realinput") => figures::real_input(rest),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Many seeds take an optimized build.
fn sim(seeds: &[String]) -> Result<()> {
    let seeds = seeds.first().map_or("0..10000", String::as_str);
    process::run(
        "cargo",
        &["run", "--release", "-q", "-p", "nokv-sim", "--", seeds],
    )
}

/// Stable rustfmt leaves comments alone; the option is nightly's.
fn wrap() -> Result<()> {
    let config = "--config=wrap_comments=true,comment_width=100";
    process::run("cargo", &["+nightly", "fmt", "--all", "--", config])
}
