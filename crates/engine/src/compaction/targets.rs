//! How large each level should be, from how large the last one is.
//!
//! Fixed targets (256 MiB, 2.5 GiB, ...) would let a store of 300 MiB have nearly all of its data
//! twice. Targets that follow the last level keep what is above it near a ninth. Source: dynamic
//! level targets, Dong et al., CIDR 2017.

use super::plan::LevelsView;

/// Each level is this many times as large as the one above.
pub(crate) const SIZE_RATIO: u64 = 10;

/// Targets of the levels.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Targets {
    /// Where level 0 goes: levels between are empty.
    pub(crate) base: usize,
    /// Bytes; 0 for levels above the base.
    pub(crate) bytes: Vec<u64>,
}

impl Targets {
    pub(crate) fn of(view: &LevelsView<'_>, level_base_bytes: u64) -> Self {
        let last = view.last();
        let first = (1..last)
            .find(|level| !view.level(*level).is_empty())
            .unwrap_or(last);
        let largest = (1..=last)
            .map(|level| view.level_bytes(level))
            .max()
            .unwrap_or(0);
        let base_min = (level_base_bytes / SIZE_RATIO).max(1);
        let mut base = first;
        let mut base_bytes = (first..last).fold(largest, |bytes, _| bytes / SIZE_RATIO);
        while base > 1 && base_bytes > level_base_bytes {
            base -= 1;
            base_bytes /= SIZE_RATIO;
        }
        let mut bytes = vec![0; last + 1];
        let mut target = base_bytes.max(base_min);
        for slot in bytes.iter_mut().skip(base) {
            *slot = target;
            target = target.saturating_mul(SIZE_RATIO);
        }
        Self { base, bytes }
    }

    pub(crate) fn bytes(&self, level: usize) -> u64 {
        self.bytes.get(level).copied().unwrap_or(u64::MAX)
    }
}
