//! Range tombstones of one memtable or one table, cut into fragments that do not overlap.
//!
//! Purpose: "which is the newest deletion at or below `at` that covers this key" in logarithmic
//! time, however many ranges overlap.
//!
//! Invariant: fragments are disjoint, not empty, and the versions of each are ascending and
//! distinct.

use std::{collections::BTreeMap, ops::Bound};

use crate::entry::RangeTombstone;

/// A set of range tombstones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tombstones {
    /// By start.
    fragments: BTreeMap<Vec<u8>, Fragment>,
    byte_count: usize,
}

#[derive(Clone, Debug)]
struct Fragment {
    end: Vec<u8>,
    versions: Vec<u64>,
}

impl Tombstones {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.fragments.is_empty()
    }

    /// A measure of its memory: keys and versions.
    pub(crate) fn byte_count(&self) -> usize {
        self.byte_count
    }

    /// Adds one. The fragments that it overlaps are cut at its ends; the gaps are filled.
    pub(crate) fn add(&mut self, start: &[u8], end: &[u8], version: u64) {
        if start >= end {
            return;
        }
        self.byte_count += start.len() + end.len() + 8;
        self.cut(start);
        self.cut(end);
        let mut gaps = Vec::new();
        let mut position = start.to_vec();
        let range = (Bound::Included(start), Bound::Excluded(end));
        for (fragment_start, fragment) in self.fragments.range_mut::<[u8], _>(range) {
            if position < *fragment_start {
                gaps.push((position, fragment_start.clone()));
            }
            if let Err(index) = fragment.versions.binary_search(&version) {
                fragment.versions.insert(index, version);
            }
            position = fragment.end.clone();
        }
        if position.as_slice() < end {
            gaps.push((position, end.to_vec()));
        }
        for (gap_start, gap_end) in gaps {
            self.fragments.insert(
                gap_start,
                Fragment {
                    end: gap_end,
                    versions: vec![version],
                },
            );
        }
    }

    /// The newest version at or below `at` that deletes `key`.
    pub(crate) fn covering(&self, key: &[u8], at: u64) -> Option<u64> {
        let range = (Bound::Unbounded, Bound::Included(key));
        let (_, fragment) = self.fragments.range::<[u8], _>(range).next_back()?;
        if fragment.end.as_slice() <= key {
            return None;
        }
        let count = fragment.versions.partition_point(|version| *version <= at);
        fragment.versions.get(count.checked_sub(1)?).copied()
    }

    /// Every fragment at every version, ordered by start, then newest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = RangeTombstone> + '_ {
        self.fragments.iter().flat_map(|(start, fragment)| {
            fragment
                .versions
                .iter()
                .rev()
                .map(move |version| RangeTombstone {
                    start: start.clone(),
                    end: fragment.end.clone(),
                    version: *version,
                })
        })
    }

    /// Makes `key` a boundary between fragments.
    fn cut(&mut self, key: &[u8]) {
        let range = (Bound::Unbounded, Bound::Excluded(key));
        let Some((_, fragment)) = self.fragments.range_mut::<[u8], _>(range).next_back() else {
            return;
        };
        if fragment.end.as_slice() > key {
            let end = std::mem::replace(&mut fragment.end, key.to_vec());
            let versions = fragment.versions.clone();
            self.fragments
                .insert(key.to_vec(), Fragment { end, versions });
        }
    }
}

impl<'a> FromIterator<&'a RangeTombstone> for Tombstones {
    fn from_iter<T: IntoIterator<Item = &'a RangeTombstone>>(tombstones: T) -> Self {
        let mut set = Self::new();
        for tombstone in tombstones {
            set.add(&tombstone.start, &tombstone.end, tombstone.version);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Tombstones;
    use crate::entry::RangeTombstone;

    fn ranges() -> impl Strategy<Value = Vec<RangeTombstone>> {
        let one = (0..12_u8, 0..12_u8, 1..6_u64).prop_map(|(start, end, version)| RangeTombstone {
            start: vec![start],
            end: vec![end],
            version,
        });
        proptest::collection::vec(one, 0..12)
    }

    proptest! {
        #[test]
        fn the_newest_cover_is_found(ranges in ranges()) {
            let set: Tombstones = ranges.iter().collect();
            let again: Tombstones = set.iter().collect::<Vec<_>>().iter().collect();
            for key in 0..12_u8 {
                for at in 0..7_u64 {
                    let expected = ranges
                        .iter()
                        .filter(|range| range.version <= at)
                        .filter(|range| range.start <= vec![key] && vec![key] < range.end)
                        .map(|range| range.version)
                        .max();
                    prop_assert_eq!(set.covering(&[key], at), expected);
                    prop_assert_eq!(again.covering(&[key], at), expected);
                }
            }
        }
    }
}
