//! Family `client`: client sessions that have not ended.
//!
//! When one ends is not here: it is a matter of the process that has the store open
//! ([`crate::clients`]).
//!
//! **Shape**: format, time to live in milliseconds (varint), label.

use super::{CLIENT, FORMAT};
use bytes::Bytes;
use nokv_engine::Keyspace;
use nokv_shard::Key;
use nokv_shard::codec::{Decoder, Encoder, Malformed};
use nokv_types::ClientId;

pub(crate) const KEYSPACE: Keyspace = CLIENT;

/// A client session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ClientRecord {
    pub(crate) ttl_ms: u64,
    pub(crate) label: String,
}

pub(crate) fn key(client: ClientId) -> Key {
    Key::new(CLIENT, &client.get().to_be_bytes())
}

/// The session in a key.
pub(crate) fn client(key: &[u8]) -> Result<ClientId, Malformed> {
    let bytes = key.try_into().map_err(|_| Malformed {
        offset: 0,
        expected: "8 bytes",
        got: key.len().to_string(),
    })?;
    Ok(ClientId::new(u64::from_be_bytes(bytes)))
}

impl ClientRecord {
    pub(crate) fn encode(&self) -> Bytes {
        let mut encoder = Encoder::new(FORMAT);
        encoder.varint(self.ttl_ms).bytes(self.label.as_bytes());
        encoder.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut decoder = Decoder::new(bytes, FORMAT)?;
        let ttl_ms = decoder.varint("time to live")?;
        let label = String::from_utf8(decoder.bytes("label")?.to_vec());
        let label = label.map_err(|flaw| decoder.malformed("UTF-8", flaw))?;
        Ok(Self { ttl_ms, label })
    }
}
