//! Family `session`: upload sessions.
//!
//! Invariant: a session's key says whether it may publish: a publish checks that the open key is
//! present, closing moves it to the closed key, so log order decides between the two.
//!
//! **Shape**: format, expiry in milliseconds since 1970.

use super::{FORMAT, SESSION};
use bytes::Bytes;
use nokv_engine::Keyspace;
use nokv_shard::Key;
use nokv_shard::codec::{Decoder, Encoder, Malformed};
use nokv_types::SessionId;

/// A session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SessionRecord {
    /// After this an open one counts as abandoned; a closed one may be swept.
    pub(crate) millis: u64,
}

impl SessionRecord {
    pub(crate) const KEYSPACE: Keyspace = SESSION;

    /// What the keys of open sessions begin with.
    pub(crate) const OPEN: &'static [u8] = &[0];
    /// What the keys of closed sessions begin with.
    pub(crate) const CLOSED: &'static [u8] = &[1];

    pub(crate) fn open_key(session: SessionId) -> Key {
        Key::from_parts(SESSION, &[Self::OPEN, &session.get().to_be_bytes()])
    }

    pub(crate) fn closed_key(session: SessionId) -> Key {
        Key::from_parts(SESSION, &[Self::CLOSED, &session.get().to_be_bytes()])
    }

    /// The session in a key.
    pub(crate) fn id(key: &[u8]) -> Result<SessionId, Malformed> {
        let bytes = key.get(1..).and_then(|bytes| bytes.try_into().ok());
        let flaw = || Malformed {
            offset: 1,
            expected: "8 bytes",
            got: key.len().to_string(),
        };
        Ok(SessionId::new(u64::from_be_bytes(bytes.ok_or_else(flaw)?)))
    }

    pub(crate) fn encode(&self) -> Bytes {
        Encoder::new(FORMAT).u64(self.millis).finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        Ok(Self {
            millis: Decoder::new(bytes, FORMAT)?.u64("milliseconds")?,
        })
    }
}
