//! `nokv-sim A..B` runs seeds: one line for each thousand, the smallest script for each failure.
//! `nokv-sim SEED` shows what one seed is about and its trace.
#![expect(clippy::print_stdout, reason = "a tool talks to its terminal")]

use nokv_sim::{Profile, simulate, smallest};
use std::process::ExitCode;

/// Failures after which it stops.
const FAILURES_MAX: usize = 5;

fn main() -> ExitCode {
    let argument = std::env::args().nth(1).unwrap_or_default();
    let range = argument.split_once("..").and_then(|(from, to)| {
        let from: u64 = from.parse().ok()?;
        Some(from..to.parse().ok()?)
    });
    if let Ok(seed) = argument.parse() {
        let (trace, found) = simulate(seed, None);
        println!("{:?}\n{trace}{found:?}", Profile::of(seed));
        return ExitCode::SUCCESS;
    }
    let Some(range) = range else {
        println!("usage: nokv-sim A..B | SEED");
        return ExitCode::from(2);
    };
    // What panicked is said with the script.
    std::panic::set_hook(Box::new(|_| {}));
    let mut failures = 0;
    for seed in range.clone() {
        if let (_, Some(found)) = simulate(seed, None) {
            println!("{}", smallest(found, None));
            failures += 1;
        }
        if failures >= FAILURES_MAX {
            break;
        }
        if (seed + 1).is_multiple_of(1000) {
            println!("seeds up to {seed}: {failures} failed");
        }
    }
    println!("{} seeds, {failures} failed", range.end - range.start);
    match failures {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
