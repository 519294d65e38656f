//! Sorted tables: immutable files of entries in order, the form of everything below the memtable.
//!
//! A table is data blocks (prefix-compressed entries), index partitions (bounds of the blocks, and
//! a filter of their keys), a top index over the partitions, range tombstones, properties and a
//! footer. `docs/format/table.md` is the reference of the bytes. An open table holds the top index
//! and the range tombstones; all else goes through [`crate::cache`], so memory is bounded by the
//! cache however many keys there are.
//!
//! Invariants:
//! - entries are ordered by key, then newest version first; every byte of a file is under a
//!   checksum that is checked before the byte means anything; decoders return errors for any input
//!   and allocate no more than a block;
//! - filters know user keys (with the byte of the keyspace), whatever their versions;
//! - a value is never copied on its way from the cached block to the caller.
//!
//! Reading order: [`layout`], [`frame`] (a block in the file), [`payload`] (in memory), [`heads`],
//! [`entry`], [`data_builder`] and [`data_block`], [`filter`], [`index_builder`] and
//! [`index_block`], [`footer`], [`garbage`] and [`summary`], then [`writer`], [`reader`],
//! [`partition`], [`block_cursor`] and [`cursor`], [`walk`] (over a damaged file).

#[cfg(any(test, fuzzing))]
pub(crate) mod any_bytes;
mod around;
mod block_cursor;
mod cursor;
mod data_block;
mod data_builder;
mod entry;
#[cfg(test)]
mod figures_test;
mod filter;
mod footer;
mod frame;
mod garbage;
#[cfg(test)]
mod golden_test;
mod heads;
mod index_block;
mod index_builder;
mod layout;
mod malformed;
mod partition;
mod payload;
mod read_ahead;
mod reader;
mod summary;
#[cfg(test)]
mod table_test;
#[cfg(test)]
pub(crate) mod testing;
mod walk;
mod writer;

pub(crate) use block_cursor::BlockCursor;
pub(crate) use cursor::{CursorOptions, Reading, TableCursor};
pub(crate) use filter::hash;
#[cfg(test)]
pub(crate) use garbage::{Garbage, Span};
#[cfg(test)]
pub(crate) use index_block::IndexBlock;
pub(crate) use layout::Content;
pub(crate) use partition::Partition;
pub(crate) use payload::{BlockSlice, Payload};
pub(crate) use reader::{LookupKey, Table};
pub(crate) use summary::TableSummary;
pub(crate) use walk::{DataVisit, Walk, walk};
pub(crate) use writer::{TableOptions, TableWriter};
