//! A walk over tables that follow each other: those of a level below 0, or a single one.
//!
//! Invariants: the tables are in order and share no key (they may meet in one where a range
//! tombstone ends); a table is touched only when the walk reaches it, so a scan of one directory
//! costs one table of each level.

use std::sync::Arc;

use crate::{
    Error,
    entry::EntryKind,
    table::{BlockSlice, CursorOptions, Table, TableCursor},
};

/// A cursor over the entries of the tables, at an entry or at none.
pub(crate) struct LevelCursor {
    tables: Arc<[Arc<Table>]>,
    options: CursorOptions,
    /// The table of the cursor.
    index: usize,
    cursor: Option<TableCursor>,
}

impl LevelCursor {
    /// A cursor at no entry.
    pub(crate) fn new(tables: Arc<[Arc<Table>]>, options: CursorOptions) -> Self {
        Self {
            tables,
            options,
            index: 0,
            cursor: None,
        }
    }

    #[inline]
    pub(crate) fn is_valid(&self) -> bool {
        self.cursor.as_ref().is_some_and(TableCursor::is_valid)
    }

    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        self.cursor.as_ref().map_or(&[], TableCursor::key)
    }

    /// Whether the last `next` was to another version of the same key.
    #[inline]
    pub(crate) fn is_same_key(&self) -> bool {
        self.cursor.as_ref().is_some_and(TableCursor::is_same_key)
    }

    #[inline]
    pub(crate) fn version(&self) -> u64 {
        self.cursor.as_ref().map_or(0, TableCursor::version)
    }

    #[inline]
    pub(crate) fn kind(&self) -> EntryKind {
        self.cursor
            .as_ref()
            .map_or(EntryKind::Delete, TableCursor::kind)
    }

    #[inline]
    pub(crate) fn value(&self) -> &[u8] {
        self.cursor.as_ref().map_or(&[], TableCursor::value)
    }

    pub(crate) fn value_bytes(&self) -> BlockSlice {
        self.cursor
            .as_ref()
            .map_or_else(BlockSlice::default, TableCursor::value_bytes)
    }

    pub(crate) fn seek_to_first(&mut self) -> Result<(), Error> {
        self.enter(0);
        if let Some(cursor) = &mut self.cursor {
            cursor.seek_to_first()?;
        }
        self.find_up(TableCursor::seek_to_first)
    }

    pub(crate) fn seek_to_last(&mut self) -> Result<(), Error> {
        self.enter(self.tables.len().wrapping_sub(1));
        if let Some(cursor) = &mut self.cursor {
            cursor.seek_to_last()?;
        }
        self.find_down(TableCursor::seek_to_last)
    }

    /// No entry in `start..end` has a version above it.
    pub(crate) fn version_max_within(&self, start: &[u8], end: &[u8]) -> u64 {
        let is_before = |table: &Arc<Table>| table.summary().largest.as_slice() < start;
        let first = self.tables.partition_point(is_before);
        let tables = self.tables.iter().skip(first);
        let within = tables.take_while(|table| table.summary().smallest.as_slice() < end);
        let versions = within.map(|table| table.summary().version_max);
        versions.max().unwrap_or(0)
    }

    /// To the first entry at or after `(key, version)`.
    pub(crate) fn seek(&mut self, key: &[u8], version: u64) -> Result<(), Error> {
        let is_before = |table: &Arc<Table>| table.summary().largest.as_slice() < key;
        let index = self.tables.partition_point(is_before);
        if self.cursor.is_none() || index != self.index {
            self.enter(index);
        }
        if let Some(cursor) = &mut self.cursor {
            cursor.seek(key, version)?;
        }
        // A table may end, by a range tombstone, at the first key of the next one, whose versions
        // have to be sought through too.
        self.find_up(|cursor| cursor.seek(key, version))
    }

    /// To the last entry at or before `(key, version)`.
    pub(crate) fn seek_for_prev(&mut self, key: &[u8], version: u64) -> Result<(), Error> {
        let is_begun = |table: &Arc<Table>| table.summary().smallest.as_slice() <= key;
        let count = self.tables.partition_point(is_begun);
        self.enter(count.wrapping_sub(1));
        if let Some(cursor) = &mut self.cursor {
            cursor.seek_for_prev(key, version)?;
        }
        self.find_down(|cursor| cursor.seek_for_prev(key, version))
    }

    #[inline]
    pub(crate) fn next(&mut self) -> Result<(), Error> {
        let Some(cursor) = &mut self.cursor else {
            return Ok(());
        };
        cursor.next()?;
        if cursor.is_valid() {
            return Ok(());
        }
        self.find_up(TableCursor::seek_to_first)
    }

    #[inline]
    pub(crate) fn prev(&mut self) -> Result<(), Error> {
        let Some(cursor) = &mut self.cursor else {
            return Ok(());
        };
        cursor.prev()?;
        if cursor.is_valid() {
            return Ok(());
        }
        self.find_down(TableCursor::seek_to_last)
    }

    /// While the current table has no more entries, where `place` goes in the next one, unless it
    /// is beyond the bounds.
    fn find_up(
        &mut self,
        place: impl Fn(&mut TableCursor) -> Result<(), Error>,
    ) -> Result<(), Error> {
        while self
            .cursor
            .as_ref()
            .is_some_and(|cursor| !cursor.is_valid())
        {
            self.enter(self.index + 1);
            let begins_beyond = |table: &Arc<Table>| {
                let upper = self.options.upper.as_deref();
                upper.is_some_and(|upper| upper <= table.summary().smallest.as_slice())
            };
            if self.tables.get(self.index).is_some_and(begins_beyond) {
                self.cursor = None;
            }
            if let Some(cursor) = &mut self.cursor {
                place(cursor)?;
            }
        }
        Ok(())
    }

    /// As [`LevelCursor::find_up`], downwards.
    fn find_down(
        &mut self,
        place: impl Fn(&mut TableCursor) -> Result<(), Error>,
    ) -> Result<(), Error> {
        while self
            .cursor
            .as_ref()
            .is_some_and(|cursor| !cursor.is_valid())
        {
            self.enter(self.index.wrapping_sub(1));
            let ends_before = |table: &Arc<Table>| {
                let lower = self.options.lower.as_deref();
                lower.is_some_and(|lower| table.summary().largest.as_slice() < lower)
            };
            if self.tables.get(self.index).is_some_and(ends_before) {
                self.cursor = None;
            }
            if let Some(cursor) = &mut self.cursor {
                place(cursor)?;
            }
        }
        Ok(())
    }

    /// Makes a table the current one; at none when there is no such table.
    fn enter(&mut self, index: usize) {
        self.index = index;
        self.cursor = self
            .tables
            .get(index)
            .map(|table| TableCursor::new(Arc::clone(table), self.options.clone()));
    }
}
