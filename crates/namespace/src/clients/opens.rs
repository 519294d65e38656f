//! Which nodes are open, and which are about to go.

use crate::spot::Spot;
use nokv_types::{BranchId, NodeId};
use rustc_hash::{FxHashMap, FxHashSet};

/// A node of a branch.
pub(crate) type OpenKey = (BranchId, NodeId);

/// What is open in a store.
#[derive(Default)]
pub(super) struct Opens {
    /// By how many sessions.
    open: FxHashMap<OpenKey, u32>,
    /// Nodes that commands under way take the last name from, or reclaim.
    going: FxHashMap<OpenKey, u32>,
    /// Nodes without a name that stay because they are open: those with a record on disk.
    nameless: FxHashSet<OpenKey>,
}

impl Opens {
    pub(super) fn add(&mut self, key: OpenKey) {
        *self.open.entry(key).or_default() += 1;
    }

    /// One session less has it open; whether it is to be reclaimed now.
    pub(super) fn remove(&mut self, key: OpenKey) -> bool {
        let Some(count) = self.open.get_mut(&key) else {
            return false;
        };
        *count -= 1;
        if *count > 0 {
            return false;
        }
        self.open.remove(&key);
        self.nameless.contains(&key)
    }

    pub(super) fn is_open(&self, key: OpenKey) -> bool {
        self.open.contains_key(&key)
    }

    /// Announces that a command may take a node away, before it is asked whether it is open.
    /// Whoever opens it from now on waits until that is decided.
    pub(super) fn going(&mut self, key: OpenKey) {
        *self.going.entry(key).or_default() += 1;
    }

    /// The command is through, or will not come.
    pub(super) fn gone(&mut self, key: OpenKey) {
        if let Some(count) = self.going.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.going.remove(&key);
            }
        }
    }

    pub(super) fn is_going(&self, key: OpenKey) -> bool {
        self.going.contains_key(&key)
    }

    pub(super) fn set_nameless(&mut self, key: OpenKey) {
        self.nameless.insert(key);
    }

    pub(super) fn forget_nameless(&mut self, key: OpenKey) {
        self.nameless.remove(&key);
    }

    /// Nodes without a name that nobody has open, at most `limit`.
    pub(super) fn closed(&self, limit: usize) -> Vec<OpenKey> {
        let closed = self.nameless.iter().filter(|key| !self.is_open(**key));
        closed.take(limit).copied().collect()
    }
}

/// The key of a spot.
pub(super) const fn key_of(spot: Spot) -> OpenKey {
    (spot.branch, spot.node)
}
