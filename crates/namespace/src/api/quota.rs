//! Quotas: limits of what a directory may hold.

use nokv_types::{NodeId, NsPath, Version};

/// What may be held below a directory. `None` limits nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct QuotaLimits {
    /// Bytes of the bodies of files and symbolic links.
    pub bytes: Option<u64>,
    /// Names.
    pub inodes: Option<u64>,
}

/// What is held below a directory.
///
/// Everything below counts, however deep, the directory itself does not. Each *name* counts: a file
/// with several names in the subtree counts with each, so that removing a name always gives room
/// and moving a directory moves exactly what is in it. What was removed with a whole tree counts
/// until it has been taken apart in the background.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct QuotaUsage {
    /// Bytes of the bodies of files and symbolic links, holes included.
    pub bytes: u64,
    /// Names of any kind.
    pub inodes: u64,
}

/// A quota.
///
/// **Guarantees**: no command ever leaves more than the limits below the directory, under any
/// number of writers, except what was there when the limit was set, which can then only shrink.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quota {
    /// The directory.
    pub directory: NodeId,
    /// Where it is; `None` in a removed tree.
    pub path: Option<NsPath>,
    /// What it may hold.
    pub limits: QuotaLimits,
    /// What it holds.
    pub usage: QuotaUsage,
    /// Whether what was there is still being counted: limits hold when that is done.
    pub state: QuotaState,
}

/// Whether a quota is in force.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QuotaState {
    /// What was there is being counted, or whoever did was interrupted: set it again.
    Counting,
    /// It is.
    Active,
}

/// A recount of a quota.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QuotaCheck {
    /// The version that was looked at.
    pub version: Version,
    /// What the counters say.
    pub counted: QuotaUsage,
    /// What is there.
    pub recounted: QuotaUsage,
}

/// What room there is, as statfs(2) asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Room {
    /// The tightest limit of bytes at or above, and what is left of it; `None`: none.
    pub bytes: Option<Left>,
    /// The same for names.
    pub inodes: Option<Left>,
}

/// A limit, and what is left of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Left {
    /// The limit.
    pub limit: u64,
    /// What may be added.
    pub free: u64,
}
