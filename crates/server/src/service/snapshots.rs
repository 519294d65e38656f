//! Snapshots.

use super::changes::context;
use super::store::Inner;
use crate::wire;
use nokv_namespace::{NewSnapshot, Snapshot};
use nokv_proto::v1::{self, response::Result as Answer};
use nokv_proto::version_from_wire;
use nokv_types::{Failure, MountId, SnapshotName};

pub(super) fn create(inner: &Inner, ask: v1::CreateSnapshotRequest) -> Result<Answer, Failure> {
    let context = context(inner, ask.context)?;
    let directory = wire::target("directory", ask.directory)?;
    let new = NewSnapshot {
        name: SnapshotName::parse(&ask.name)?,
        at: version_from_wire(ask.at),
        lease_ms: wire::lease_ms(ask.lease_ms),
    };
    inner
        .namespace
        .create_snapshot(&context, &directory, new)
        .map(answer)
}

pub(super) fn renew(inner: &Inner, ask: v1::RenewSnapshotRequest) -> Result<Answer, Failure> {
    let context = context(inner, ask.context)?;
    let name = SnapshotName::parse(&ask.name)?;
    inner
        .namespace
        .renew_snapshot(&context, &name, wire::lease_ms(ask.lease_ms))
        .map(answer)
}

pub(super) fn remove(inner: &Inner, ask: v1::RemoveSnapshotRequest) -> Result<Answer, Failure> {
    let context = context(inner, ask.context)?;
    let name = SnapshotName::parse(&ask.name)?;
    inner.namespace.remove_snapshot(&context, &name).map(answer)
}

pub(super) fn list(inner: &Inner, ask: v1::ListSnapshotsRequest) -> Result<Answer, Failure> {
    let mount = inner.mount_or_default(MountId::new(ask.mount));
    let snapshots = inner.namespace.snapshots(mount)?;
    let snapshots = snapshots.iter().map(wire::snapshot_to_wire).collect();
    Ok(Answer::ListSnapshots(v1::ListSnapshotsResponse {
        snapshots,
    }))
}

fn answer(snapshot: Snapshot) -> Answer {
    Answer::Snapshot(v1::SnapshotResponse {
        snapshot: Some(wire::snapshot_to_wire(&snapshot)),
    })
}
