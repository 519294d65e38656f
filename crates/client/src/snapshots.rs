//! Snapshots.

use crate::Client;
use nokv_namespace::{NewSnapshot, Snapshot, Target};
use nokv_proto::present;
use nokv_proto::v1::{self, request::Method, response::Result as Answer};
use nokv_server::wire;
use nokv_types::{AsOf, Failure, NsPath, SnapshotName, Version};

/// Snapshots. Names are of the client's mount.
impl Client {
    /// The same client reading a snapshot. Reads fail with `SnapshotExpired` when its lease is
    /// over, with `NotFound` when there is none. Changes still apply to the newest state.
    #[must_use]
    pub fn at_snapshot(&self, name: SnapshotName) -> Self {
        let mut client = self.clone();
        client.view.at = None;
        client.snapshot = Some(name);
        client
    }

    /// The same client reading as of a moment.
    #[must_use]
    pub fn as_of(&self, moment: AsOf) -> Self {
        match moment {
            AsOf::Version(version) => self.at(version),
            AsOf::Snapshot(name) => self.at_snapshot(name),
        }
    }

    /// Gives a directory as of a version a name, in a time that does not depend on what it holds.
    ///
    /// **Errors**: `AlreadyExists`; `NotFound`, `NotDirectory` as of the version; `Compacted`;
    /// `InvalidArgument`.
    pub async fn create_snapshot(
        &self,
        directory: &NsPath,
        new: &NewSnapshot,
    ) -> Result<Snapshot, Failure> {
        self.snapshot_call(Method::CreateSnapshot(v1::CreateSnapshotRequest {
            context: Some(self.context()),
            directory: Some(wire::target_to_wire(Target::Path(directory))),
            name: new.name.as_str().to_owned(),
            at: new.at.map_or(0, Version::as_u64),
            lease_ms: new.lease_ms.unwrap_or(0),
        }))
        .await
    }

    /// Lets a snapshot live until now plus `lease_ms`, never shorter; `None` makes it permanent.
    ///
    /// **Errors**: `NotFound`, `SnapshotExpired`, `InvalidArgument`.
    pub async fn renew_snapshot(
        &self,
        name: &SnapshotName,
        lease_ms: Option<u64>,
    ) -> Result<Snapshot, Failure> {
        self.snapshot_call(Method::RenewSnapshot(v1::RenewSnapshotRequest {
            context: Some(self.context()),
            name: name.as_str().to_owned(),
            lease_ms: lease_ms.unwrap_or(0),
        }))
        .await
    }

    /// Removes a snapshot. What only it could see becomes garbage. **Errors**: `NotFound`.
    pub async fn remove_snapshot(&self, name: &SnapshotName) -> Result<Snapshot, Failure> {
        self.snapshot_call(Method::RemoveSnapshot(v1::RemoveSnapshotRequest {
            context: Some(self.context()),
            name: name.as_str().to_owned(),
        }))
        .await
    }

    /// The snapshots of the mount in order of their names, those that expired lately too.
    pub async fn snapshots(&self) -> Result<Vec<Snapshot>, Failure> {
        let ask = v1::ListSnapshotsRequest {
            mount: self.view.mount.get(),
        };
        let pick = |answer| match answer {
            Answer::ListSnapshots(answer) => Some(answer),
            _ => None,
        };
        let method = Method::ListSnapshots(ask);
        let listed = self.shared.transport.call(method, pick).await?;
        listed.snapshots.into_iter().map(wire::snapshot).collect()
    }

    async fn snapshot_call(&self, method: Method) -> Result<Snapshot, Failure> {
        let pick = |answer| match answer {
            Answer::Snapshot(answer) => Some(answer),
            _ => None,
        };
        let answer = self.shared.transport.call(method, pick).await?;
        wire::snapshot(present("snapshot", answer.snapshot)?)
    }
}
