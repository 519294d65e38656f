//! Compaction: what is in many tables becomes fewer, sorted, without what nobody can read any more.
//!
//! How it fits: [`choose`] looks at the levels and says what to do next; it is pure, so every
//! decision is a test. [`run()`] does it: merges the inputs, asks [`prune`] what may go, and writes
//! the outputs. The caller (`crate::db`) owns threads, file numbers and the manifest.
//!
//! Shape of the tree: level 0 holds flushed tables, newest first, which may overlap; every other
//! level is sorted. The last level is filled first and the levels above it get targets a tenth, a
//! hundredth, ... of its actual size ([`targets`]), so that all that is above the last level stays
//! near a ninth of it: space amplification of about 1.1, whatever the size of the store. Level 0 is
//! the buffer that catches a flood of flushes: [`choose`] takes many of its tables at once, while
//! the throttle of the store slows writers by how many there are.
//!
//! Invariants:
//! - a compaction takes, with any table, everything that overlaps it in the output level, and of
//!   level 0 everything older that overlaps: a key's entries are never older in an upper source
//!   than in a lower one;
//! - versions of one key are never in two tables of a level;
//! - a read at a retained version (a pin, or at or above the horizon) gives the same before and
//!   after.

mod choose;
mod keep;
mod limiter;
mod plan;
mod prune;
mod run;
mod sweep;
mod targets;

#[cfg(test)]
mod choose_test;
#[cfg(test)]
mod run_test;

pub(crate) use choose::{ChooseOptions, Effort, choose};
pub(crate) use limiter::{NoLimit, RateLimiter, Throttle};
pub(crate) use plan::{Action, LevelsView, Plan, TableInfo};
#[cfg(test)]
pub(crate) use plan::{KeySpan, Reason};
pub(crate) use run::{Job, NewTable, run};
