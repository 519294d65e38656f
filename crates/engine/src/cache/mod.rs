//! The cache: what of the tables of a store is in memory, under one budget.
//!
//! How it fits: an open [`crate::table::Table`] keeps its index partitions ([`pins`] says how many
//! may be kept; those beyond compete with each other for a part of the budget). With each partition
//! come the [`frames`] of its data blocks, where a lookup finds a block without asking anybody;
//! [`blocks`] counts them and says which have to go. Top indexes and range tombstones are part of
//! the open table, and counted like all else.
//!
//! Invariants: what is in the cache is what its checksum proved; blocks never change, so nothing is
//! ever invalidated (table ids are not reused); all together stay at or below the budget.

mod block_cache;
mod blocks;
mod frames;

#[cfg(test)]
pub(crate) use block_cache::CacheFigures;
pub(crate) use block_cache::{BlockCache, FillCache, PartitionKey};
pub(crate) use frames::Frames;
