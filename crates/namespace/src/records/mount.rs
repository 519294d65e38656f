//! Family `mount`: the namespaces of the store.
//!
//! A mount that is retired keeps its record, so that its number is never given again; its name is
//! free.
//!
//! **Shape**: format, root (8), name, state (0 live, 1 retired), placement (0 with the parent
//! unless told, else as in a node). Under key `1, name`: format, id
//! (4).

use super::placement::{decode_placement, encode_placement};
use super::{FORMAT, MOUNT};
use crate::Placement;
use bytes::Bytes;
use nokv_engine::Keyspace;
use nokv_shard::Key;
use nokv_shard::codec::{Decoder, Encoder, Malformed};
use nokv_types::{MountId, NodeId};

/// A mount.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct MountRecord {
    pub(crate) root: NodeId,
    pub(crate) name: String,
    pub(crate) state: MountState,
    /// Where directories are made whose parent says nothing.
    pub(crate) placement: Placement,
}

/// Whether a mount can be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MountState {
    Live,
    /// For good.
    Retired,
}

impl MountRecord {
    pub(crate) const KEYSPACE: Keyspace = MOUNT;

    /// What the keys of all mounts begin with.
    pub(crate) const PREFIX: &'static [u8] = &[0];

    pub(crate) fn key(mount: MountId) -> Key {
        Key::from_parts(MOUNT, &[Self::PREFIX, &mount.get().to_be_bytes()])
    }

    pub(crate) fn name_key(name: &str) -> Key {
        Key::from_parts(MOUNT, &[&[1], name.as_bytes()])
    }

    pub(crate) fn encode_id(mount: MountId) -> Bytes {
        Encoder::new(FORMAT).u32(mount.get()).finish()
    }

    /// The mount in a key.
    pub(crate) fn id(key: &[u8]) -> Result<MountId, Malformed> {
        let bytes = key.get(1..).and_then(|bytes| bytes.try_into().ok());
        let flaw = || Malformed {
            offset: 1,
            expected: "4 bytes",
            got: key.len().to_string(),
        };
        Ok(MountId::new(u32::from_be_bytes(bytes.ok_or_else(flaw)?)))
    }

    pub(crate) fn encode(&self) -> Bytes {
        Encoder::new(FORMAT)
            .u64(self.root.as_u64())
            .bytes(self.name.as_bytes())
            .u8(match self.state {
                MountState::Live => 0,
                MountState::Retired => 1,
            })
            .u8(encode_placement(Some(self.placement)))
            .finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut decoder = Decoder::new(bytes, FORMAT)?;
        let root = NodeId::from_u64(decoder.u64("root")?);
        let name = decoder.bytes("name")?;
        let name = std::str::from_utf8(name).map_err(|flaw| decoder.malformed("UTF-8", flaw))?;
        let name = name.to_string();
        let state = match decoder.u8("state")? {
            0 => MountState::Live,
            1 => MountState::Retired,
            state => return Err(decoder.malformed("state 0 or 1", state)),
        };
        let placement = decode_placement(&mut decoder)?.unwrap_or_default();
        Ok(Self {
            root,
            name,
            state,
            placement,
        })
    }
}
