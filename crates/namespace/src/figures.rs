//! What a namespace counts of its own work, for operators.

use crate::Namespace;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the namespace was opened, and how many mounts there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// Operations that were planned again because the state had changed.
    pub retries: u64,
    /// Operations that were given up after many plans.
    pub exhausted: u64,
    /// Directories that were found by path in memory.
    pub path_hits: u64,
    /// Directories that were walked to.
    pub path_misses: u64,
    /// Changes for which the quotas of a directory were asked.
    pub quota_checks: u64,
    /// Changes that a quota refused.
    pub quota_rejects: u64,
    /// Directories whose quotas were in memory.
    pub quota_hits: u64,
    /// Directories whose quotas were read.
    pub quota_misses: u64,
    /// Additions to the usage of a quota that were planned.
    pub quota_charges: u64,
    /// Quotas that were begun, or changed.
    pub quota_begins: u64,
    /// Operations that named a mount, all of which are in memory.
    pub mount_hits: u64,
    /// Operations that named a mount that does not exist.
    pub mount_rejects: u64,
    /// Mounts.
    pub mounts: u64,
}

/// The counters.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) retries: Count,
    pub(crate) exhausted: Count,
    pub(crate) path_hits: Count,
    pub(crate) path_misses: Count,
    pub(crate) quota_checks: Count,
    pub(crate) quota_rejects: Count,
    pub(crate) quota_hits: Count,
    pub(crate) quota_misses: Count,
    pub(crate) quota_charges: Count,
    pub(crate) quota_begins: Count,
    pub(crate) mount_hits: Count,
    pub(crate) mount_rejects: Count,
}

/// One counter.
#[derive(Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    /// One more.
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Namespace {
    /// What was counted so far.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let counts = &self.inner.paths.counts;
        Figures {
            retries: counts.retries.get(),
            exhausted: counts.exhausted.get(),
            path_hits: counts.path_hits.get(),
            path_misses: counts.path_misses.get(),
            quota_checks: counts.quota_checks.get(),
            quota_rejects: counts.quota_rejects.get(),
            quota_hits: counts.quota_hits.get(),
            quota_misses: counts.quota_misses.get(),
            quota_charges: counts.quota_charges.get(),
            quota_begins: counts.quota_begins.get(),
            mount_hits: counts.mount_hits.get(),
            mount_rejects: counts.mount_rejects.get(),
            mounts: self.mounts().len() as u64,
        }
    }
}
