//! The write-ahead log: batches in order, before anything else knows them.
//!
//! How it fits: [`writer`] appends groups of batches and shares syncs; [`recover`] reads everything
//! back when the store is opened and decides what a damaged place means; docs/format/wal.md is the
//! format.
//!
//! Invariants:
//! - records have consecutive sequences over all segments; a batch is one record under one
//!   checksum, so it is there whole or not at all;
//! - a segment is synced before, or together with, the first sync that covers a later one: what is
//!   durable is a prefix of the log;
//! - every record says which sequence was known to be synced when it was written, and the mark file
//!   says it after each sync: that is how damage of what was promised is told from a torn tail of
//!   what was not.
//!
//! Reading order: [`layout`], [`record`], [`segment`], [`reader`], [`recover`], [`writer`].

#[cfg(test)]
mod golden_test;
mod layout;
mod reader;
mod record;
mod recover;
#[cfg(test)]
mod recover_test;
mod scan;
mod segment;
mod writer;

pub(crate) use recover::{Recovered, Refused, Repair, recover};
pub(crate) use scan::{RecordPlace, SegmentScan, scan_segment};
pub(crate) use segment::{segment_number, segment_path};
pub(crate) use writer::{Appender, Log, LogStart};
