//! Family `snapshot`: names for (directory, version), and when something is due for them.
//!
//! Invariants:
//! - a live snapshot has a pin at its version; one that expired has none, and is remembered for a
//!   while so that reads of it fail as expired, not as unknown;
//! - a snapshot with a lease, live or expired, has exactly one due key, the one that its record
//!   says.
//!
//! **Shape**: key `00`, mount (4), name: format, state (0 live, 1 expired), directory (8), branch
//! varint, version (8), created varint, lease end varint (0: permanent), path bytes. Key `01`, due
//! (8), mount (4), name: empty.

use super::{FORMAT, SNAPSHOT};
use crate::{Lease, Snapshot, SnapshotState};
use bytes::Bytes;
use nokv_engine::Keyspace;
use nokv_shard::Key;
use nokv_shard::codec::{Decoder, Encoder, Malformed};
use nokv_types::{BranchId, MountId, NodeId, NsPath, SnapshotName, Version};

pub(crate) const KEYSPACE: Keyspace = SNAPSHOT;
/// What the due keys begin with.
pub(crate) const DUE: &[u8] = &[1];

pub(crate) fn key(mount: MountId, name: &SnapshotName) -> Key {
    Key::from_parts(
        SNAPSHOT,
        &[&[0], &mount.get().to_be_bytes(), name.as_str().as_bytes()],
    )
}

/// What the keys of a mount's snapshots begin with.
pub(crate) fn prefix(mount: MountId) -> Key {
    Key::from_parts(SNAPSHOT, &[&[0], &mount.get().to_be_bytes()])
}

pub(crate) fn due_key(due_millis: u64, mount: MountId, name: &SnapshotName) -> Key {
    Key::from_parts(
        SNAPSHOT,
        &[
            DUE,
            &due_millis.to_be_bytes(),
            &mount.get().to_be_bytes(),
            name.as_str().as_bytes(),
        ],
    )
}

/// What a due key says: when, and whose.
pub(crate) fn due(key: &[u8]) -> Result<(u64, MountId, SnapshotName), Malformed> {
    let flaw = || Malformed {
        offset: 0,
        expected: "a due time, a mount and a name",
        got: format!("{key:02x?}"),
    };
    let millis = key.get(1..9).and_then(|bytes| bytes.try_into().ok());
    let mount = key.get(9..13).and_then(|bytes| bytes.try_into().ok());
    let millis = u64::from_be_bytes(millis.ok_or_else(flaw)?);
    let mount = MountId::new(u32::from_be_bytes(mount.ok_or_else(flaw)?));
    Ok((millis, mount, name_at(key, 13)?))
}

/// The name in the key of a snapshot.
pub(crate) fn name(key: &[u8]) -> Result<SnapshotName, Malformed> {
    name_at(key, 5)
}

fn name_at(key: &[u8], start: usize) -> Result<SnapshotName, Malformed> {
    let text = key
        .get(start..)
        .and_then(|bytes| std::str::from_utf8(bytes).ok());
    text.and_then(|text| SnapshotName::parse(text).ok())
        .ok_or_else(|| Malformed {
            offset: start,
            expected: "the name of a snapshot",
            got: format!("{key:02x?}"),
        })
}

pub(crate) fn encode(snapshot: &Snapshot) -> Bytes {
    let mut encoder = Encoder::new(FORMAT);
    encode_fields(&mut encoder, snapshot);
    encoder.finish()
}

pub(crate) fn decode(name: SnapshotName, bytes: &[u8]) -> Result<Snapshot, Malformed> {
    decode_fields(name, &mut Decoder::new(bytes, FORMAT)?)
}

/// The fields, also in answers.
pub(crate) fn encode_fields(encoder: &mut Encoder, snapshot: &Snapshot) {
    encoder
        .u8(match snapshot.state {
            SnapshotState::Live => 0,
            SnapshotState::Expired => 1,
        })
        .u64(snapshot.directory.as_u64())
        .varint(u64::from(snapshot.branch.get()))
        .u64(snapshot.at.as_u64())
        .varint(snapshot.created_millis)
        .varint(match snapshot.lease {
            Lease::Permanent => 0,
            Lease::Until(millis) => millis,
        })
        .bytes(&snapshot.path.to_bytes());
}

pub(crate) fn decode_fields(
    name: SnapshotName,
    decoder: &mut Decoder<'_>,
) -> Result<Snapshot, Malformed> {
    let state = match decoder.u8("state")? {
        0 => SnapshotState::Live,
        1 => SnapshotState::Expired,
        state => return Err(decoder.malformed("state 0 or 1", state)),
    };
    let directory = NodeId::from_u64(decoder.u64("directory")?);
    let branch = BranchId::new(decoder.varint32("branch")?);
    let at = Version::from_u64(decoder.u64("version")?);
    let created_millis = decoder.varint("created")?;
    let lease = match decoder.varint("lease")? {
        0 => Lease::Permanent,
        millis => Lease::Until(millis),
    };
    let path = NsPath::parse(decoder.bytes("path")?);
    let path = path.map_err(|flaw| decoder.malformed("a path", flaw))?;
    Ok(Snapshot {
        name,
        directory,
        branch,
        path,
        at,
        created_millis,
        lease,
        state,
    })
}
