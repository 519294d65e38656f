//! Which shard a key belongs to.
//!
//! Invariant: total, and for ever the same for a key: the shard is in the first two bytes of the
//! keys of families that are sharded, and the *home* shard has all others, which are the store's
//! own (mounts, sessions, objects, deaths, pins, snapshots, branches).

use super::{
    CHUNK, COUNTER, ENTRY, NAMELESS, NAMES, NODE, ORPHAN, QUOTA, QUOTA_USAGE, SHARD, XATTR,
};
use nokv_engine::Keyspace;
use nokv_shard::Key;
use nokv_types::ShardId;

/// The shard of what belongs to the whole store.
pub(crate) const HOME: ShardId = ShardId::new(0);

/// Families whose keys begin with the shard.
const SHARDED: [Keyspace; 11] = [
    NODE,
    ENTRY,
    XATTR,
    CHUNK,
    COUNTER,
    ORPHAN,
    QUOTA,
    QUOTA_USAGE,
    NAMES,
    NAMELESS,
    SHARD,
];

/// The shard of a key. Keys of the shards' own logs begin with the shard too.
pub(crate) fn shard_of(key: &Key) -> ShardId {
    let sharded = SHARDED.contains(&key.keyspace());
    match key.bytes().first_chunk::<2>() {
        Some(shard) if sharded => ShardId::new(u16::from_be_bytes(*shard)),
        _ => HOME,
    }
}
