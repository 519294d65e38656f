//! Family `pin`: versions that must stay exactly readable, each with who needs it.
//!
//! Invariant: a pin is written only by a command that checks that the version was readable when it
//! was applied: at or above the floor, or pinned already.
//!
//! **Shape**: key: version (8), owner kind (1), owner; the record is empty, without format byte.

use super::PIN;
use nokv_engine::Keyspace;
use nokv_shard::Key;
use nokv_shard::codec::Malformed;
use nokv_types::{BranchId, Version};

pub(crate) const KEYSPACE: Keyspace = PIN;

/// Who needs a pinned version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum PinOwner<'a> {
    /// A snapshot, by the key of its record.
    Snapshot(&'a Key),
    /// A branch that rests, or rested, on the version.
    Branch(BranchId),
}

pub(crate) fn key(version: Version, owner: PinOwner<'_>) -> Key {
    let version = version.as_u64().to_be_bytes();
    match owner {
        PinOwner::Snapshot(key) => Key::from_parts(PIN, &[&version, &[1], key.bytes()]),
        PinOwner::Branch(branch) => {
            Key::from_parts(PIN, &[&version, &[2], &branch.get().to_be_bytes()])
        }
    }
}

/// What the keys of all pins of a version begin with.
pub(crate) fn prefix(version: Version) -> Key {
    Key::new(PIN, &version.as_u64().to_be_bytes())
}

/// The version in a key.
pub(crate) fn version(key: &[u8]) -> Result<Version, Malformed> {
    let bytes = key.get(..8).and_then(|bytes| bytes.try_into().ok());
    let bytes = bytes.ok_or_else(|| Malformed {
        offset: 0,
        expected: "at least 8 bytes",
        got: key.len().to_string(),
    })?;
    Ok(Version::from_u64(u64::from_be_bytes(bytes)))
}

/// Who needs the version of a key: the key of a snapshot's record, or a branch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum OwnerOfPin {
    Snapshot(Key),
    Branch(BranchId),
}

/// The owner in a key.
pub(crate) fn owner(key: &[u8]) -> Result<OwnerOfPin, Malformed> {
    let flaw = |expected| Malformed {
        offset: 8,
        expected,
        got: format!("{key:02x?}"),
    };
    match key.get(8..).and_then(<[u8]>::split_first) {
        Some((1, owner)) => Ok(OwnerOfPin::Snapshot(Key::new(super::SNAPSHOT, owner))),
        Some((2, owner)) => {
            let bytes = owner.try_into().map_err(|_| flaw("a branch"))?;
            Ok(OwnerOfPin::Branch(BranchId::new(u32::from_be_bytes(bytes))))
        }
        _ => Err(flaw("owner 1 or 2")),
    }
}
