//! Which reads must stay exact: the one rule that pruning follows.

use crate::{
    Keyspace, Retention,
    plant::{Plant, is_planted},
};

/// The retained reads: at each pin, and at every version from the horizon on.
#[derive(Clone, Debug)]
pub(crate) struct Keep {
    horizon: u64,
    /// Ascending.
    pins: Vec<u64>,
}

impl Keep {
    pub(crate) fn new(retention: &Retention) -> Self {
        let mut pins: Vec<u64> = retention.pins.iter().map(|pin| pin.as_u64()).collect();
        if is_planted(Plant::ForgetPins) {
            pins.clear();
        }
        pins.sort_unstable();
        Self {
            horizon: retention.horizon.as_u64(),
            pins,
        }
    }

    /// The same without pins.
    fn unpinned(&self) -> Self {
        Self {
            horizon: self.horizon,
            pins: Vec::new(),
        }
    }

    pub(crate) fn horizon(&self) -> u64 {
        self.horizon
    }

    /// Whether a retained read is at a version in `from..until`; no `until` means forever.
    #[inline]
    pub(crate) fn is_read(&self, from: u64, until: Option<u64>) -> bool {
        let Some(until) = until else {
            return true;
        };
        if until > self.horizon.max(from) {
            return true;
        }
        let next = self.pins.partition_point(|pin| *pin < from);
        self.pins.get(next).is_some_and(|pin| *pin < until)
    }
}

/// The rule for every key: pins do not hold keyspaces from one on.
#[derive(Clone, Debug)]
pub(crate) struct Keeps {
    pinned: Keep,
    unpinned: Keep,
    unpinned_from: Option<u8>,
}

impl Keeps {
    pub(crate) fn new(retention: &Retention, unpinned_from: Option<Keyspace>) -> Self {
        let pinned = Keep::new(retention);
        Self {
            unpinned: pinned.unpinned(),
            pinned,
            unpinned_from: unpinned_from.map(Keyspace::get),
        }
    }

    /// The rule for an internal key.
    #[inline]
    pub(crate) fn of(&self, key: &[u8]) -> &Keep {
        match (self.unpinned_from, key.first()) {
            (Some(from), Some(keyspace)) if *keyspace >= from => &self.unpinned,
            _ => &self.pinned,
        }
    }
}
