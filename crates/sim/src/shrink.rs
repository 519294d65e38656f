//! From a failing seed to the fewest steps that fail.

use crate::generate::{Profile, script};
use crate::op::Step;
use crate::run::{Trace, run};
use crate::violation::{Violation, panic_text};
use nokv_namespace::Plant;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Most runs that are spent on making a script smaller.
const RUNS_MAX: usize = 2000;

/// A failing run.
#[derive(Clone, Debug)]
pub struct Found {
    /// The seed.
    pub seed: u64,
    /// What was wrong.
    pub violation: Violation,
    /// The script.
    pub script: Vec<Step>,
    /// What happened.
    pub trace: Trace,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}", self.seed, self.violation)?;
        writeln!(f, "{} steps:", self.script.len())?;
        self.script
            .iter()
            .try_for_each(|step| writeln!(f, "    {step:?},"))?;
        write!(f, "trace:\n{}", self.trace)
    }
}

/// Runs a seed; the trace, and what was wrong.
#[must_use]
pub fn simulate(seed: u64, plant: Option<Plant>) -> (Trace, Option<Found>) {
    let (profile, steps) = script(seed);
    replay(seed, profile, steps, plant)
}

/// Runs a script.
#[must_use]
pub fn replay(
    seed: u64,
    profile: Profile,
    script: Vec<Step>,
    plant: Option<Plant>,
) -> (Trace, Option<Found>) {
    let trace = Trace::default();
    let work = || run(seed, profile, &script, plant, &trace);
    let outcome = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(Violation {
            invariant: "no-panic",
            message: panic_text(&*panic),
        })
    });
    let found = outcome.err().map(|violation| Found {
        seed,
        violation,
        script,
        trace: trace.clone(),
    });
    (trace, found)
}

/// Leaves out steps as long as the run still breaks the same invariant.
#[must_use]
pub fn smallest(found: Found, plant: Option<Plant>) -> Found {
    let profile = Profile::of(found.seed);
    let (mut best, mut runs) = (found, 0);
    let mut chunk = best.script.len().div_ceil(2);
    while chunk > 0 && runs < RUNS_MAX {
        let before = best.script.len();
        let mut from = 0;
        while from < best.script.len() && runs < RUNS_MAX {
            let mut fewer = best.script.clone();
            fewer.drain(from..(from + chunk).min(fewer.len()));
            runs += 1;
            match replay(best.seed, profile, fewer, plant).1 {
                Some(other) if other.violation.invariant == best.violation.invariant => {
                    best = other;
                }
                _ => from += chunk,
            }
        }
        // Ones are tried again as long as that helps.
        chunk = match chunk {
            1 if best.script.len() < before => 1,
            _ => chunk / 2,
        };
    }
    best
}
