//! The block cache: decoded blocks of all tables of a store, under one budget.
//!
//! How it fits: [`crate::table::Table`] asks here before it reads its file. Data blocks and index
//! partitions (with their filters) share the budget; top indexes are part of the open table.
//!
//! Invariants: what is in the cache is what its checksum proved; blocks never change, so nothing is
//! ever invalidated (table ids are not reused); the weight of all entries stays at or below the
//! budget.

mod block_cache;

#[cfg(test)]
pub(crate) use block_cache::CacheFigures;
pub(crate) use block_cache::{BlockCache, BlockKey, CachedBlock, FillCache};
