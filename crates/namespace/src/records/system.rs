//! Family `system`: what the store knows of itself.
//!
//! | key | record |
//! |---|---|
//! | `shards` | format, how many shards there are (8) |
//! | `sessions` | format, salt of the store in the high 24 bits and first session number not yet reserved (8) |
//! | `branches` | format, first branch id not yet given (8) |
//! | `mounts` | format, first mount id not yet given (8) |
//! | `floor` | format, version below which nothing can be read (8) |
//! | `scrub` | where the reading back of all bodies is: the caller's own bytes |
//! | `leases` | format, until when leases of reads may run, milliseconds since 1970 (8) |

use super::{FORMAT, SYSTEM};
use bytes::Bytes;
use nokv_shard::Key;
use nokv_shard::codec::{Decoder, Encoder, Malformed};

/// How many shards the store has. A command that writes to all of them checks that it did not
/// change.
pub(crate) fn shards() -> Key {
    Key::new(SYSTEM, b"shards")
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

/// Where the reading back of all bodies is.
pub(crate) fn scrub() -> Key {
    Key::new(SYSTEM, b"scrub")
}

pub(crate) fn leases() -> Key {
    Key::new(SYSTEM, b"leases")
}

/// Raised by the collector. A command that pins a version checks that it did not change.
pub(crate) fn floor() -> Key {
    Key::new(SYSTEM, b"floor")
}

pub(crate) fn encode(number: u64) -> Bytes {
    Encoder::new(FORMAT).u64(number).finish()
}

pub(crate) fn decode(bytes: &[u8]) -> Result<u64, Malformed> {
    Decoder::new(bytes, FORMAT)?.u64("number")
}
