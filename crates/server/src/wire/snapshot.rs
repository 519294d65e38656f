//! Snapshots.

use nokv_namespace::{Lease, Snapshot, SnapshotState};
use nokv_proto::{path_from_wire, v1};
use nokv_types::{BranchId, Failure, NodeId, SnapshotName, Version};

/// A snapshot for the wire.
#[must_use]
pub fn snapshot_to_wire(snapshot: &Snapshot) -> v1::Snapshot {
    v1::Snapshot {
        name: snapshot.name.as_str().to_owned(),
        directory: snapshot.directory.as_u64(),
        path: snapshot.path.to_bytes().into(),
        at: snapshot.at.as_u64(),
        created_ms: snapshot.created_millis,
        lease_end_ms: match snapshot.lease {
            Lease::Permanent => 0,
            Lease::Until(millis) => millis,
        },
        expired: snapshot.state == SnapshotState::Expired,
        branch: snapshot.branch.get(),
    }
}

/// A snapshot from the wire. **Errors**: those of a name and a path.
pub fn snapshot(message: v1::Snapshot) -> Result<Snapshot, Failure> {
    Ok(Snapshot {
        name: SnapshotName::parse(&message.name)?,
        directory: NodeId::from_u64(message.directory),
        branch: BranchId::new(message.branch),
        path: path_from_wire(&message.path)?,
        at: Version::from_u64(message.at),
        created_millis: message.created_ms,
        lease: match message.lease_end_ms {
            0 => Lease::Permanent,
            millis => Lease::Until(millis),
        },
        state: match message.expired {
            true => SnapshotState::Expired,
            false => SnapshotState::Live,
        },
    })
}

/// A lease's length: 0 is permanent.
#[must_use]
pub fn lease_ms(lease_ms: u64) -> Option<u64> {
    (lease_ms != 0).then_some(lease_ms)
}
