//! Which reads must stay exact: the one rule that pruning follows.

use crate::{
    Retention,
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
