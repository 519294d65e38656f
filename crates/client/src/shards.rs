//! Shards, placement, and the check in steps.

use crate::Client;
use bytes::Bytes;
use nokv_namespace::{Changed, Placed, Placement, ShardStatus, Target};
use nokv_proto::v1::{self, request::Method, response::Result as Answer};
use nokv_server::wire;
use nokv_types::{Failure, NsPath, Version};

/// Takes the answer of one method.
macro_rules! pick {
    ($kind:ident) => {
        |answer| match answer {
            Answer::$kind(answer) => Some(answer),
            _ => None,
        }
    };
}

/// One thing that does not fit, and what mends it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What kind of thing, as `WrongLinks`.
    pub kind: String,
    /// What and where, in one line.
    pub message: String,
    /// What mends it, to be given to [`Client::repair`] as it is; empty when nothing says how.
    pub repair: Bytes,
    /// The same in words.
    pub action: String,
}

/// What one step of a check found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckedStep {
    /// The version that was looked at.
    pub version: Version,
    /// Nodes of any kind.
    pub nodes: u64,
    /// Entries of directories.
    pub entries: u64,
    /// Bodies out of sight that are not reclaimed yet.
    pub dead_bodies: u64,
    /// Blocks with references.
    pub blocks: u64,
    /// What does not fit, the first 10,000.
    pub findings: Vec<Finding>,
    /// Where the check goes on; `None`: it is done.
    pub next: Option<String>,
}

/// The store's shards.
impl Client {
    /// The shards, in order of their numbers.
    pub async fn shards(&self) -> Result<Vec<ShardStatus>, Failure> {
        let method = Method::ListShards(v1::ListShardsRequest {});
        let answer = self.shared.transport.call(method, pick!(Shards)).await?;
        answer.shards.iter().map(wire::shard).collect()
    }

    /// Raises the number of shards, while the store is used. **Errors**: `InvalidArgument`.
    pub async fn add_shards(&self, count: u16) -> Result<Vec<ShardStatus>, Failure> {
        let method = Method::AddShards(v1::AddShardsRequest {
            count: u32::from(count),
        });
        let answer = self.shared.transport.call(method, pick!(Shards)).await?;
        answer.shards.iter().map(wire::shard).collect()
    }

    /// Where directories go that are made in a directory. **Errors**: as a look-up;
    /// `NotDirectory`.
    pub async fn placement(&self, directory: &NsPath) -> Result<Placed, Failure> {
        let method = Method::GetPlacement(v1::GetPlacementRequest {
            view: Some(self.view_to_wire()),
            directory: Some(wire::target_to_wire(Target::Path(directory))),
        });
        let transport = &self.shared.transport;
        wire::placed(&transport.call(method, pick!(Placement)).await?)
    }

    /// Sets where they go from now on; `None`: where the mount says. **Errors**: as a look-up;
    /// `NotDirectory`.
    pub async fn set_placement(
        &self,
        directory: &NsPath,
        placement: Option<Placement>,
    ) -> Result<Changed, Failure> {
        let method = Method::SetPlacement(v1::SetPlacementRequest {
            context: Some(self.context()),
            directory: Some(wire::target_to_wire(Target::Path(directory))),
            placement: wire::placement_to_wire(placement),
        });
        self.change(method).await
    }

    /// Sets where directories of a mount go whose parent says nothing. **Errors**: `NotFound`.
    pub async fn set_mount_placement(
        &self,
        mount: &str,
        placement: Placement,
    ) -> Result<(), Failure> {
        let method = Method::SetMountPlacement(v1::SetMountPlacementRequest {
            mount: mount.to_owned(),
            placement: wire::placement_to_wire(Some(placement)),
        });
        let transport = &self.shared.transport;
        transport
            .call(method, pick!(SetMountPlacement))
            .await
            .map(drop)
    }

    /// One step of a check, from a cursor on; empty: from the beginning.
    ///
    /// **Errors**: `Corrupt` when a record can't be read at all; `InvalidArgument` (cursor).
    pub async fn check_step(&self, cursor: &str) -> Result<CheckedStep, Failure> {
        let method = Method::CheckStep(v1::CheckStepRequest {
            cursor: cursor.to_owned(),
            limit: 0,
        });
        let step = self.shared.transport.call(method, pick!(CheckStep)).await?;
        let finding = |finding: v1::Finding| Finding {
            kind: finding.kind,
            message: finding.message,
            repair: finding.repair,
            action: finding.action,
        };
        Ok(CheckedStep {
            version: Version::from_u64(step.version),
            nodes: step.nodes,
            entries: step.entries,
            dead_bodies: step.dead_bodies,
            blocks: step.blocks,
            findings: step.findings.into_iter().map(finding).collect(),
            next: Some(step.next).filter(|next| !next.is_empty()),
        })
    }

    /// Applies repairs as they were found; the version of each, `None` where the state has moved
    /// since and nothing was done.
    ///
    /// **Errors**: `InvalidArgument` for what is no repair; as mutations.
    pub async fn repair(&self, repairs: Vec<Bytes>) -> Result<Vec<Option<Version>>, Failure> {
        let method = Method::Repair(v1::RepairRequest {
            context: Some(self.context()),
            repairs,
        });
        let answer = self.shared.transport.call(method, pick!(Repair)).await?;
        let version = |version: u64| (version > 0).then(|| Version::from_u64(version));
        Ok(answer.versions.into_iter().map(version).collect())
    }
}
