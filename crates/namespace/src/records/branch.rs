//! Family `branch`: layers over a version of another layer, and what becomes of them.
//!
//! Invariants:
//! - a branch has one record while it lives; who changes anything in it checks that the record did
//!   not change meanwhile, so a branch never changes its base under a writer;
//! - every base that a branch ever had is known, and pinned, as long as a retained version of the
//!   branch rests on it: the present one by the record, the former ones by a *former base* each.
//!
//! **Shapes**: key `00`, branch (4): format, mount varint, parent varint, base varint (0: this
//! record), since when varint (0: this record), root (8), then its place: branch varint, directory
//! (8), name; created, milliseconds, varint. Key `01`, branch (4): counter, slot 0 commands that
//! changed the branch. Key `02`, branch (4), first version of the life of a base (8): format, base
//! (8), end varint (0: this record). Key `03`, branch (4): a removed branch whose records are still
//! to be reclaimed: empty.

use super::{BRANCH, FORMAT, Moment};
use bytes::Bytes;
use nokv_engine::Keyspace;
use nokv_shard::codec::{Decoder, Encoder, Malformed};
use nokv_shard::{Key, Slot};
use nokv_types::{BranchId, MountId, Name, NodeId, Version};

pub(crate) const KEYSPACE: Keyspace = BRANCH;
/// What the keys of live branches begin with.
pub(crate) const LIVE: &[u8] = &[0];
/// What the keys of former bases begin with.
pub(crate) const FORMER: &[u8] = &[2];
/// What the keys of removed branches begin with.
pub(crate) const REMOVED: &[u8] = &[3];
/// Commands that changed a branch.
pub(crate) const CHANGES: Slot = Slot::new(0);

/// A branch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct BranchRecord {
    pub(crate) mount: MountId,
    pub(crate) parent: BranchId,
    /// The version of the parent that it rests on.
    pub(crate) base: Moment,
    /// Since when it rests on it.
    pub(crate) since: Moment,
    /// The directory that it shows.
    pub(crate) root: NodeId,
    /// Where its entry is: which branch, directory, name.
    pub(crate) above: (BranchId, NodeId),
    pub(crate) name: Name,
    pub(crate) created_millis: u64,
}

/// A base that a branch rested on for a while.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FormerBase {
    pub(crate) base: Version,
    /// The version that ended it.
    pub(crate) end: Moment,
}

pub(crate) fn key(branch: BranchId) -> Key {
    Key::from_parts(BRANCH, &[LIVE, &branch.get().to_be_bytes()])
}

pub(crate) fn changes_key(branch: BranchId) -> Key {
    Key::from_parts(BRANCH, &[&[1], &branch.get().to_be_bytes()])
}

pub(crate) fn former_key(branch: BranchId, since: Version) -> Key {
    let (branch, since) = (branch.get().to_be_bytes(), since.as_u64().to_be_bytes());
    Key::from_parts(BRANCH, &[FORMER, &branch, &since])
}

pub(crate) fn removed_key(branch: BranchId) -> Key {
    Key::from_parts(BRANCH, &[REMOVED, &branch.get().to_be_bytes()])
}

/// The branch in a key of any of these.
pub(crate) fn id(key: &[u8]) -> Result<BranchId, Malformed> {
    let bytes = key.get(1..5).and_then(|bytes| bytes.try_into().ok());
    bytes
        .map(|bytes| BranchId::new(u32::from_be_bytes(bytes)))
        .ok_or_else(|| short(key))
}

/// The first version in the key of a former base.
pub(crate) fn since(key: &[u8]) -> Result<Version, Malformed> {
    let bytes = key.get(5..13).and_then(|bytes| bytes.try_into().ok());
    bytes
        .map(|bytes| Version::from_u64(u64::from_be_bytes(bytes)))
        .ok_or_else(|| short(key))
}

fn short(key: &[u8]) -> Malformed {
    Malformed {
        offset: 1,
        expected: "a branch, and a version in keys of former bases",
        got: format!("{} bytes", key.len()),
    }
}

impl BranchRecord {
    /// The record without "this record", for one that this version wrote.
    pub(crate) fn resolved(self, version: Version) -> Self {
        Self {
            base: Moment::At(self.base.in_record(version)),
            since: Moment::At(self.since.in_record(version)),
            ..self
        }
    }

    pub(crate) fn encode(&self) -> Bytes {
        Encoder::new(FORMAT)
            .varint(u64::from(self.mount.get()))
            .varint(u64::from(self.parent.get()))
            .varint(self.base.stored())
            .varint(self.since.stored())
            .u64(self.root.as_u64())
            .varint(u64::from(self.above.0.get()))
            .u64(self.above.1.as_u64())
            .bytes(self.name.as_bytes())
            .varint(self.created_millis)
            .finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut decoder = Decoder::new(bytes, FORMAT)?;
        let mount = MountId::new(decoder.varint32("mount")?);
        let parent = BranchId::new(decoder.varint32("parent")?);
        let base = Moment::from_stored(decoder.varint("base")?);
        let since = Moment::from_stored(decoder.varint("beginning of the base")?);
        let root = NodeId::from_u64(decoder.u64("root")?);
        let above = BranchId::new(decoder.varint32("branch of the place")?);
        let directory = NodeId::from_u64(decoder.u64("directory")?);
        let name = Name::new(decoder.bytes("name")?.to_vec());
        let name = name.map_err(|flaw| decoder.malformed("a name", flaw))?;
        Ok(Self {
            mount,
            parent,
            base,
            since,
            root,
            above: (above, directory),
            name,
            created_millis: decoder.varint("created")?,
        })
    }
}

impl FormerBase {
    pub(crate) fn encode(&self) -> Bytes {
        Encoder::new(FORMAT)
            .u64(self.base.as_u64())
            .varint(self.end.stored())
            .finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut decoder = Decoder::new(bytes, FORMAT)?;
        Ok(Self {
            base: Version::from_u64(decoder.u64("base")?),
            end: Moment::from_stored(decoder.varint("end")?),
        })
    }
}
