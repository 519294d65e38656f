//! Branches, differences, merges.

use crate::Client;
use nokv_namespace::{Branch, DiffPage, MergeRun, Merged, OnConflict, Place, Removed, Target};
use nokv_proto::present;
use nokv_proto::v1::{self, request::Method, response::Result as Answer};
use nokv_server::wire;
use nokv_types::{AsOf, Failure, NodeId, NsPath, Version};

/// Takes the answer of one method.
macro_rules! pick {
    ($kind:ident) => {
        |answer| match answer {
            Answer::$kind(answer) => Some(answer),
            _ => None,
        }
    };
}

/// What a merge came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MergeAnswer {
    /// What it came to; with the first of the conflicts if there are very many.
    pub merged: Merged,
    /// How many conflicts there are.
    pub conflict_count: u64,
}

/// Branches of the client's mount.
impl Client {
    /// Makes a branch of a directory as of a moment and hangs it under a free name, in a time that
    /// does not depend on what it holds.
    ///
    /// **Errors**: `AlreadyExists`; `NotFound`, `NotDirectory` as of the moment; `Compacted`;
    /// `SnapshotExpired`; `TooLarge` for a branch of a branch of 16.
    pub async fn create_branch(
        &self,
        source: &NsPath,
        place: &NsPath,
        moment: Option<&AsOf>,
    ) -> Result<Branch, Failure> {
        let method = Method::CreateBranch(v1::CreateBranchRequest {
            context: Some(self.context()),
            source: Some(target(source)),
            place: Some(wire::place_to_wire(Place::Path(place))),
            moment: Some(wire::moment_to_wire(moment)),
        });
        let made = self.shared.transport.call(method, pick!(Branch)).await?;
        wire::branch(present("branch", made.branch)?)
    }

    /// The branches of the mount in order of their making.
    pub async fn branches(&self) -> Result<Vec<Branch>, Failure> {
        let method = Method::ListBranches(v1::ListBranchesRequest {
            mount: self.view.mount.get(),
        });
        let transport = &self.shared.transport;
        let listed = transport.call(method, pick!(ListBranches)).await?;
        listed.branches.into_iter().map(wire::branch).collect()
    }

    /// Removes a branch; what only it could see becomes garbage.
    ///
    /// **Errors**: `NotFound`; `InvalidArgument` when the place is no branch.
    pub async fn remove_branch(&self, place: &NsPath) -> Result<Removed, Failure> {
        let method = Method::RemoveBranch(v1::RemoveBranchRequest {
            context: Some(self.context()),
            place: Some(wire::place_to_wire(Place::Path(place))),
        });
        let removed = self.shared.transport.call(method, pick!(Remove)).await?;
        Ok(Removed {
            version: Version::from_u64(removed.version),
            node: NodeId::from_u64(removed.node),
        })
    }

    /// A page of the differences of the directory `to`, as another client of the same store reads
    /// it, from the directory `from`, as this one does; leaving out the first `after`. To continue,
    /// ask with both clients at the versions of the first page.
    ///
    /// **Errors**: as [`Client::lookup`]; `NotDirectory`; `InvalidArgument` for two mounts;
    /// `TooLarge` for more than 1,048,576 differences.
    pub async fn diff(
        &self,
        from: &NsPath,
        (other, to): (&Self, &NsPath),
        after: u64,
    ) -> Result<DiffPage, Failure> {
        let method = Method::Diff(v1::DiffRequest {
            from_view: Some(self.view_to_wire()),
            from: Some(target(from)),
            to_view: Some(other.view_to_wire()),
            to: Some(target(to)),
            after,
            limit: 0,
        });
        wire::diff_page(self.shared.transport.call(method, pick!(Diff)).await?)
    }

    /// Merges a branch into the directory that it was made from, in one command. Afterwards the
    /// branch shows what the directory shows, and goes on.
    ///
    /// **Errors**: as [`Client::lookup`]; `InvalidArgument` when `source` is no branch or `into`
    /// not what it was made from; `TooLarge` for more than 65,536 changes. Conflicts are in the
    /// answer.
    pub async fn merge(
        &self,
        source: &NsPath,
        into: &NsPath,
        on_conflict: OnConflict,
        run: MergeRun,
    ) -> Result<MergeAnswer, Failure> {
        let method = Method::Merge(v1::MergeRequest {
            context: Some(self.context()),
            source: Some(target(source)),
            target: Some(target(into)),
            on_conflict: wire::on_conflict_to_wire(on_conflict).into(),
            dry_run: run == MergeRun::DryRun,
        });
        let answer = self.shared.transport.call(method, pick!(Merge)).await?;
        let (merged, conflict_count) = wire::merged(answer)?;
        Ok(MergeAnswer {
            merged,
            conflict_count,
        })
    }
}

fn target(path: &NsPath) -> v1::Target {
    wire::target_to_wire(Target::Path(path))
}
