//! Families `quota` (limits of directories) and `quota usage` (what counts against them).
//!
//! Invariant: once a quota counts, its usage equals a recount at every version: the command that
//! begins it sets the usage to nothing and moves the mount's topology, so every later change in the
//! subtree adds to it; what was there at that version is added when it has been counted.
//!
//! **Shape** of a quota: format, purpose (0 limit, 1 tally), phase (0 counting, 1 counted), id (8),
//! mount (4), then for each of bytes and inodes the limit and 1 (varint; 0: none), then when it was
//! set, milliseconds (varint). Usage: a counter, slots 0 bytes, 1 inodes.

use super::{FORMAT, QUOTA, QUOTA_USAGE, node_and_branch};
use crate::QuotaLimits;
use bytes::Bytes;
use nokv_engine::Keyspace;
use nokv_shard::codec::{Decoder, Encoder, Malformed};
use nokv_shard::{Key, Slot};
use nokv_types::{BranchId, MountId, NodeId};

pub(crate) const KEYSPACE: Keyspace = QUOTA;

/// Bytes of the bodies below.
pub(crate) const BYTES: Slot = Slot::new(0);
/// Names below.
pub(crate) const INODES: Slot = Slot::new(1);

/// What a quota is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// Somebody limits the directory.
    Limit,
    /// A directory is about to move between quotas: only its usage is needed, until it has moved.
    Tally,
}

/// Whether the usage is complete.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// It holds what changed since; what was there is being counted.
    Counting,
    /// It holds all.
    Counted,
}

/// A quota.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct QuotaRecord {
    pub(crate) purpose: Purpose,
    pub(crate) phase: Phase,
    /// Distinguishes it from an earlier quota of the directory.
    pub(crate) id: u64,
    pub(crate) mount: MountId,
    pub(crate) limits: QuotaLimits,
    pub(crate) set_millis: u64,
}

pub(crate) fn key(directory: NodeId, branch: BranchId) -> Key {
    Key::new(QUOTA, &node_and_branch(directory, branch))
}

pub(crate) fn usage_key(directory: NodeId, branch: BranchId) -> Key {
    Key::new(QUOTA_USAGE, &node_and_branch(directory, branch))
}

impl QuotaRecord {
    pub(crate) fn encode(&self) -> Bytes {
        let mut encoder = Encoder::new(FORMAT);
        encoder
            .u8(match self.purpose {
                Purpose::Limit => 0,
                Purpose::Tally => 1,
            })
            .u8(match self.phase {
                Phase::Counting => 0,
                Phase::Counted => 1,
            })
            .u64(self.id)
            .u32(self.mount.get());
        for limit in [self.limits.bytes, self.limits.inodes] {
            encoder.varint(limit.map_or(0, |limit| limit.saturating_add(1)));
        }
        encoder.varint(self.set_millis).finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut decoder = Decoder::new(bytes, FORMAT)?;
        let purpose = match decoder.u8("purpose")? {
            0 => Purpose::Limit,
            1 => Purpose::Tally,
            purpose => return Err(decoder.malformed("purpose 0 or 1", purpose)),
        };
        let phase = match decoder.u8("phase")? {
            0 => Phase::Counting,
            1 => Phase::Counted,
            phase => return Err(decoder.malformed("phase 0 or 1", phase)),
        };
        let id = decoder.u64("id")?;
        let mount = decoder.fixed("mount")?;
        let mut limit = |what| Ok(decoder.varint(what)?.checked_sub(1));
        let limits = QuotaLimits {
            bytes: limit("bytes")?,
            inodes: limit("inodes")?,
        };
        Ok(Self {
            purpose,
            phase,
            id,
            mount: MountId::new(u32::from_be_bytes(mount)),
            limits,
            set_millis: decoder.varint("set")?,
        })
    }
}
