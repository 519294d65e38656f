//! Family `orphan`: removed directories whose entries are still to be taken apart.
//!
//! What they hold counts against the quotas that it counted against before, until it is taken
//! apart: the record names them.
//!
//! **Shape**: empty, or format, mount (4), count (varint), for each: directory (8), id of its quota
//! (8).

use super::{FORMAT, ORPHAN, node_and_branch, spot_at};
use bytes::Bytes;
use nokv_engine::Keyspace;
use nokv_shard::Key;
use nokv_shard::codec::{Decoder, Encoder, Malformed};
use nokv_types::{BranchId, MountId, NodeId};

pub(crate) const KEYSPACE: Keyspace = ORPHAN;

/// What an orphan counts against.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct OrphanRecord {
    pub(crate) mount: MountId,
    /// Directories with the ids of their quotas.
    pub(crate) quotas: Vec<(NodeId, u64)>,
}

pub(crate) fn key(directory: NodeId, branch: BranchId) -> Key {
    Key::new(ORPHAN, &node_and_branch(directory, branch))
}

/// The directory in a key.
pub(crate) fn directory(key: &[u8]) -> Result<(NodeId, BranchId), Malformed> {
    spot_at(key, 0)
}

impl OrphanRecord {
    pub(crate) fn encode(&self) -> Bytes {
        if self.quotas.is_empty() {
            return Bytes::new();
        }
        let mut encoder = Encoder::new(FORMAT);
        encoder
            .u32(self.mount.get())
            .varint(self.quotas.len() as u64);
        for (directory, id) in &self.quotas {
            encoder.u64(directory.as_u64()).u64(*id);
        }
        encoder.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let mut decoder = Decoder::new(bytes, FORMAT)?;
        let mount = MountId::new(u32::from_be_bytes(decoder.fixed("mount")?));
        let count = decoder.varint("quota count")?;
        let mut quotas = Vec::new();
        for _ in 0..count {
            let directory = NodeId::from_u64(decoder.u64("directory")?);
            quotas.push((directory, decoder.u64("id of a quota")?));
        }
        Ok(Self { mount, quotas })
    }
}
