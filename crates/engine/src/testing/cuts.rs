//! Power cuts at every operation of some work.

use std::sync::Arc;

use nokv_env::{Env, FaultFileSystem, MemoryFileSystem, Outcome, Rule, Trigger};

use super::still_env;
use crate::Error;

/// Cuts the power at the nth operation for every n, until a run comes through; `check` gets the
/// disk after each.
pub(crate) fn cut_everywhere(
    files: &MemoryFileSystem,
    work: impl Fn(&Env) -> Result<(), Error>,
    check: impl Fn(&Env),
) {
    for nth in 1.. {
        let image = files.crash(0);
        let fault = FaultFileSystem::new(Arc::new(image.clone()), nth);
        fault.add_rule(Rule {
            operations: Vec::new(),
            path_contains: String::new(),
            trigger: Trigger::From(nth),
            outcome: Outcome::Crash,
        });
        let outcome = work(&still_env(Arc::new(fault)));
        for seed in 0..2 {
            check(&still_env(Arc::new(image.crash(seed))));
        }
        if outcome.is_ok() {
            assert!(nth > 20, "only {nth} operations");
            return;
        }
    }
}
