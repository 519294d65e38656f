//! Which nodes changed lately, so that an answer that was read before a change is not believed
//! after it.
//!
//! An operation notes the count when it begins; a change raises the count and stamps the node's
//! slot *before* the kernel is told. When the operation has answered and finds a stamp after its
//! beginning, what it answered may be older than what the kernel was told, and the kernel is told
//! again. Slots are shared by nodes of one hash: that costs a needless word to the kernel, never a
//! missing one.

use nokv_types::{NodeId, Version};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

/// Slots: with a hundred changes under way, one answer in eighty is told of twice.
const SLOTS: usize = 8192;
/// Versions of this mount's own changes that the watch has not passed yet; beyond it the oldest are
/// forgotten, and the kernel is told of changes that it made itself.
const OWN_MAX: usize = 65_536;

/// The record of changes.
pub(crate) struct Changed {
    count: AtomicU64,
    slots: Box<[AtomicU64]>,
    own: Mutex<Own>,
}

#[derive(Default)]
struct Own {
    versions: BTreeSet<Version>,
    /// Everything up to here has been told to the kernel.
    told: Version,
}

/// A beginning.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Since(u64);

impl Since {
    /// Before everything.
    pub(crate) const NEVER: Self = Self(0);
}

impl Changed {
    pub(crate) fn new() -> Self {
        Self {
            count: AtomicU64::new(1),
            slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            own: Mutex::default(),
        }
    }

    fn slot(&self, node: NodeId) -> &AtomicU64 {
        let spread = node.as_u64().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        &self.slots[spread as usize % SLOTS]
    }

    /// Begins.
    pub(crate) fn since(&self) -> Since {
        Since(self.count.load(Ordering::Acquire))
    }

    /// Notes a change, before the kernel is told.
    pub(crate) fn stamp(&self, node: NodeId) {
        let count = self.count.fetch_add(1, Ordering::AcqRel) + 1;
        self.slot(node).fetch_max(count, Ordering::AcqRel);
    }

    /// Whether a node may have changed since.
    pub(crate) fn is_after(&self, node: NodeId, since: Since) -> bool {
        self.slot(node).load(Ordering::Acquire) > since.0
    }

    /// Notes the version of a change that this mount made: the kernel knows of it.
    pub(crate) fn own(&self, version: Version) {
        let mut own = self.own.lock();
        if version > own.told {
            own.versions.insert(version);
            if own.versions.len() > OWN_MAX {
                own.versions.pop_first();
            }
        }
    }

    /// Whether this mount made a change.
    pub(crate) fn is_own(&self, version: Version) -> bool {
        self.own.lock().versions.contains(&version)
    }

    /// Notes that the kernel has been told of everything up to a version.
    pub(crate) fn told(&self, through: Version) {
        let mut own = self.own.lock();
        own.told = own.told.max(through);
        let later = own.versions.split_off(&through);
        own.versions = later;
        own.versions.remove(&through);
    }

    /// Whether the kernel knows of a change: it made it, or was told.
    pub(crate) fn is_known(&self, version: Version) -> bool {
        let own = self.own.lock();
        version <= own.told || own.versions.contains(&version)
    }
}

#[cfg(test)]
mod tests {
    use super::Changed;
    use nokv_types::{NodeId, Version};

    #[test]
    fn what_changed_since_is_seen() {
        let changed = Changed::new();
        let node = NodeId::from_u64(7);
        let before = changed.since();
        assert!(!changed.is_after(node, before));
        changed.stamp(node);
        assert!(changed.is_after(node, before));
        assert!(!changed.is_after(node, changed.since()));
    }

    #[test]
    fn own_changes_are_known_until_the_watch_has_passed_them() {
        let changed = Changed::new();
        let version = Version::from_u64;
        changed.own(version(10));
        changed.own(version(12));
        assert!(changed.is_own(version(10)) && changed.is_known(version(12)));
        assert!(!changed.is_known(version(11)));
        changed.told(version(11));
        assert!(changed.is_known(version(11)) && !changed.is_own(version(10)));
        assert!(changed.is_own(version(12)));
        changed.own(version(5));
        assert!(!changed.is_own(version(5)), "that is past");
    }
}
