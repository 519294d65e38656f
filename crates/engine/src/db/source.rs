//! The sources of a scan: cursors that stand at a key and know its newest entry at or below the
//! version read at.
//!
//! Invariant: a source is at a key that has such an entry, or at none; keys without one are passed
//! over.

use std::sync::Arc;

use bytes::Bytes;
use nokv_art::Cursor;
use nokv_types::Version;

use super::memory::Memory;
use crate::{
    Direction, Error, Record, Value,
    entry::EntryKind,
    table::{CursorOptions, Reading, Table, TableCursor},
};

/// The bounds of a scan: internal keys, `start` inclusive, `end` exclusive.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    pub(super) start: Bytes,
    pub(super) end: Option<Bytes>,
    pub(super) at: u64,
    pub(super) direction: Direction,
}

/// A memtable, or the tables of a level, in order.
pub(super) enum Source {
    Memory(MemorySource),
    Level(Box<LevelSource>),
}

impl Source {
    #[inline]
    pub(super) fn key(&self) -> Option<&[u8]> {
        match self {
            Self::Memory(source) => source.cursor.key(),
            Self::Level(source) => source.is_valid.then_some(source.key.as_slice()),
        }
    }

    /// The version and kind of the entry of the current key.
    pub(super) fn entry(&self, at: u64) -> Option<(u64, EntryKind)> {
        match self {
            Self::Memory(source) => {
                let found = source.cursor.version_at(at)?;
                Some((found.version, EntryKind::from_number(found.kind)?))
            }
            Self::Level(source) => Some((source.version, source.kind)),
        }
    }

    /// The record of the current key, which is a put.
    pub(super) fn record(&self, at: u64) -> Option<Record> {
        match self {
            Self::Memory(source) => {
                let found = source.cursor.version_at(at)?;
                let version = Version::from_u64(found.version);
                let value = if Value::is_copied(found.value.len()) {
                    Value::from(Bytes::copy_from_slice(found.value))
                } else {
                    Value::from_arena(source.cursor.version_at_owned(found.version)?.value)
                };
                Some(Record { version, value })
            }
            Self::Level(source) => {
                let version = Version::from_u64(source.version);
                Some(Record {
                    version,
                    value: Value::from(source.value.clone()),
                })
            }
        }
    }

    /// To the first key of the scan.
    pub(super) fn seek(&mut self, bounds: &Bounds) -> Result<(), Error> {
        match self {
            Self::Memory(source) => {
                source.seek(bounds);
                Ok(())
            }
            Self::Level(source) => source.seek(bounds),
        }
    }

    /// To the next key of the scan.
    pub(super) fn step(&mut self, bounds: &Bounds) -> Result<(), Error> {
        match self {
            Self::Memory(source) => {
                source.step(bounds.direction);
                source.settle(bounds);
                Ok(())
            }
            Self::Level(source) => source.step(bounds),
        }
    }
}

/// A memtable.
pub(super) struct MemorySource {
    cursor: Cursor<Arc<nokv_art::Memtable>>,
}

impl MemorySource {
    pub(super) fn new(memory: &Memory) -> Self {
        Self {
            cursor: Cursor::new(Arc::clone(&memory.table)),
        }
    }

    fn seek(&mut self, bounds: &Bounds) {
        match (bounds.direction, &bounds.end) {
            (Direction::Forward, _) => self.cursor.seek(&bounds.start),
            (Direction::Reverse, None) => self.cursor.seek_to_last(),
            (Direction::Reverse, Some(end)) => {
                self.cursor.seek_for_prev(end);
                if self.cursor.key() == Some(end) {
                    self.cursor.prev_key();
                }
            }
        }
        self.settle(bounds);
    }

    fn step(&mut self, direction: Direction) {
        match direction {
            Direction::Forward => self.cursor.next_key(),
            Direction::Reverse => self.cursor.prev_key(),
        }
    }

    /// Passes over keys that have nothing at or below the version.
    fn settle(&mut self, bounds: &Bounds) {
        while self.cursor.is_valid() && self.cursor.version_at(bounds.at).is_none() {
            self.step(bounds.direction);
        }
    }
}

/// Tables that follow one another, or one table of level 0.
pub(super) struct LevelSource {
    tables: Vec<Arc<Table>>,
    /// The table of the cursor.
    index: usize,
    cursor: Option<TableCursor>,
    is_valid: bool,
    key: Vec<u8>,
    version: u64,
    kind: EntryKind,
    value: Bytes,
}

impl LevelSource {
    pub(super) fn new(tables: Vec<Arc<Table>>) -> Self {
        Self {
            tables,
            index: 0,
            cursor: None,
            is_valid: false,
            key: Vec::new(),
            version: 0,
            kind: EntryKind::Delete,
            value: Bytes::new(),
        }
    }

    fn seek(&mut self, bounds: &Bounds) -> Result<(), Error> {
        self.is_valid = false;
        match (bounds.direction, &bounds.end) {
            (Direction::Forward, _) => {
                let start = bounds.start.as_ref();
                self.index = self
                    .tables
                    .partition_point(|t| t.summary().largest.as_slice() < start);
                self.open_cursor(bounds);
                if let Some(cursor) = &mut self.cursor {
                    cursor.seek(start, u64::MAX)?;
                }
            }
            (Direction::Reverse, Some(end)) => {
                let below = |table: &Arc<Table>| table.summary().smallest.as_slice() < end.as_ref();
                self.index = self.tables.partition_point(below).wrapping_sub(1);
                self.open_cursor(bounds);
                if let Some(cursor) = &mut self.cursor {
                    cursor.seek_for_prev(end, u64::MAX)?;
                    while cursor.is_valid() && cursor.key() >= end.as_ref() {
                        cursor.prev()?;
                    }
                }
            }
            (Direction::Reverse, None) => {
                self.index = self.tables.len().wrapping_sub(1);
                self.open_cursor(bounds);
                if let Some(cursor) = &mut self.cursor {
                    cursor.seek_to_last()?;
                }
            }
        }
        self.step(bounds)
    }

    fn open_cursor(&mut self, bounds: &Bounds) {
        self.cursor = self.tables.get(self.index).map(|table| {
            let options = CursorOptions {
                lower: Some(bounds.start.clone()),
                upper: bounds.end.clone(),
                reading: Reading::Cached,
            };
            TableCursor::new(Arc::clone(table), options)
        });
    }

    /// To the next key that has an entry at or below the version. The cursor stands at the entry of
    /// the current key, or past it.
    fn step(&mut self, bounds: &Bounds) -> Result<(), Error> {
        let has_current = std::mem::replace(&mut self.is_valid, false);
        while let Some(cursor) = &mut self.cursor {
            if !cursor.is_valid() {
                self.next_table(bounds)?;
                continue;
            }
            let is_passed = has_current && cursor.key() == self.key.as_slice();
            if is_passed || cursor.version() > bounds.at {
                match bounds.direction {
                    Direction::Forward => cursor.next()?,
                    Direction::Reverse => cursor.prev()?,
                }
                continue;
            }
            self.key.clear();
            self.key.extend_from_slice(cursor.key());
            self.take_entry();
            if bounds.direction == Direction::Reverse {
                self.take_newer(bounds.at)?;
            }
            self.is_valid = true;
            return Ok(());
        }
        Ok(())
    }

    fn next_table(&mut self, bounds: &Bounds) -> Result<(), Error> {
        let next = match bounds.direction {
            Direction::Forward => self.index.wrapping_add(1),
            Direction::Reverse => self.index.wrapping_sub(1),
        };
        self.index = next;
        self.cursor = None;
        let is_beyond = self.tables.get(next).is_none_or(|table| {
            let summary = table.summary();
            match bounds.direction {
                Direction::Forward => bounds
                    .end
                    .as_ref()
                    .is_some_and(|end| summary.smallest.as_slice() >= end),
                Direction::Reverse => summary.largest.as_slice() < bounds.start.as_ref(),
            }
        });
        if is_beyond {
            return Ok(());
        }
        self.open_cursor(bounds);
        match (&mut self.cursor, bounds.direction) {
            (Some(cursor), Direction::Forward) => cursor.seek_to_first(),
            (Some(cursor), Direction::Reverse) => cursor.seek_to_last(),
            (None, _) => Ok(()),
        }
    }

    fn take_entry(&mut self) {
        if let Some(cursor) = &self.cursor {
            self.version = cursor.version();
            self.kind = cursor.kind();
            self.value = cursor.value_bytes();
        }
    }

    /// Backwards, the oldest entry of a key comes first: goes on to the newest at or below `at`.
    fn take_newer(&mut self, at: u64) -> Result<(), Error> {
        loop {
            let Some(cursor) = &mut self.cursor else {
                return Ok(());
            };
            cursor.prev()?;
            if !cursor.is_valid() || cursor.version() > at || cursor.key() != self.key.as_slice() {
                return Ok(());
            }
            self.take_entry();
        }
    }
}
