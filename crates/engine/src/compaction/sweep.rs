//! The range tombstones of a compaction: what they hide, and which of them are still needed.
//!
//! A tombstone at version `t` of a fragment, the next newer one there being at `u`, is what reads
//! in `t..u` meet. It is needed when such a read is retained, and there is something for it to
//! hide: an entry older than it that is kept (for a pin), or anything in a lower level, or it is
//! above the horizon itself.
//!
//! Invariants: fragments are disjoint and in order; outputs ask for their part of the keys in
//! order; the parts of a fragment that crosses two outputs are judged each for itself.

use std::collections::BTreeMap;

use super::{keep::Keeps, plan::KeySpan};
use crate::{entry::RangeTombstone, tombstones::Tombstones};

/// The range tombstones of all inputs.
pub(crate) struct Sweep {
    fragments: Vec<Fragment>,
    deeper: Vec<KeySpan>,
    /// Fragments that hide entries that the current output keeps, with the lowest version of
    /// those.
    used: BTreeMap<usize, u64>,
    /// The fragment of the key asked last, or the next one.
    place: usize,
}

struct Fragment {
    start: Vec<u8>,
    end: Vec<u8>,
    /// Ascending.
    versions: Vec<u64>,
}

/// Disjoint parts of the keys, in order, with the versions of all that cover each.
fn cut(ranges: &[RangeTombstone]) -> Vec<Fragment> {
    let mut edges: Vec<(&[u8], u64, Edge)> = Vec::with_capacity(2 * ranges.len());
    for range in ranges {
        edges.push((&range.start, range.version, Edge::Start));
        edges.push((&range.end, range.version, Edge::End));
    }
    edges.sort_unstable();
    // How many of each version cover the part that begins at the edge.
    let mut open: BTreeMap<u64, usize> = BTreeMap::new();
    let mut fragments = Vec::new();
    let mut before: &[u8] = &[];
    for (key, version, edge) in edges {
        if before < key && !open.is_empty() {
            fragments.push(Fragment {
                start: before.to_vec(),
                end: key.to_vec(),
                versions: open.keys().copied().collect(),
            });
        }
        before = key;
        let count = open.entry(version).or_default();
        match edge {
            Edge::Start => *count += 1,
            Edge::End => *count = count.saturating_sub(1),
        }
        if *count == 0 {
            open.remove(&version);
        }
    }
    fragments
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Edge {
    /// First, so that of two ranges that meet at a version one never closes the other.
    Start,
    End,
}

impl Sweep {
    pub(crate) fn new<'a>(
        sets: impl IntoIterator<Item = &'a Tombstones>,
        deeper: Vec<KeySpan>,
    ) -> Self {
        let all: Vec<RangeTombstone> = sets.into_iter().flat_map(Tombstones::iter).collect();
        let fragments = cut(&all);
        Self {
            fragments,
            deeper,
            used: BTreeMap::new(),
            place: 0,
        }
    }

    /// The oldest tombstone above `version` that covers `key`. Keys are asked for in ascending
    /// order.
    #[inline]
    pub(crate) fn covered_at(&mut self, key: &[u8], version: u64) -> Option<u64> {
        while self
            .fragments
            .get(self.place)
            .is_some_and(|f| f.end.as_slice() <= key)
        {
            self.place += 1;
        }
        let fragment = self.fragments.get(self.place)?;
        if fragment.start.as_slice() > key {
            return None;
        }
        let index = fragment.versions.partition_point(|own| *own <= version);
        fragment.versions.get(index).copied()
    }

    /// An entry of this version is kept, although the fragment of the key asked last hides it.
    pub(crate) fn mark_used(&mut self, version: u64) {
        let lowest = self.used.entry(self.place).or_insert(version);
        *lowest = version.min(*lowest);
    }

    /// The tombstones that an output for keys in `from..to` needs; a missing bound is none.
    pub(crate) fn take(
        &mut self,
        keeps: &Keeps,
        from: Option<&[u8]>,
        to: Option<&[u8]>,
    ) -> Vec<RangeTombstone> {
        let mut needed = Vec::new();
        for (place, fragment) in self.fragments.iter().enumerate() {
            let start = from.map_or(fragment.start.as_slice(), |from| from.max(&fragment.start));
            let end = to.map_or(fragment.end.as_slice(), |to| to.min(&fragment.end));
            if start >= end {
                continue;
            }
            let keep = keeps.of(&fragment.start);
            let hidden = self.used.get(&place);
            let is_deeper = self.is_deeper(start, end);
            let newer = fragment.versions.iter().skip(1).map(Some).chain([None]);
            for (version, newer) in fragment.versions.iter().zip(newer) {
                let hides = is_deeper || hidden.is_some_and(|lowest| lowest < version);
                let is_wanted = hides || *version > keep.horizon();
                if is_wanted && keep.is_read(*version, newer.copied()) {
                    let (start, end) = (start.to_vec(), end.to_vec());
                    needed.push(RangeTombstone {
                        start,
                        end,
                        version: *version,
                    });
                }
            }
        }
        self.used.clear();
        needed
    }

    fn is_deeper(&self, start: &[u8], end: &[u8]) -> bool {
        let mut spans = self.deeper.iter();
        spans.any(|span| span.smallest.as_slice() < end && start <= span.largest.as_slice())
    }
}
