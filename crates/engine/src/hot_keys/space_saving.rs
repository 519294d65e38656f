//! The Space-Saving summary: a fixed number of counters for an unbounded number of keys.
//!
//! Invariants, for a summary of `c` counters that has counted `n` keys since it was made (halving
//! divides all of these alike, to within one):
//! - The counts add up to `n`.
//! - For a key with a counter, `count - error <= true count <= count`.
//! - Every key that was counted more than `n / c` times has a counter.
//! - A counter's memory is bounded: keys longer than [`KEY_BYTES_OBSERVED_MAX`] are not counted at
//!   all.

use xxhash_rust::xxh3::xxh3_64;

/// Longer keys are not observed: the summary's memory stays small whatever the keys are. Names are
/// at most 255 bytes, and the keys that carry them little longer.
pub(super) const KEY_BYTES_OBSERVED_MAX: usize = 512;

/// A key that is asked for often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HotKey {
    /// The key, as it was observed.
    pub key: Vec<u8>,
    /// Samples of the key, recent ones weighing more: at most this, at least `count - error`.
    pub count: u64,
    /// By how much `count` may be too high.
    pub error: u64,
}

/// See the file head.
pub(super) struct SpaceSaving {
    /// Hashes of the keys, apart so that the search reads one dense array.
    hashes: Vec<u64>,
    counters: Vec<HotKey>,
    counter_count: usize,
}

impl SpaceSaving {
    /// A summary of `counter_count` (at least 1) counters.
    pub(super) fn new(counter_count: usize) -> Self {
        Self {
            hashes: Vec::new(),
            counters: Vec::new(),
            counter_count: counter_count.max(1),
        }
    }

    /// Counts one sample of `key`, whose [`hash`] is given.
    pub(super) fn count(&mut self, key: &[u8], hash: u64) {
        let known = |index: &usize| self.hashes[*index] == hash && self.counters[*index].key == key;
        if let Some(index) = (0..self.hashes.len()).find(known) {
            self.counters[index].count += 1;
        } else if self.counters.len() < self.counter_count {
            self.hashes.push(hash);
            self.counters.push(HotKey {
                key: key.to_vec(),
                count: 1,
                error: 0,
            });
        } else {
            self.replace_coldest(key, hash);
        }
    }

    /// The newcomer takes the place of the key with the lowest count and inherits it as its error:
    /// it may have been counted that often before it had a counter.
    fn replace_coldest(&mut self, key: &[u8], hash: u64) {
        let coldest = self.counters.iter_mut().zip(&mut self.hashes);
        let Some((counter, place)) = coldest.min_by_key(|(counter, _)| counter.count) else {
            return;
        };
        *place = hash;
        counter.error = counter.count;
        counter.count += 1;
        counter.key.clear();
        counter.key.extend_from_slice(key);
    }

    /// Halves all counts, so that what was hot long ago makes room.
    pub(super) fn halve(&mut self) {
        for counter in &mut self.counters {
            counter.count /= 2;
            counter.error /= 2;
        }
    }

    /// The keys that have counters, in no order.
    pub(super) fn counters(&self) -> &[HotKey] {
        &self.counters
    }
}

/// The hash that [`SpaceSaving::count`] takes.
pub(super) fn hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::{any, proptest};

    use super::{SpaceSaving, hash};

    proptest! {
        #[test]
        fn counts_are_bounded_and_frequent_keys_are_there(
            keys in vec(vec(0..4_u8, 0..4), 0..600),
            counter_count in 1..20_usize,
            halved in any::<bool>(),
        ) {
            let mut summary = SpaceSaving::new(counter_count);
            let mut truth = BTreeMap::<&[u8], u64>::new();
            for key in &keys {
                summary.count(key, hash(key));
                *truth.entry(key).or_default() += 1;
            }
            let total = keys.len() as u64;
            assert_eq!(summary.counters().iter().map(|counter| counter.count).sum::<u64>(), total);
            assert!(summary.counters().len() <= counter_count);
            for counter in summary.counters() {
                let exact = truth[counter.key.as_slice()];
                assert!(counter.count - counter.error <= exact && exact <= counter.count);
            }
            let has = |key: &[u8]| summary.counters().iter().any(|counter| counter.key == key);
            let rare = total / counter_count as u64;
            assert!(truth.iter().all(|(key, exact)| *exact <= rare || has(key)));
            if halved {
                let counts = |summary: &SpaceSaving| -> Vec<u64> {
                    summary.counters().iter().map(|counter| counter.count).collect()
                };
                let before = counts(&summary);
                summary.halve();
                let halves: Vec<u64> = before.iter().map(|count| count / 2).collect();
                assert_eq!(counts(&summary), halves);
            }
        }
    }
}
