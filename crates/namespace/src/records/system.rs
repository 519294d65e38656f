//! Family `system`: what the store knows of itself.
//!
//! | key | record |
//! |---|---|
//! | `nodes` | format, first node number not yet reserved (8) |
//! | `sessions` | format, salt of the store in the high 24 bits and first session number not yet reserved (8) |
//! | `branches` | format, first branch id not yet given (8) |
//! | `mounts` | format, first mount id not yet given (8) |
//! | `floor` | format, version below which nothing can be read (8) |
//! | `topology`, mount | format, 0 (8): its *version* is that of the last move of a directory |

use super::{FORMAT, SYSTEM};
use bytes::Bytes;
use nokv_shard::Key;
use nokv_shard::codec::{Decoder, Encoder, Malformed};
use nokv_types::MountId;

pub(crate) fn nodes() -> Key {
    Key::new(SYSTEM, b"nodes")
}

pub(crate) fn sessions() -> Key {
    Key::new(SYSTEM, b"sessions")
}

pub(crate) fn mounts() -> Key {
    Key::new(SYSTEM, b"mounts")
}

pub(crate) fn branches() -> Key {
    Key::new(SYSTEM, b"branches")
}

/// Raised by the collector. A command that pins a version checks that it did not change.
pub(crate) fn floor() -> Key {
    Key::new(SYSTEM, b"floor")
}

/// Rewritten by every command that moves a directory or takes a tree away. A command that rests on
/// a path checks that it did not change.
pub(crate) fn topology(mount: MountId) -> Key {
    Key::from_parts(SYSTEM, &[b"topology", &mount.get().to_be_bytes()])
}

pub(crate) fn encode(number: u64) -> Bytes {
    Encoder::new(FORMAT).u64(number).finish()
}

pub(crate) fn decode(bytes: &[u8]) -> Result<u64, Malformed> {
    Decoder::new(bytes, FORMAT)?.u64("number")
}
