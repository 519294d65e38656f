//! Family `hold`: backups whose objects must stay.
//!
//! **Shape**: key: number of the backup (8). Record: format, version (8), when it ends by itself
//! (varint, milliseconds since 1970; 0: never).

use super::{FORMAT, HOLD};
use crate::Hold;
use bytes::Bytes;
use nokv_engine::Keyspace;
use nokv_shard::Key;
use nokv_shard::codec::{Decoder, Encoder, Malformed};
use nokv_types::Version;

pub(crate) const KEYSPACE: Keyspace = HOLD;

pub(crate) fn key(backup: u64) -> Key {
    Key::new(HOLD, &backup.to_be_bytes())
}

pub(crate) fn encode(hold: &Hold) -> Bytes {
    Encoder::new(FORMAT)
        .u64(hold.version.as_u64())
        .varint(hold.until_millis.unwrap_or(0))
        .finish()
}

pub(crate) fn decode(key: &[u8], value: &[u8]) -> Result<Hold, Malformed> {
    let backup = key.try_into().map(u64::from_be_bytes);
    let backup = backup.map_err(|_| Malformed {
        offset: 0,
        expected: "8 bytes",
        got: key.len().to_string(),
    })?;
    let mut decoder = Decoder::new(value, FORMAT)?;
    let version = Version::from_u64(decoder.u64("version")?);
    let until = decoder.varint("end")?;
    Ok(Hold {
        backup,
        version,
        until_millis: (until != 0).then_some(until),
    })
}
