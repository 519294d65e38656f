//! One second of the run.

use serde::Serialize;
use std::fmt::Write;

/// What happened in one second, and how the store stood at its end.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Second {
    pub(super) at_s: u64,
    pub(super) writes: u64,
    pub(super) p50_us: f64,
    pub(super) p999_us: f64,
    pub(super) max_us: f64,
    /// Sorted runs of level 0.
    pub(super) level0_depth: u64,
    pub(super) level0_tables: u64,
    /// Memtables that wait to be flushed.
    pub(super) sealed: u64,
    /// Bytes that are to be sorted down: level 0 and memtables.
    pub(super) backlog_bytes: u64,
    /// Compactions that ran at its end.
    pub(super) compactions: u64,
    /// Writes that were slowed, and that had to wait for work to be done.
    pub(super) slowed: u64,
    pub(super) stopped: u64,
}

/// The rows as comma-separated values, with a head.
pub(super) fn csv(seconds: &[Second]) -> String {
    let mut text = String::from(
        "at_s,writes,p50_us,p999_us,max_us,level0_depth,level0_tables,sealed,backlog_bytes,\
         compactions,slowed,stopped\n",
    );
    for row in seconds {
        writeln!(
            text,
            "{},{},{:.1},{:.1},{:.1},{},{},{},{},{},{},{}",
            row.at_s,
            row.writes,
            row.p50_us,
            row.p999_us,
            row.max_us,
            row.level0_depth,
            row.level0_tables,
            row.sealed,
            row.backlog_bytes,
            row.compactions,
            row.slowed,
            row.stopped
        )
        .expect("writing to a string does not fail");
    }
    text
}
