//! The sources of a scan, as [`crate::merge`] wants them: memtables, and the tables of a level.

use std::sync::Arc;

use bytes::Bytes;
use nokv_art::Cursor;

use super::{memory::Memory, tables::Tables};
use crate::{
    Direction, Error, Value,
    entry::{EntryKind, RangeTombstone},
    merge::{Cover, LevelCursor, Source, TableSource},
    table::{CursorOptions, Reading, Table},
};

/// The bounds of a scan: internal keys, `start` inclusive, `end` exclusive.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    pub(super) start: Bytes,
    pub(super) end: Option<Bytes>,
    pub(super) at: u64,
    pub(super) direction: Direction,
}

/// A memtable, or tables that follow one another.
pub(super) enum ScanSource {
    Memory(MemorySource),
    Tables(Box<TableSource>),
}

impl ScanSource {
    /// A memtable, at the first key of the scan.
    pub(super) fn memory(memory: &Memory, bounds: &Bounds) -> Self {
        let mut source = MemorySource {
            cursor: Cursor::new(Arc::clone(&memory.table)),
            at: bounds.at,
            direction: bounds.direction,
            version_max: memory.version_max(),
            found: None,
        };
        source.seek(bounds);
        Self::Memory(source)
    }

    /// Tables that follow one another, at the first key of the scan.
    ///
    /// # Errors
    /// `Corrupt`, `Io`.
    pub(super) fn tables(tables: &[Arc<Table>], bounds: &Bounds) -> Result<Self, Error> {
        let options = CursorOptions {
            lower: Some(bounds.start.clone()),
            upper: bounds.end.clone(),
            reading: Reading::Cached,
        };
        let cursor = LevelCursor::new(tables.into(), options);
        let source = match bounds.direction {
            Direction::Forward => TableSource::forward(cursor, &bounds.start, bounds.at)?,
            Direction::Reverse => TableSource::reverse(cursor, bounds.end.as_deref(), bounds.at)?,
        };
        Ok(Self::Tables(Box::new(source)))
    }
}

impl Source for ScanSource {
    #[inline]
    fn key(&self) -> Option<&[u8]> {
        match self {
            Self::Memory(source) => source.cursor.key(),
            Self::Tables(source) => source.key(),
        }
    }

    #[inline]
    fn version(&self) -> u64 {
        match self {
            Self::Memory(source) => source.found.map_or(0, |(version, _)| version),
            Self::Tables(source) => source.version(),
        }
    }

    #[inline]
    fn kind(&self) -> EntryKind {
        match self {
            Self::Memory(source) => source.found.map_or(EntryKind::Delete, |(_, kind)| kind),
            Self::Tables(source) => source.kind(),
        }
    }

    #[inline]
    fn stored(&self) -> &[u8] {
        match self {
            Self::Memory(source) => source.stored(),
            Self::Tables(source) => source.stored(),
        }
    }

    fn value(&self) -> Value {
        match self {
            Self::Memory(source) => source.value(),
            Self::Tables(source) => source.value(),
        }
    }

    #[inline]
    fn advance(&mut self) -> Result<(), Error> {
        match self {
            Self::Memory(source) => {
                source.step();
                source.settle();
                Ok(())
            }
            Self::Tables(source) => source.advance(),
        }
    }

    fn skip(&mut self, tombstone: &RangeTombstone) -> Result<(), Error> {
        match self {
            Self::Memory(source) => {
                source.skip(tombstone);
                Ok(())
            }
            Self::Tables(source) => source.skip(tombstone),
        }
    }
}

/// A memtable, at a key that has an entry at or below the version, or at none.
pub(super) struct MemorySource {
    cursor: Cursor<Arc<nokv_art::Memtable>>,
    at: u64,
    direction: Direction,
    /// No entry that the scan may see has a version above it.
    version_max: u64,
    /// Version and kind of that entry.
    found: Option<(u64, EntryKind)>,
}

impl MemorySource {
    fn seek(&mut self, bounds: &Bounds) {
        match (bounds.direction, &bounds.end) {
            (Direction::Forward, _) => self.cursor.seek(&bounds.start),
            (Direction::Reverse, None) => self.cursor.seek_to_last(),
            (Direction::Reverse, Some(end)) => self.seek_below(end),
        }
        self.settle();
    }

    fn seek_below(&mut self, end: &[u8]) {
        self.cursor.seek_for_prev(end);
        if self.cursor.key() == Some(end) {
            self.cursor.prev_key();
        }
    }

    fn skip(&mut self, tombstone: &RangeTombstone) {
        if self.version_max >= tombstone.version {
            return;
        }
        match self.direction {
            Direction::Forward => self.cursor.seek(&tombstone.end),
            Direction::Reverse => self.seek_below(&tombstone.start),
        }
        self.settle();
    }

    fn step(&mut self) {
        match self.direction {
            Direction::Forward => self.cursor.next_key(),
            Direction::Reverse => self.cursor.prev_key(),
        }
    }

    /// Passes over keys that have nothing at or below the version.
    fn settle(&mut self) {
        self.found = None;
        while self.cursor.is_valid() {
            let found = self.cursor.version_at(self.at);
            self.found = found.and_then(|f| Some((f.version, EntryKind::from_number(f.kind)?)));
            if self.found.is_some() {
                return;
            }
            self.step();
        }
    }

    fn stored(&self) -> &[u8] {
        let found = self.cursor.version_at(self.at);
        found.map_or(&[], |found| found.value)
    }

    fn value(&self) -> Value {
        match self.cursor.version_at(self.at) {
            Some(found) if Value::is_copied(found.value.len()) => {
                Value::from(Bytes::copy_from_slice(found.value))
            }
            Some(found) => self.cursor.version_at_owned(found.version).map_or_else(
                || Value::from(Bytes::new()),
                |owned| Value::from_arena(owned.value),
            ),
            None => Value::from(Bytes::new()),
        }
    }
}

/// Where a scan looks for range tombstones.
pub(super) enum ScanCover {
    Memory(Arc<Memory>),
    Tables(Arc<Tables>),
}

impl Cover for ScanCover {
    fn covering(&self, key: &[u8], at: u64) -> Option<u64> {
        match self {
            Self::Memory(memory) => memory.covering(key, at),
            Self::Tables(tables) => tables.covering(key, at),
        }
    }

    fn find(&self, key: &[u8], at: u64) -> Option<Arc<RangeTombstone>> {
        match self {
            Self::Memory(memory) => memory.tombstones().find(key, at).cloned(),
            Self::Tables(tables) => tables.find_tombstone(key, at),
        }
    }
}
