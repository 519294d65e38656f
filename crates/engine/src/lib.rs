//! The storage engine: one ordered, versioned, crash-proof map per directory.
//!
//! Purpose: `(keyspace, key, version) → value | tombstone` with atomic batches over all keyspaces,
//! reads at any retained version, and durability chosen per write. It knows nothing of namespaces.
//!
//! ```
//! use std::path::Path;
//! use nokv_engine::{Batch, Durability, Engine, Keyspace, Options};
//! use nokv_env::Env;
//! use nokv_types::Version;
//!
//! # fn main() -> Result<(), nokv_engine::Error> {
//! let engine = Engine::open(Env::memory(1), Path::new("/store"), Options::default())?;
//! let users = Keyspace::new(1);
//! let mut batch = Batch::new();
//! batch.put(users, b"ada", b"1815", Version::from_u64(7));
//! engine.write(batch, Durability::Synced)?;
//! let record = engine.get(users, b"ada", Version::MAX)?.expect("just written");
//! assert_eq!(&*record.value, b"1815");
//! assert!(engine.get(users, b"ada", Version::from_u64(6))?.is_none());
//! engine.close()
//! # }
//! ```
//!
//! Reading order: [`keyspace`], [`range`], [`batch`], [`record`], [`options`] (the nouns of the
//! interface), [`error`], [`entry`] and [`tombstones`] (the nouns below it), [`db`] (the store
//! itself), [`stats`].

mod batch;
mod bytes_at;
mod cache;
mod checkpoint;
mod checksum;
mod compaction;
mod db;
mod entry;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod hot_keys;
mod keyspace;
mod manifest;
mod mark;
mod merge;
mod moment;
mod options;
mod plant;
mod range;
mod record;
mod stats;
mod table;
#[cfg(test)]
mod testing;
mod tombstones;
mod transfer;
mod varint;
pub mod vlog;
mod wal;

pub use batch::{BATCH_BYTES_MAX, Batch};
pub use checkpoint::Checkpoint;
pub use db::{CommitPoint, Engine, LentEntry, Scan};
pub use error::Error;
pub use keyspace::{KEY_BYTES_MAX, Keyspace, VALUE_BYTES_MAX};
pub use nokv_art::Structure;
pub use options::{Access, Compression, Durability, LogMode, Options, Retention};
pub use range::{Direction, KeyRange};
pub use record::{Record, Value};
pub use stats::{HotKeyStats, LevelStats, Stats, Verification};
pub use transfer::{
    Export, ExportOptions, IngestOptions, Ingested, SinkOptions, TableSink, Transfer,
};
