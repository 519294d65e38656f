//! The store: memtables over tables, one writer path, lock-free reads.
//!
//! How it fits: a write goes through [`write`] into the log and the active memtable; [`flush`]
//! turns sealed memtables into tables of level 0 and [`compact`] moves them down; [`view`] is what
//! readers see, one immutable value behind an atomic pointer; [`get`] and [`scan`] read it.
//!
//! Invariants:
//! - for each key, versions never go down from one batch to a later one, so the newest source that
//!   knows a key has its newest version;
//! - nothing of a batch is visible before its log record is written, and all of it is visible when
//!   `write` returns;
//! - a view is never changed, only replaced; what a reader loaded stays complete until it lets go.

mod adopt;
mod background;
mod capture;
mod compact;
mod core;
#[cfg(test)]
mod each_value;
mod engine;
mod flush;
mod get;
mod intake;
mod memory;
mod memory_writer;
mod open;
mod parts;
mod read_cost;
mod removals;
mod replay_values;
mod report;
mod scan;
mod source;
mod tables;
mod throttle;
mod values;
mod view;
mod watchdog;
mod write;

#[cfg(test)]
mod crash_test;
#[cfg(test)]
mod damage_test;
#[cfg(test)]
mod expiry_test;
#[cfg(test)]
mod external_test;
#[cfg(test)]
mod fault_test;
#[cfg(test)]
mod figures_test;
#[cfg(test)]
mod history_test;
#[cfg(test)]
mod range_scan_test;
#[cfg(test)]
mod report_test;
#[cfg(test)]
mod values_fault_test;
#[cfg(test)]
mod values_test;
#[cfg(test)]
mod watchdog_test;

pub(crate) use capture::Capture;
pub use engine::{CommitPoint, Engine};
pub(crate) use open::LOCK_NAME;
pub use scan::{LentEntry, Scan};
pub(crate) use tables::{table_number, table_path};
