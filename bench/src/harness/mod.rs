//! What every benchmark shares: rows and their table, latency histograms, resource accounting,
//! worker threads, and the cell: one system under one workload in a process of its own.
//!
//! Invariants:
//! - A *cell* runs in a child process of this binary, so that peak memory and CPU belong to one
//!   system, and no system's background threads or page-sized leftovers disturb the next.
//! - A row is never invented: a system that is absent becomes a [`Missing`] with the way to get it,
//!   one that fails or does not finish becomes one with the reason.
//!
//! Reading order: `row`, `table`, `histogram`, `usage`, `workers`, `cell`.

mod cell;
mod histogram;
mod random;
mod row;
mod scratch;
mod table;
#[cfg(test)]
mod table_test;
mod usage;
mod workers;

pub(crate) use cell::{CellReport, print_answer, run_cell};
pub(crate) use histogram::Latencies;
pub(crate) use random::{Random, fnv64};
pub(crate) use row::{Report, Row, Subject};
pub(crate) use scratch::Scratch;
pub(crate) use table::render;
pub(crate) use usage::{Usage, disk_mib, remove_tree, settle_disk};
pub(crate) use workers::{Measured, Plan, measure};
