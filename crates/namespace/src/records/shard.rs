//! Family `shard`: what each shard keeps for itself.
//!
//! | key | record |
//! |---|---|
//! | shard, `00` | format, first node number of the shard not yet reserved (8) |
//! | shard, `01`, mount | format, 0 (8): its *version* is that of the last move of a directory |
//!
//! The topology of a mount is in every shard, and a move of a directory writes all of them: so
//! whatever rests on a path, wherever that leads, checks it in a shard that it writes to anyway.

use super::SHARD;
use nokv_shard::Key;
use nokv_types::{MountId, ShardId};

/// Which numbers were given to nodes.
pub(crate) fn nodes(shard: ShardId) -> Key {
    Key::from_parts(SHARD, &[&shard.get().to_be_bytes(), &[0]])
}

/// Rewritten by every command that moves a directory or takes a tree away. A command that rests on
/// a path checks that it did not change.
pub(crate) fn topology(shard: ShardId, mount: MountId) -> Key {
    let (shard, mount) = (shard.get().to_be_bytes(), mount.get().to_be_bytes());
    Key::from_parts(SHARD, &[&shard, &[1], &mount])
}
