//! Range tombstones of one memtable or one table: which is the newest at or below a version that
//! covers a key.
//!
//! Shape: ranges come in any number and overlap in any way. *Painting* a set of ranges in the order
//! of their versions leaves, for each part of the keys, the newest range there: at most two pieces
//! a range, and one binary search finds it. That answers reads at the newest version. For older
//! ones each painting keeps the two halves that it was made of, down to a few ranges: a read at any
//! version asks the paintings that lie wholly below it, of which there is one a halving. So adding
//! and asking are logarithmic, however ranges overlap. Rejected: cutting all ranges at each other's
//! ends, with all versions at each piece (quadratic in ranges that overlap).
//!
//! Invariants: a painting is never changed, so a copy of the set shares them all and costs a few
//! pointers; readers of a memtable hold such a copy and wait for nobody.

use std::{cmp::Ordering, sync::Arc};

use crate::entry::RangeTombstone;

/// Up to so many ranges are looked through one by one: halves of fewer cost more than they save.
const FEW: usize = 8;

/// Memory of a range in the paintings beside its keys, about: two pieces in each halving.
const RANGE_BYTES: usize = 512;

/// A set of range tombstones. A clone shares all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tombstones {
    /// Each has at least twice the ranges of the next.
    paintings: Vec<Arc<Painting>>,
    byte_count: usize,
}

/// Some ranges, painted.
#[derive(Debug)]
struct Painting {
    count: usize,
    version_min: u64,
    version_max: u64,
    /// By key; a piece ends where the next begins.
    pieces: Vec<Piece>,
    history: History,
}

#[derive(Debug)]
enum History {
    Few(Vec<Arc<RangeTombstone>>),
    Halves(Arc<Painting>, Arc<Painting>),
}

/// From a key on, the newest range; none in a gap.
#[derive(Clone, Debug)]
struct Piece {
    edge: Edge,
    newest: Option<Arc<RangeTombstone>>,
}

/// A key: where some range begins or ends.
#[derive(Clone, Debug)]
enum Edge {
    Start(Arc<RangeTombstone>),
    End(Arc<RangeTombstone>),
}

impl Edge {
    fn key(&self) -> &[u8] {
        match self {
            Self::Start(range) => &range.start,
            Self::End(range) => &range.end,
        }
    }
}

impl Tombstones {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.paintings.is_empty()
    }

    /// About its memory.
    pub(crate) fn byte_count(&self) -> usize {
        self.byte_count
    }

    /// Adds one; an empty range is none.
    pub(crate) fn add(&mut self, range: RangeTombstone) {
        if range.start >= range.end {
            return;
        }
        self.byte_count += range.start.len() + range.end.len() + RANGE_BYTES;
        let mut last = Arc::new(Painting::of_one(Arc::new(range)));
        while let Some(before) = self
            .paintings
            .pop_if(|before| before.count < 2 * last.count)
        {
            last = Arc::new(Painting::of_both(before, last));
        }
        self.paintings.push(last);
    }

    /// The newest version at or below `at` that deletes `key`.
    pub(crate) fn covering(&self, key: &[u8], at: u64) -> Option<u64> {
        self.find(key, at).map(|range| range.version)
    }

    /// The newest range at or below `at` that has `key` in it.
    pub(crate) fn find(&self, key: &[u8], at: u64) -> Option<&Arc<RangeTombstone>> {
        let paintings = self.paintings.iter();
        paintings.fold(None, |best, painting| newest(best, painting.find(key, at)))
    }

    /// Every range, ordered by start, then newest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = RangeTombstone> {
        let mut ranges = Vec::new();
        for painting in &self.paintings {
            painting.collect(&mut ranges);
        }
        ranges.sort_by(|a, b| a.start.cmp(&b.start).then(b.version.cmp(&a.version)));
        ranges
            .into_iter()
            .map(|range| RangeTombstone::clone(&range))
    }
}

impl Painting {
    fn of_one(range: Arc<RangeTombstone>) -> Self {
        let begin = Piece {
            edge: Edge::Start(Arc::clone(&range)),
            newest: Some(Arc::clone(&range)),
        };
        let end = Piece {
            edge: Edge::End(Arc::clone(&range)),
            newest: None,
        };
        Self {
            count: 1,
            version_min: range.version,
            version_max: range.version,
            pieces: vec![begin, end],
            history: History::Few(vec![range]),
        }
    }

    fn of_both(a: Arc<Self>, b: Arc<Self>) -> Self {
        let history = match (&a.history, &b.history) {
            (History::Few(left), History::Few(right)) if left.len() + right.len() <= FEW => {
                History::Few(left.iter().chain(right).cloned().collect())
            }
            _ => History::Halves(Arc::clone(&a), Arc::clone(&b)),
        };
        Self {
            count: a.count + b.count,
            version_min: a.version_min.min(b.version_min),
            version_max: a.version_max.max(b.version_max),
            pieces: paint(&a.pieces, &b.pieces),
            history,
        }
    }

    fn find(&self, key: &[u8], at: u64) -> Option<&Arc<RangeTombstone>> {
        if at < self.version_min {
            return None;
        }
        if at >= self.version_max {
            let place = self.pieces.partition_point(|piece| piece.edge.key() <= key);
            return self.pieces.get(place.checked_sub(1)?)?.newest.as_ref();
        }
        match &self.history {
            History::Halves(a, b) => newest(a.find(key, at), b.find(key, at)),
            History::Few(ranges) => {
                let covers = |range: &&Arc<RangeTombstone>| {
                    range.version <= at && *range.start <= *key && *key < *range.end
                };
                ranges
                    .iter()
                    .filter(covers)
                    .max_by_key(|range| range.version)
            }
        }
    }

    fn collect(&self, into: &mut Vec<Arc<RangeTombstone>>) {
        match &self.history {
            History::Few(ranges) => into.extend(ranges.iter().cloned()),
            History::Halves(a, b) => {
                a.collect(into);
                b.collect(into);
            }
        }
    }
}

fn newest<'a>(
    a: Option<&'a Arc<RangeTombstone>>,
    b: Option<&'a Arc<RangeTombstone>>,
) -> Option<&'a Arc<RangeTombstone>> {
    [a, b]
        .into_iter()
        .flatten()
        .max_by_key(|range| range.version)
}

/// Two paintings in one: where both have a range, the newer.
fn paint(a: &[Piece], b: &[Piece]) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::with_capacity(a.len() + b.len());
    let (mut left, mut right) = (0, 0);
    let (mut left_newest, mut right_newest) = (None, None);
    loop {
        let order = match (a.get(left), b.get(right)) {
            (None, None) => return pieces,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(left), Some(right)) => left.edge.key().cmp(right.edge.key()),
        };
        let mut edge = None;
        if let Some(piece) = a.get(left).filter(|_| order.is_le()) {
            (left_newest, edge) = (piece.newest.as_ref(), Some(&piece.edge));
            left += 1;
        }
        if let Some(piece) = b.get(right).filter(|_| order.is_ge()) {
            (right_newest, edge) = (piece.newest.as_ref(), Some(&piece.edge));
            right += 1;
        }
        let both = newest(left_newest, right_newest);
        let before = pieces.last().and_then(|piece| piece.newest.as_ref());
        let is_same = match (before, both) {
            (None, None) => true,
            (Some(before), Some(both)) => Arc::ptr_eq(before, both),
            _ => false,
        };
        if let Some(edge) = edge.filter(|_| !is_same) {
            pieces.push(Piece {
                edge: edge.clone(),
                newest: both.cloned(),
            });
        }
    }
}

impl FromIterator<RangeTombstone> for Tombstones {
    fn from_iter<T: IntoIterator<Item = RangeTombstone>>(ranges: T) -> Self {
        let mut set = Self::new();
        ranges.into_iter().for_each(|range| set.add(range));
        set
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{RangeTombstone, Tombstones};

    fn ranges() -> impl Strategy<Value = Vec<RangeTombstone>> {
        let one = (0..12_u8, 0..12_u8, 1..9_u64).prop_map(|(start, end, version)| RangeTombstone {
            start: vec![start],
            end: vec![end],
            version,
        });
        proptest::collection::vec(one, 0..40)
    }

    proptest! {
        #[test]
        fn the_newest_cover_is_found(ranges in ranges()) {
            let set: Tombstones = ranges.iter().cloned().collect();
            let again: Tombstones = set.iter().collect();
            for key in 0..12_u8 {
                for at in 0..10_u64 {
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

    /// Counted in pieces, not in time: cut at each other's ends these would be 4 million.
    #[test]
    fn ranges_that_all_overlap_stay_few_pieces() {
        let count = 4000_u32;
        let nested = (0..count).map(|number| RangeTombstone {
            start: number.to_be_bytes().to_vec(),
            end: (2 * count - number).to_be_bytes().to_vec(),
            version: number.into(),
        });
        let set: Tombstones = nested.collect();
        assert!(
            set.paintings.len() <= 13,
            "{} paintings",
            set.paintings.len()
        );
        let pieces: usize = set
            .paintings
            .iter()
            .map(|painting| painting.pieces.len())
            .sum();
        assert!(pieces <= 2 * count as usize + 13, "{pieces} pieces");
        let middle = count.to_be_bytes();
        for at in [0, 1, 700, 2999, 3999, u64::MAX] {
            assert_eq!(set.covering(&middle, at), Some(at.min(3999)));
        }
    }

    #[test]
    fn the_same_range_again_and_again_is_one_piece() {
        let range = |version| RangeTombstone {
            start: b"queue/".to_vec(),
            end: b"queue0".to_vec(),
            version,
        };
        let set: Tombstones = (0..1000).map(range).collect();
        let largest = set
            .paintings
            .iter()
            .map(|painting| painting.pieces.len())
            .max();
        assert_eq!(largest, Some(2));
        assert_eq!(set.covering(b"queue/7", 500), Some(500));
    }
}
