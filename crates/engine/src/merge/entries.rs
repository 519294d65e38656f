//! What a compaction reads: every entry of all inputs, in table order, each (key, version) once.

use super::{heap::Heap, level::LevelCursor};
use crate::Error;

/// The merge of a compaction, at an entry or at the end.
pub(crate) struct EntryMerge {
    cursors: Vec<LevelCursor>,
    heap: Heap,
    last: Option<(Vec<u8>, u64)>,
}

impl EntryMerge {
    /// Merges runs, newest first, from the key `from` on; from their first entries without one.
    ///
    /// # Errors
    /// `Corrupt`; I/O.
    pub(crate) fn new(mut cursors: Vec<LevelCursor>, from: Option<&[u8]>) -> Result<Self, Error> {
        for cursor in &mut cursors {
            match from {
                Some(from) => cursor.seek(from, u64::MAX)?,
                None => cursor.seek_to_first()?,
            }
        }
        let numbers = cursors
            .iter()
            .enumerate()
            .filter(|(_, cursor)| cursor.is_valid());
        let numbers = numbers.map(|(number, _)| number).collect();
        let heap = Heap::new(numbers, |a, b| is_before(&cursors, a, b));
        Ok(Self {
            cursors,
            heap,
            last: None,
        })
    }

    /// The current entry's cursor; `None` at the end.
    #[inline]
    pub(crate) fn current(&self) -> Option<&LevelCursor> {
        self.cursors.get(self.heap.top()?)
    }

    /// To the next entry with another key or version.
    ///
    /// # Errors
    /// `Corrupt`; I/O.
    pub(crate) fn next(&mut self) -> Result<(), Error> {
        let mut last = self.last.take().unwrap_or_default();
        let Some(current) = self.current() else {
            return Ok(());
        };
        last.0.clear();
        last.0.extend_from_slice(current.key());
        last.1 = current.version();
        while self.is_at(&last) {
            self.step()?;
        }
        self.last = Some(last);
        Ok(())
    }

    fn is_at(&self, (key, version): &(Vec<u8>, u64)) -> bool {
        let is_same =
            |cursor: &LevelCursor| cursor.version() == *version && cursor.key() == key.as_slice();
        self.current().is_some_and(is_same)
    }

    fn step(&mut self) -> Result<(), Error> {
        let top = self.heap.top();
        let Some(cursor) = top.and_then(|top| self.cursors.get_mut(top)) else {
            return Ok(());
        };
        cursor.next()?;
        let is_exhausted = !cursor.is_valid();
        let cursors = &self.cursors;
        if is_exhausted {
            self.heap.remove_top(|a, b| is_before(cursors, a, b));
        } else {
            self.heap.settle_top(|a, b| is_before(cursors, a, b));
        }
        Ok(())
    }
}

/// By key, then newest version, then newest source.
#[inline]
fn is_before(cursors: &[LevelCursor], a: usize, b: usize) -> bool {
    let (Some(left), Some(right)) = (cursors.get(a), cursors.get(b)) else {
        return a < b;
    };
    let by_version = || right.version().cmp(&left.version());
    left.key()
        .cmp(right.key())
        .then_with(by_version)
        .then(a.cmp(&b))
        .is_lt()
}
