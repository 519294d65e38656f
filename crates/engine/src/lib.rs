//! The storage engine: one ordered, versioned, crash-proof map per directory.
//!
//! Two doors lead in. [`Db`] is a plain embedded database: keys, values, batches, snapshots, values
//! that expire, several keyspaces.
//!
//! ```
//! use std::time::Duration;
//! use nokv_engine::{Db, Durability, Options, WriteBatch};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let dir = dir.path();
//! let db = Db::open(dir, Options::default())?;
//! db.set("ada", "1815")?; // durable when it returns
//! assert_eq!(db.get("ada")?.as_deref(), Some(&b"1815"[..]));
//!
//! // Several writes as one, over several keyspaces.
//! let cities = db.keyspace("cities")?;
//! let mut batch = WriteBatch::new();
//! batch.set(&db, "grace", "1906");
//! batch.set(&cities, "grace", "New York");
//! batch.delete(&db, "ada");
//! db.set_batch(batch)?;
//!
//! // Faster, and still in order: the last moments may be lost in a power cut, not before.
//! let quick = db.with_durability(Durability::Buffered);
//! quick.set_with_ttl("session", "42", Duration::from_secs(60))?;
//! db.sync()?;
//!
//! // A snapshot does not change; iterators go both ways; borrowed reads copy nothing.
//! let snapshot = db.snapshot();
//! db.delete_range("a"..="z")?;
//! assert_eq!(db.iter().count(), 0);
//! let mut keys = Vec::new();
//! for entry in snapshot.range("a"..).rev() {
//!     let (key, _value) = entry?;
//!     keys.push(key);
//! }
//! assert_eq!(keys, ["session", "grace"]);
//! let borrowed = snapshot.of(&cities).get_ref("grace")?;
//! assert_eq!(borrowed.as_deref(), Some(&b"New York"[..]));
//! # drop((snapshot, cities, quick, borrowed));
//! db.close()?;
//! # Ok(())
//! # }
//! ```
//!
//! [`Engine`] is the versioned store below: `(keyspace, key, version) → value | tombstone` with
//! atomic batches over all keyspaces, reads at any retained version, and durability chosen per
//! write. The caller gives the versions. It knows nothing of namespaces.
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
//! itself), [`stats`], [`plain`] (the database over it).

mod batch;
mod bytes_at;
mod cache;
mod checkpoint;
mod checksum;
mod compaction;
mod db;
mod entry;
mod error;
mod file_name;
pub mod forensics;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
#[cfg(test)]
mod fuzzing_test;
pub mod hot_keys;
mod keyspace;
mod manifest;
mod mark;
mod merge;
mod moment;
mod options;
mod plain;
mod plant;
mod range;
mod record;
mod refresh;
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
pub use forensics::{Damage, Verification, VerifyOptions, VerifyProgress};
pub use keyspace::{KEY_BYTES_MAX, Keyspace, VALUE_BYTES_MAX};
pub use nokv_art::Structure;
pub use options::{Access, Compression, Durability, LogMode, Options, Retention};
pub use plain::{
    Db, Entries, Reader, SPACE_COUNT_MAX, SPACE_NAME_BYTES_MAX, Snapshot, Space, WriteBatch,
};
pub use range::{Direction, KeyRange};
pub use record::{Record, Value};
pub use stats::{HotKeyStats, LevelStats, Stats};
pub use transfer::{
    Export, ExportOptions, IngestOptions, Ingested, SinkOptions, TableSink, Transfer,
};
