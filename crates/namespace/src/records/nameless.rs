//! Family `nameless`: nodes without a name that stay because a client session has them open.
//!
//! The node record itself has no links then. Who has it open is not here: the sessions say so
//! ([`crate::clients`]). A record of a node that has a name again, or is gone, means nothing.
//!
//! **Shape**: format, origin (0 lost its last name, 1 never had one), mount (4).

use super::{FORMAT, NAMELESS, node_and_branch, spot_at};
use bytes::Bytes;
use nokv_engine::Keyspace;
use nokv_shard::Key;
use nokv_shard::codec::{Decoder, Encoder, Malformed};
use nokv_types::{BranchId, MountId, NodeId};

pub(crate) const KEYSPACE: Keyspace = NAMELESS;

/// How a node came to have no name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    /// The last one was taken away: it gets none again.
    Unlinked,
    /// It was made without one (`O_TMPFILE`), and may get one.
    Unnamed,
}

/// A node without a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NamelessRecord {
    pub(crate) origin: Origin,
    pub(crate) mount: MountId,
}

pub(crate) fn key(node: NodeId, branch: BranchId) -> Key {
    Key::new(NAMELESS, &node_and_branch(node, branch))
}

/// The node in a key.
pub(crate) fn node(key: &[u8]) -> Result<(NodeId, BranchId), Malformed> {
    spot_at(key, 0)
}

impl NamelessRecord {
    pub(crate) fn encode(self) -> Bytes {
        let origin = match self.origin {
            Origin::Unlinked => 0,
            Origin::Unnamed => 1,
        };
        let mut encoder = Encoder::new(FORMAT);
        encoder.u8(origin).u32(self.mount.get());
        encoder.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut decoder = Decoder::new(bytes, FORMAT)?;
        let origin = match decoder.u8("origin")? {
            0 => Origin::Unlinked,
            1 => Origin::Unnamed,
            origin => return Err(decoder.malformed("origin 0 or 1", origin)),
        };
        let mount = MountId::new(u32::from_be_bytes(decoder.fixed("mount")?));
        Ok(Self { origin, mount })
    }
}
