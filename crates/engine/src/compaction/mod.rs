//! Compaction: what is in many tables becomes fewer, sorted, without what nobody can read any more.
//!
//! How it fits: [`choose`] looks at the levels and says what to do next; it is pure, so every
//! decision is a test. [`run()`] does it: merges the inputs, asks [`prune`] what may go, and writes
//! the outputs. The caller (`crate::db`) owns threads, file numbers and the manifest.
//!
//! Shape of the tree: level 0 holds flushed tables, newest first, which may overlap; every other
//! level is sorted. The last level is filled first and the levels above it get targets a tenth, a
//! hundredth, ... of its actual size ([`targets`]), so that all that is above the last level stays
//! near a ninth of it: space amplification of about 1.1, whatever the size of the store.
//!
//! Level 0 is the buffer that catches a flood of flushes first and sorts later. A flush cuts its
//! tables where the tables of the base level are, and [`sublevels`] stacks them into few sorted
//! runs, so readers pay for the depth of the stack and not for the number of tables. Sorting down
//! goes by pieces, deepest stack first ([`level0`]): a piece is a second's work and frees its part
//! of the keys, where taking all of level 0 at once would rewrite the whole base level while the
//! stack grows. Several compactions run at once as long as they do not meet ([`claim`]), and a
//! large one is cut by keys into parts ([`split()`]). The throttle of the store slows writers by
//! depth and bytes. Rejected: an ingest area in each level (level 0 with other names: as many
//! places to look, and the order of ages to keep in each); merging tables of level 0 with each
//! other (written twice, and they would need an age of their own in the manifest).
//!
//! Invariants:
//! - no two compactions that run share an input, or a part of the keys of one output level;
//! - a compaction takes, with any table, everything that overlaps it in the output level, and of
//!   level 0 everything older that overlaps: a key's entries are never older in an upper source
//!   than in a lower one;
//! - versions of one key are never in two tables of a level;
//! - a read at a retained version (a pin, or at or above the horizon) gives the same before and
//!   after.

mod asked;
mod choose;
mod claim;
mod keep;
mod level0;
mod limiter;
mod plan;
mod prune;
mod run;
mod split;
mod sublevels;
mod sweep;
mod targets;
mod values;

#[cfg(test)]
mod choose_prop_test;
#[cfg(test)]
mod choose_test;
#[cfg(test)]
mod run_test;

pub(crate) use asked::choose_asked;
pub(crate) use choose::{ChooseOptions, Effort, choose};
pub(crate) use claim::Claim;
pub(crate) use limiter::{NoLimit, RateLimiter, Throttle};
#[cfg(test)]
pub(crate) use plan::Reason;
pub(crate) use plan::{Action, KeySpan, LevelsView, Plan, TableInfo};
pub(crate) use run::{Job, NewTable, Part, run};
pub(crate) use split::split;
pub(crate) use sublevels::sublevels;
pub(crate) use values::choose_values;
