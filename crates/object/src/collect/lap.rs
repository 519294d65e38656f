//! Going round a list, a page at a time, over as many rounds as it takes.
//!
//! Invariants:
//! - a lap meets each key that stays in the list once, beginning where the lap before was broken
//!   off, so nothing waits behind what can't be done;
//! - its memory is two keys, however much can't be done.

/// A lap under way. Keys come in ascending order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lap<K> {
    /// Where it began; `None` for the beginning of the list.
    start: Option<K>,
    after: Option<K>,
    has_wrapped: bool,
    is_over: bool,
}

impl<K: Ord + Copy> Lap<K> {
    /// A lap that begins after `start`.
    pub(super) fn from(start: Option<K>) -> Self {
        Self {
            start,
            after: start,
            has_wrapped: false,
            is_over: false,
        }
    }

    /// The key after which the next page begins.
    pub(super) fn after(&self) -> Option<K> {
        self.after
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Where the next lap begins.
    pub(super) fn place(&self) -> Option<K> {
        self.after.filter(|_| !self.is_over)
    }

    /// Notes a page that was asked for with `limit`; removes what the lap had at its beginning.
    pub(super) fn note(&mut self, page: &mut Vec<K>, limit: usize) {
        let is_last = page.len() < limit;
        if let (true, Some(start)) = (self.has_wrapped, self.start) {
            let end = page.partition_point(|key| *key <= start);
            self.is_over = end < page.len();
            page.truncate(end);
        }
        self.after = page.last().copied().or(self.after);
        if is_last && !self.is_over {
            self.is_over = self.has_wrapped || self.start.is_none();
            self.has_wrapped = true;
            self.after = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn a_lap_meets_each_key_once(
            keys in proptest::collection::btree_set(0..50_u32, 0..20),
            start in proptest::option::of(0..50_u32),
            limit in 1..6_usize,
        ) {
            let mut lap = Lap::from(start);
            let mut met = Vec::new();
            while !lap.is_over() {
                let rest = keys.iter().filter(|key| lap.after().is_none_or(|after| **key > after));
                let mut page: Vec<_> = rest.copied().take(limit).collect();
                lap.note(&mut page, limit);
                met.extend(page);
            }
            prop_assert_eq!(met.len(), keys.len());
            prop_assert_eq!(lap.place(), None);
            let first = met.first().copied();
            let after = |key: &&u32| start.is_none_or(|start| **key > start);
            prop_assert_eq!(first, keys.iter().find(after).or(keys.first()).copied());
            prop_assert_eq!(met.into_iter().collect::<BTreeSet<_>>(), keys);
        }
    }
}
