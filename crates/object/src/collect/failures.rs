//! Fairness: what failed is tried after what did not.
//!
//! Invariant: bounded. What fails while the memory is full is not remembered and may be tried first
//! again.

use std::{collections::HashMap, hash::Hash};

/// Failures remembered of each kind. A store with more of them has another problem, and loses only
/// fairness.
const FAILURES_MAX: usize = 8_192;

/// How often things failed.
#[derive(Debug)]
pub(super) struct Failures<K> {
    counts: HashMap<K, u32>,
}

impl<K> Default for Failures<K> {
    fn default() -> Self {
        Self {
            counts: HashMap::new(),
        }
    }
}

impl<K: Hash + Eq + Copy> Failures<K> {
    /// How many things failed and did not succeed since: a page that is longer by this has room for
    /// others.
    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }

    pub(super) fn failed(&mut self, key: K) {
        if let Some(count) = self.counts.get_mut(&key) {
            *count = count.saturating_add(1);
        } else if self.counts.len() < FAILURES_MAX {
            self.counts.insert(key, 1);
        }
    }

    pub(super) fn succeeded(&mut self, key: &K) {
        self.counts.remove(key);
    }

    /// Puts what failed least often first, in the order that it had otherwise.
    pub(super) fn sort(&self, keys: &mut [K]) {
        if !self.counts.is_empty() {
            keys.sort_by_key(|key| self.counts.get(key).copied().unwrap_or(0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_goes_last_and_comes_back() {
        let mut failures = Failures::default();
        failures.failed(1);
        failures.failed(1);
        failures.failed(2);
        let sorted = |failures: &Failures<u32>| {
            let mut keys = vec![1, 2, 3, 4];
            failures.sort(&mut keys);
            keys
        };
        assert_eq!(sorted(&failures), [3, 4, 2, 1]);
        failures.succeeded(&1);
        assert_eq!((sorted(&failures), failures.len()), (vec![1, 3, 4, 2], 1));
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut failures = Failures::default();
        (0..FAILURES_MAX + 10).for_each(|key| failures.failed(key));
        assert_eq!(failures.len(), FAILURES_MAX);
    }
}
