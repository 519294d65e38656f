//! The plain database: an ordered map of bytes, with snapshots, values that expire and several
//! keyspaces, over the versioned engine.
//!
//! How it fits: the layers of this project give versions themselves; here the store draws them,
//! when a batch is written, as hybrid time: later than all before, and not before the clock. Of the
//! past it keeps what living snapshots see and nothing more.
//!
//! Invariants:
//! - keyspace 0 holds the names of the others and a mark, so a store of another kind, whose history
//!   would be pruned, is refused;
//! - what a snapshot sees never changes: from before it reads its version until it is dropped, all
//!   that the version sees is retained.
//!
//! Reading order: [`db`], [`space`], [`reader`], [`entries`], [`batch`], [`snapshot`], [`pins`],
//! [`names`], [`bounds`].

mod batch;
mod bounds;
mod db;
#[cfg(test)]
mod db_test;
mod entries;
#[cfg(test)]
mod model_test;
mod names;
mod pins;
mod reader;
mod snapshot;
mod space;

pub use batch::WriteBatch;
pub use db::Db;
pub use entries::Entries;
pub use names::{SPACE_COUNT_MAX, SPACE_NAME_BYTES_MAX};
pub use reader::Reader;
pub use snapshot::Snapshot;
pub use space::Space;
