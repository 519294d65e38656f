//! The operations, one verb per file.
//!
//! Each mutation is a pure-looking plan (`fn(&mut Plan) -> Result<Answer>`) run by
//! [`crate::Namespace::mutate`]; each read uses one [`crate::reader::Reader`].

mod attributes;
mod branch_garbage;
mod branch_records;
mod branches;
mod check;
mod clients;
mod dead_bodies;
mod diff;
mod dump;
mod edit;
mod explain;
mod garbage;
mod holds;
mod leases;
mod link;
mod load;
mod locks;
mod make;
mod merge;
mod merge_plan;
mod mounts;
mod nameless;
mod opens;
mod publish;
mod quotas;
mod read;
mod references;
mod relocate;
mod remove;
mod rename;
mod replace_body;
mod restore;
mod sessions;
pub(crate) mod shards;
mod side;
mod snapshots;
mod touched;
mod usage;
mod watch;
mod xattrs;

pub use check::CHECK_NODES_DEFAULT;
pub(crate) use clients::read_clients;
pub(crate) use holds::read_holds;
pub(crate) use leases::unknown_until;
pub use locks::{LockOrWait, LockWait};
pub(crate) use nameless::read_nameless;
pub(crate) use quotas::Begun;
pub use sessions::SESSION_TTL_MS_MAX;
pub use snapshots::SNAPSHOT_LEASE_MS_MAX;
pub use watch::Feed;
pub use xattrs::{XATTR_NAME_BYTES_MAX, XATTR_VALUE_BYTES_MAX, XATTRS_MAX};
