//! The tables of one run as a [`Source`] of a scan: of each key, the newest entry at or below one
//! version.
//!
//! Invariant: of the versions of a key exactly one entry is shown, or none if all are newer; a key
//! with very many versions is not walked through but sought past ([`STEPS_MAX`]).

use super::{level::LevelCursor, scan::Source};
use crate::{
    Direction, Error, Value,
    entry::{EntryKind, RangeTombstone},
    table::BlockSlice,
};

/// Versions stepped over one by one before a seek: a seek costs about as much as eight steps.
const STEPS_MAX: usize = 8;

/// A source over the tables of a [`LevelCursor`].
pub(crate) struct TableSource {
    cursor: LevelCursor,
    at: u64,
    direction: Direction,
    /// The key shown now (in reverse), or to be sought past.
    key: Vec<u8>,
    /// In reverse, what is shown: the cursor has gone past it to know that it is the newest.
    found: Option<(u64, EntryKind, BlockSlice)>,
}

impl TableSource {
    /// A source at the first key at or above `start`, at version `at`.
    pub(crate) fn forward(cursor: LevelCursor, start: &[u8], at: u64) -> Result<Self, Error> {
        let mut source = Self::new(cursor, at, Direction::Forward);
        source.cursor.seek(start, u64::MAX)?;
        source.settle_forward()?;
        Ok(source)
    }

    /// A source at the last key below `end` (of all, if there is no end), at version `at`.
    pub(crate) fn reverse(cursor: LevelCursor, end: Option<&[u8]>, at: u64) -> Result<Self, Error> {
        let mut source = Self::new(cursor, at, Direction::Reverse);
        match end {
            None => source.cursor.seek_to_last()?,
            Some(end) => source.seek_below(end)?,
        }
        source.settle_reverse()?;
        Ok(source)
    }

    fn new(cursor: LevelCursor, at: u64, direction: Direction) -> Self {
        Self {
            cursor,
            at,
            direction,
            key: Vec::new(),
            found: None,
        }
    }

    /// To the oldest entry of the last key below `end`.
    fn seek_below(&mut self, end: &[u8]) -> Result<(), Error> {
        self.cursor.seek_for_prev(end, u64::MAX)?;
        if self.cursor.is_valid() && self.cursor.key() == end {
            self.cursor.prev()?;
        }
        Ok(())
    }

    /// From the newest entry of a key to the newest that is visible, of this key or the next that
    /// has one.
    fn settle_forward(&mut self) -> Result<(), Error> {
        let mut steps = 0_usize;
        while self.cursor.is_valid() && self.cursor.version() > self.at {
            steps += 1;
            if steps.is_multiple_of(STEPS_MAX) {
                self.key.clear();
                self.key.extend_from_slice(self.cursor.key());
                self.cursor.seek(&self.key, self.at)?;
            } else {
                self.cursor.next()?;
            }
        }
        Ok(())
    }

    fn advance_forward(&mut self) -> Result<(), Error> {
        for _ in 0..STEPS_MAX {
            self.cursor.next()?;
            if !self.cursor.is_valid() || !self.cursor.is_same_key() {
                return self.settle_forward();
            }
        }
        self.key.clear();
        self.key.extend_from_slice(self.cursor.key());
        self.cursor.seek(&self.key, 0)?;
        while self.cursor.is_valid() && self.cursor.key() == self.key {
            self.cursor.next()?;
        }
        self.settle_forward()
    }

    /// From the oldest entry of a key up to its newest visible one; keys without one are passed
    /// over.
    fn settle_reverse(&mut self) -> Result<(), Error> {
        self.found = None;
        while self.cursor.is_valid() && self.found.is_none() {
            self.key.clear();
            self.key.extend_from_slice(self.cursor.key());
            let mut steps = 0;
            while self.cursor.is_valid() && self.cursor.key() == self.key {
                steps += 1;
                if steps == STEPS_MAX {
                    self.seek_in_key()?;
                } else if self.cursor.version() <= self.at {
                    self.show();
                    self.cursor.prev()?;
                } else {
                    self.cursor.prev()?;
                }
            }
        }
        Ok(())
    }

    /// Shows the newest visible version of the key and goes on to the key below.
    fn seek_in_key(&mut self) -> Result<(), Error> {
        self.cursor.seek(&self.key, self.at)?;
        if self.cursor.is_valid() && self.cursor.key() == self.key {
            self.show();
        }
        self.cursor.seek_for_prev(&self.key, u64::MAX)?;
        if self.cursor.is_valid() && self.cursor.key() == self.key {
            self.cursor.prev()?;
        }
        Ok(())
    }

    fn show(&mut self) {
        let (version, kind) = (self.cursor.version(), self.cursor.kind());
        self.found = Some((version, kind, self.cursor.value_bytes()));
    }
}

impl Source for TableSource {
    #[inline]
    fn key(&self) -> Option<&[u8]> {
        match (self.direction, &self.found) {
            (Direction::Forward, _) => self.cursor.is_valid().then(|| self.cursor.key()),
            (Direction::Reverse, Some(_)) => Some(&self.key),
            (Direction::Reverse, None) => None,
        }
    }

    #[inline]
    fn version(&self) -> u64 {
        match &self.found {
            Some((version, _, _)) => *version,
            None => self.cursor.version(),
        }
    }

    #[inline]
    fn kind(&self) -> EntryKind {
        match &self.found {
            Some((_, kind, _)) => *kind,
            None => self.cursor.kind(),
        }
    }

    #[inline]
    fn stored(&self) -> &[u8] {
        match &self.found {
            Some((_, _, value)) => value,
            None => self.cursor.value(),
        }
    }

    fn value(&self) -> Value {
        match &self.found {
            Some((_, _, value)) => value.clone().into(),
            None => self.cursor.value_bytes().into(),
        }
    }

    fn advance(&mut self) -> Result<(), Error> {
        match self.direction {
            Direction::Forward => self.advance_forward(),
            Direction::Reverse => self.settle_reverse(),
        }
    }

    fn skip(&mut self, tombstone: &RangeTombstone) -> Result<(), Error> {
        let (start, end) = (&tombstone.start, &tombstone.end);
        if self.cursor.version_max_within(start, end) >= tombstone.version {
            return Ok(());
        }
        match self.direction {
            Direction::Forward => {
                self.cursor.seek(end, u64::MAX)?;
                self.settle_forward()
            }
            Direction::Reverse => {
                self.seek_below(start)?;
                self.settle_reverse()
            }
        }
    }
}
