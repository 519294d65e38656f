//! Family `entry`: names in directories.
//!
//! Invariant: a directory's entries are side by side in byte order of their names: a page is one
//! scan.
//!
//! **Shape**: format, kind of the child, branch of the child (varint), child (8).

use super::node::{decode_kind, encode_kind};
use super::{ENTRY, FORMAT, node_and_branch};
use bytes::Bytes;
use nokv_engine::Keyspace;
use nokv_shard::Key;
use nokv_shard::codec::{Decoder, Encoder, Malformed};
use nokv_types::{BranchId, Name, NodeId, NodeKind};

/// What a name leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct EntryRecord {
    pub(crate) kind: NodeKind,
    pub(crate) branch: BranchId,
    pub(crate) node: NodeId,
}

/// Bytes in front of the name.
pub(crate) const NAME_OFFSET: usize = 12;

impl EntryRecord {
    pub(crate) const KEYSPACE: Keyspace = ENTRY;

    pub(crate) fn key(directory: NodeId, branch: BranchId, name: &Name) -> Key {
        Key::from_parts(
            ENTRY,
            &[&node_and_branch(directory, branch), name.as_bytes()],
        )
    }

    /// What the keys of all entries of a directory begin with.
    pub(crate) fn prefix(directory: NodeId, branch: BranchId) -> [u8; NAME_OFFSET] {
        node_and_branch(directory, branch)
    }

    /// The name in a key.
    pub(crate) fn name(key: &[u8]) -> Result<Name, Malformed> {
        let flaw = |got: String| Malformed {
            offset: NAME_OFFSET,
            expected: "a name",
            got,
        };
        let name = key
            .get(NAME_OFFSET..)
            .ok_or_else(|| flaw(format!("{} bytes", key.len())))?;
        Name::new(Bytes::copy_from_slice(name)).map_err(|failure| flaw(failure.to_string()))
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.kind == NodeKind::Directory
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut encoder = Encoder::new(FORMAT);
        encode_kind(&mut encoder, self.kind);
        encoder
            .varint(u64::from(self.branch.get()))
            .u64(self.node.as_u64())
            .finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut decoder = Decoder::new(bytes, FORMAT)?;
        Ok(Self {
            kind: decode_kind(&mut decoder)?,
            branch: BranchId::new(decoder.varint32("branch")?),
            node: NodeId::from_u64(decoder.u64("node")?),
        })
    }
}
