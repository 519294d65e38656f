//! What a scan shows: each visible key once, at one version, over all sources.
//!
//! Invariants: of the entries that the sources have of a key, the one with the highest version
//! counts, whichever source it is in; a key whose entry is a deletion, has expired, or was written
//! below a range tombstone's version, is not shown.

use std::sync::Arc;

use nokv_env::Clock;

use super::heap::Heap;
use crate::{
    Direction, Error, Record, Value,
    entry::{EntryKind, RangeTombstone},
    moment::Moment,
};

/// One ordered source of a scan: a memtable, a table, a level. It knows the scan's version and
/// direction.
pub(crate) trait Source {
    /// The current key; `None` when there are no more.
    fn key(&self) -> Option<&[u8]>;
    /// The version of the newest entry of the key at or below the scan's version.
    fn version(&self) -> u64;
    /// Its kind.
    fn kind(&self) -> EntryKind;
    /// What is stored of its value, until the source moves,
    fn stored(&self) -> &[u8];
    /// and for longer.
    fn value(&self) -> Value;
    /// To the next key, in the scan's direction, that has such an entry.
    ///
    /// # Errors
    /// `Corrupt`; I/O.
    fn advance(&mut self) -> Result<(), Error>;
    /// Goes past the range of the tombstone, in the scan's direction, if all that the source has
    /// there is older than it; or else stays where it is.
    ///
    /// # Errors
    /// `Corrupt`; I/O.
    fn skip(&mut self, tombstone: &RangeTombstone) -> Result<(), Error>;
}

/// Range tombstones that a scan has to mind.
pub(crate) trait Cover {
    /// The newest version at or below `at` that deletes `key`.
    fn covering(&self, key: &[u8], at: u64) -> Option<u64>;
    /// The range tombstone that does so.
    fn find(&self, key: &[u8], at: u64) -> Option<Arc<RangeTombstone>>;
}

/// Keys hidden by range tombstones, one after another, after which sources are sent past the
/// tombstone: a seek costs about as much as eight steps.
const HIDDEN_MAX: usize = 8;

/// The merge of a scan, before its first key or at one.
pub(crate) struct VisibleMerge<S, C> {
    sources: Vec<S>,
    covers: Vec<C>,
    heap: Heap,
    direction: Direction,
    moment: Moment<Arc<dyn Clock>>,
    /// Exclusive end in the direction of the scan (forward), inclusive (reverse): `None` for none.
    limit: Option<Vec<u8>>,
    /// The key being left, where several sources may have it.
    left: Vec<u8>,
    is_begun: bool,
    /// Keys in a row that a range tombstone hid.
    hidden_count: usize,
}

impl<S: Source, C: Cover> VisibleMerge<S, C> {
    /// Merges sources that stand at their first keys. A forward scan ends before `limit`, a reverse
    /// one after it.
    pub(crate) fn new(
        (sources, covers): (Vec<S>, Vec<C>),
        direction: Direction,
        moment: Moment<Arc<dyn Clock>>,
        limit: Option<Vec<u8>>,
    ) -> Self {
        let numbers = sources
            .iter()
            .enumerate()
            .filter(|(_, source)| source.key().is_some());
        let numbers = numbers.map(|(number, _)| number).collect();
        let heap = Heap::new(numbers, |a, b| is_before(&sources, direction, a, b));
        Self {
            sources,
            covers,
            heap,
            direction,
            moment,
            limit,
            left: Vec::new(),
            is_begun: false,
            hidden_count: 0,
        }
    }

    /// To the next visible key; whether there is one. After `false` or an error, not to be called
    /// again.
    ///
    /// # Errors
    /// `Corrupt`; I/O.
    pub(crate) fn next(&mut self) -> Result<bool, Error> {
        loop {
            if self.is_begun {
                self.leave_key()?;
            }
            self.is_begun = true;
            let Some(source) = self.current() else {
                return Ok(false);
            };
            let key = source.key().unwrap_or_default();
            let is_beyond = match (&self.limit, self.direction) {
                (None, _) => false,
                // The first byte, the keyspace, mostly tells.
                (Some(limit), Direction::Forward) => {
                    key.first() >= limit.first() && key >= limit.as_slice()
                }
                (Some(limit), Direction::Reverse) => key < limit.as_slice(),
            };
            if is_beyond {
                return Ok(false);
            }
            if !self.is_gone(source) && !self.is_covered(source) {
                self.hidden_count = 0;
                return Ok(true);
            }
            self.hidden_count += 1;
            if self.hidden_count.is_multiple_of(HIDDEN_MAX) {
                self.skip_deleted()?;
            }
        }
    }

    /// Sends the sources past the range tombstone that hides the current key, if one does.
    fn skip_deleted(&mut self) -> Result<(), Error> {
        let key = self.current().and_then(Source::key).unwrap_or_default();
        let found = self.covers.iter();
        let found = found.filter_map(|cover| cover.find(key, self.moment.at()));
        let Some(tombstone) = found.max_by_key(|tombstone| tombstone.version) else {
            return Ok(());
        };
        for source in &mut self.sources {
            let is_within = |key: &[u8]| *tombstone.start <= *key && *key < *tombstone.end;
            if source.key().is_some_and(is_within) {
                source.skip(&tombstone)?;
            }
        }
        let (sources, direction) = (&self.sources, self.direction);
        let numbers = (0..sources.len()).filter(|number| {
            let source = sources.get(*number);
            source.is_some_and(|source| source.key().is_some())
        });
        self.heap = Heap::new(numbers.collect(), |a, b| {
            is_before(sources, direction, a, b)
        });
        // The key that is now the first has not been looked at.
        self.is_begun = false;
        Ok(())
    }

    /// The current key.
    pub(crate) fn key(&self) -> &[u8] {
        self.current().and_then(Source::key).unwrap_or_default()
    }

    /// The version of its entry, and the value as it is stored there, until the next step.
    #[inline]
    pub(crate) fn lend(&self) -> Option<(u64, &[u8])> {
        let source = self.current()?;
        let stored = source.stored();
        let value = stored.get(source.kind().prefix_bytes()..);
        Some((source.version(), value.unwrap_or_default()))
    }

    /// Its record; `None` at no key.
    pub(crate) fn record(&self) -> Option<Record> {
        let source = self.current()?;
        let (version, kind) = (source.version(), source.kind());
        Some(Record::of_stored(version, kind, source.value()))
    }

    /// Whether the value of its record is a pointer into the value log.
    pub(crate) fn is_separated(&self) -> bool {
        self.current()
            .is_some_and(|source| source.kind().is_pointer())
    }

    #[inline]
    fn current(&self) -> Option<&S> {
        self.sources.get(self.heap.top()?)
    }

    /// Whether the entry itself says that there is nothing.
    #[inline]
    fn is_gone(&self, source: &S) -> bool {
        match source.kind() {
            EntryKind::Delete => true,
            EntryKind::Put | EntryKind::Pointer => false,
            kind @ (EntryKind::PutExpiring | EntryKind::PointerExpiring) => {
                self.moment.hides(kind, source.stored())
            }
        }
    }

    fn is_covered(&self, source: &S) -> bool {
        if self.covers.is_empty() {
            return false;
        }
        let key = source.key().unwrap_or_default();
        let mut versions = self
            .covers
            .iter()
            .filter_map(|cover| cover.covering(key, self.moment.at()));
        versions.any(|version| version > source.version())
    }

    /// Moves every source past the current key.
    fn leave_key(&mut self) -> Result<(), Error> {
        if self.heap.len() < 2 {
            return self.advance_top();
        }
        let mut left = std::mem::take(&mut self.left);
        left.clear();
        left.extend_from_slice(self.key());
        let mut top = self.heap.top();
        self.advance_top()?;
        // A source that stays on top is beyond the key, and the others are beyond it.
        while self.heap.top() != top && self.current().and_then(Source::key) == Some(&left) {
            top = self.heap.top();
            self.advance_top()?;
        }
        self.left = left;
        Ok(())
    }

    fn advance_top(&mut self) -> Result<(), Error> {
        let top = self.heap.top();
        let Some(source) = top.and_then(|top| self.sources.get_mut(top)) else {
            return Ok(());
        };
        source.advance()?;
        let is_exhausted = source.key().is_none();
        let (sources, direction) = (&self.sources, self.direction);
        let is_before = |a, b| is_before(sources, direction, a, b);
        if is_exhausted {
            self.heap.remove_top(is_before);
        } else {
            self.heap.settle_top(is_before);
        }
        Ok(())
    }
}

/// By key in the direction of the scan, then newest version, then newest source.
#[inline]
fn is_before<S: Source>(sources: &[S], direction: Direction, a: usize, b: usize) -> bool {
    let (Some(left), Some(right)) = (sources.get(a), sources.get(b)) else {
        return a < b;
    };
    let by_key = match direction {
        Direction::Forward => left.key().cmp(&right.key()),
        Direction::Reverse => right.key().cmp(&left.key()),
    };
    let by_version = || right.version().cmp(&left.version());
    by_key.then_with(by_version).then(a.cmp(&b)).is_lt()
}
