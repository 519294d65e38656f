//! Blocks near at hand: verified runs of objects in memory and on disk.
//!
//! Objects never change and their ids are never used twice, so what is cached is never out of date,
//! and the whole of consistency is: bytes are verified before they come in, and again when they
//! come back from disk.
//!
//! What is kept is a *run*: neighbouring units of one object that came with one GET, as they are
//! stored. A block of a large file is a run of one unit; a pack of small files is one run for all
//! of them, so ten thousand small files are a few files on disk. A run answers for every range
//! within it.
//!
//! Invariants:
//! - a cache never fails a read and never changes what it returns: anything missing, damaged or
//!   unreadable is fetched again;
//! - memory and disk are bounded, the disk for all processes together;
//! - one fetch of a unit at a time in a process.
//!
//! Reading order: [`options`], [`block_cache`] (the whole), [`flights`] (one fetch at a time),
//! [`memory`], [`disk`].

mod block_cache;
#[cfg(test)]
mod cache_test;
mod disk;
mod flights;
mod memory;
mod options;

pub use block_cache::{BlockCache, CacheStats};
pub use disk::{CacheDirectory, CachedEntry, CachedStore, DamagedEntry, Evictions, OnDamage};
pub use options::{CACHE_DISK_BYTES_MIN, CACHE_MEMORY_BYTES_DEFAULT, CacheOptions};

pub(crate) use flights::{Follow, Lead, Turn};
