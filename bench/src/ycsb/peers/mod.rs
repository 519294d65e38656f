//! The engines behind the trait, one file each. Every option that differs from the engine's default
//! is there for the equal durability and the equal cache that the comparison promises, and says so.

mod fjall;
mod holt;
mod lmdb;
mod nokv;
mod redb;
#[cfg(feature = "rocksdb")]
mod rocksdb;

pub(super) use fjall::open_fjall;
pub(super) use holt::open_holt;
pub(super) use lmdb::open_lmdb;
pub(super) use nokv::{open_nokv, open_nokv_skip_list};
pub(super) use redb::open_redb;

use super::engine::Open;

/// RocksDB, when it is compiled in.
#[cfg(feature = "rocksdb")]
pub(super) const OPEN_ROCKSDB: Result<Open, &str> = Ok(rocksdb::open_rocksdb);
/// RocksDB, when it is compiled in.
#[cfg(not(feature = "rocksdb"))]
pub(super) const OPEN_ROCKSDB: Result<Open, &str> =
    Err("not built in; install libclang-dev, then build with `--features rocksdb`");
