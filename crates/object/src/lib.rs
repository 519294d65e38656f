//! Bodies: the bytes of files, as immutable blocks in an object store.
//!
//! Purpose: everything between a file's bytes and the objects that hold them. The namespace knows
//! names and versions; this crate knows blocks. It uploads ([`Uploader`]), reads back and verifies
//! ([`BodyReader`]), and deletes what nobody can see any more ([`Collector`]), over any
//! [`BlockStore`].
//!
//! Invariants:
//! - objects never change and their ids are never used twice: caches need no invalidation, retries
//!   are safe;
//! - a [`nokv_types::Body`] comes out of an upload only when all its objects are durable;
//! - a reader gets verified bytes or an error, never other bytes;
//! - memory is bounded by options, whatever the size of a body or a tree.
//!
//! Reading order: [`error`], [`store`] (where blocks live), [`upload`], [`cache`], [`read`],
//! [`collect`].

mod cache;
mod checksum;
mod collect;
mod encoding;
mod error;
mod read;
mod store;
mod subtree;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod upload;
mod verify;

pub use cache::{
    BlockCache, CACHE_DISK_BYTES_MIN, CACHE_MEMORY_BYTES_DEFAULT, CacheDirectory, CacheOptions,
    CacheStats, CachedEntry, CachedStore, DamagedEntry, Evictions, OnDamage,
};
pub use checksum::crc32c;
pub use collect::{
    CollectOptions, Collector, CompactOptions, LATE_GRACE_MS_DEFAULT, Orphans, RESERVED_SESSION,
    Report,
};
pub use error::{Error, Mismatch};
pub use read::{
    BodyReader, BodyStream, HedgeOptions, Keep, OnItem, OpenBody, PARALLEL_GETS_MAX, Piece,
    READ_BYTES_MAX, ReadItem, ReadOptions, Warmed,
};
pub use store::{
    BlockEntry, BlockStore, FolderBlocks, MemoryBlocks, ObjectOptions, RetryOptions,
    RetryingBlocks, S3Keys, Secret, forgets, objects_from_url,
};
pub use subtree::SubtreeHash;
pub use upload::{Compression, StagedUnit};
pub use upload::{
    PACK_BYTES_MAX, PACKED_BYTES_MAX, PARALLEL_PUTS_MAX, Staged, UploadOptions, UploadStats,
    Uploader,
};

pub use verify::{
    BodyCheck, BodyCheckPage, Finding, FindingKind, SCRUB_BYTES_MAX, ScrubStep, delete_orphans,
    scrub,
};

use upload::blocking;
