//! Who asks, in which mount and branch, and as of when.

use crate::failure::invalid;
use nokv_shard::Durability;
use nokv_types::{BranchId, Failure, Generation, MountId, RequestId, TimeNanos, Version};

/// Where and when a read looks.
///
/// **Guarantees**: one call reads at one version. With `at: None` that is the newest applied one;
/// pass the version that a first answer carries to later calls to read the same state again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct View {
    /// The namespace.
    pub mount: MountId,
    /// The layer of it; [`BranchId::TRUNK`] unless told.
    pub branch: BranchId,
    /// As of which version; `None` for the newest.
    pub at: Option<Version>,
}

impl View {
    /// The newest state of a mount's trunk.
    #[must_use]
    pub const fn latest(mount: MountId) -> Self {
        Self {
            mount,
            branch: BranchId::TRUNK,
            at: None,
        }
    }

    /// The same view as of `version`.
    #[must_use]
    pub const fn at(self, version: Version) -> Self {
        Self {
            at: Some(version),
            ..self
        }
    }
}

/// Who changes what, and how surely.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Context {
    /// The namespace.
    pub mount: MountId,
    /// The layer of it; [`BranchId::TRUNK`] unless told.
    pub branch: BranchId,
    /// Makes the mutation idempotent: the same id again (within the window of
    /// [`crate::Options::log`]) returns the first answer and changes nothing; with other
    /// arguments it fails with `RequestReused`.
    pub request: Option<RequestId>,
    /// Fail with `StaleGeneration` unless the node that the change acts on has a body of this
    /// generation: what is removed, moved, linked or changed. What is made has none before. A
    /// change that acts on no single node fails with `InvalidArgument`.
    pub expect: Option<Generation>,
    /// Owner of what is created.
    pub uid: u32,
    /// Group of what is created.
    pub gid: u32,
    /// Whether the call returns when the change is ordered, or when it is on disk.
    pub durability: Durability,
    /// The time that attributes get.
    pub now: TimeNanos,
}

impl Context {
    /// A context of the super-user on a mount's trunk: synced, without a request id.
    #[must_use]
    pub const fn new(mount: MountId, now: TimeNanos) -> Self {
        Self {
            mount,
            branch: BranchId::TRUNK,
            request: None,
            expect: None,
            uid: 0,
            gid: 0,
            durability: Durability::Synced,
            now,
        }
    }

    /// Refuses an expectation where no single node is acted on.
    pub(crate) fn expects_nothing(&self) -> Result<(), Failure> {
        match self.expect {
            None => Ok(()),
            Some(_) => Err(invalid(
                "this change acts on no single file, whose generation could be expected",
            )),
        }
    }

    /// The view that sees the newest state of what this context changes.
    #[must_use]
    pub const fn view(&self) -> View {
        View {
            mount: self.mount,
            branch: self.branch,
            at: None,
        }
    }
}
