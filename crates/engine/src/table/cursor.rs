//! A position in a table, over all entries: key ascending, then version descending.
//!
//! Invariants:
//! - a block is read only when an entry of it is asked for: a seek into a gap between two blocks,
//!   or to beyond the cursor's bounds, reads none;
//! - range tombstones are not applied here; `crate::merge` does.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    block_cursor::BlockCursor,
    malformed::Malformed,
    partition::Partition,
    payload::BlockSlice,
    read_ahead::{ReadAhead, piece_bytes},
    reader::Table,
};
use crate::{Error, cache::FillCache, entry::EntryKind};

/// How a cursor reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Reading {
    /// Block by block through the cache.
    #[default]
    Cached,
    /// In large pieces past the cache: for compaction and verification, which pass once.
    Ahead {
        /// One piece of a table.
        piece_bytes: usize,
    },
}

impl Reading {
    /// In pieces, by a reader of so many tables at once: their pieces share what memory there is.
    pub(crate) fn ahead(table_count: usize) -> Self {
        Self::Ahead {
            piece_bytes: piece_bytes(table_count),
        }
    }
}

/// What a cursor is asked for, so that it need not read more. Keys outside may or may not be
/// visited.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct CursorOptions {
    /// Keys below it are of no interest (to a cursor that goes backwards).
    pub(crate) lower: Option<Bytes>,
    /// This key and those above it are of no interest (to a cursor that goes forward).
    pub(crate) upper: Option<Bytes>,
    pub(crate) reading: Reading,
}

/// A cursor over a table, at an entry or at none.
///
/// After an error it stands at none.
pub(crate) struct TableCursor {
    table: Arc<Table>,
    options: CursorOptions,
    partition: Option<CurrentPartition>,
    /// Place of the current block in the partition.
    block_index: usize,
    block: BlockCursor,
    ahead: Option<Box<ReadAhead>>,
}

struct CurrentPartition {
    index: usize,
    partition: Arc<Partition>,
}

impl TableCursor {
    /// A cursor at no entry.
    pub(crate) fn new(table: Arc<Table>, options: CursorOptions) -> Self {
        let ahead = match options.reading {
            Reading::Cached => None,
            Reading::Ahead { piece_bytes } => Some(Box::new(ReadAhead::new(piece_bytes))),
        };
        Self {
            table,
            options,
            partition: None,
            block_index: 0,
            block: BlockCursor::default(),
            ahead,
        }
    }

    pub(crate) fn is_valid(&self) -> bool {
        self.block.is_valid()
    }

    /// The key of the current entry.
    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        self.block.key()
    }

    /// Whether the last `next` was to another version of the same key.
    #[inline]
    pub(crate) fn is_same_key(&self) -> bool {
        self.block.is_same_key()
    }

    #[inline]
    pub(crate) fn version(&self) -> u64 {
        self.block.version()
    }

    #[inline]
    pub(crate) fn kind(&self) -> EntryKind {
        self.block.kind()
    }

    /// The value, not copied, until the cursor moves.
    #[inline]
    pub(crate) fn value(&self) -> &[u8] {
        self.block.value()
    }

    /// The value, not copied, as a slice that keeps its block in memory.
    pub(crate) fn value_bytes(&self) -> BlockSlice {
        self.block.value_bytes()
    }

    /// To the first entry.
    pub(crate) fn seek_to_first(&mut self) -> Result<(), Error> {
        self.block.leave();
        self.enter_partition(0)?;
        self.enter_blocks_up(0, |block| block.seek_to_first())
    }

    /// To the last entry.
    pub(crate) fn seek_to_last(&mut self) -> Result<(), Error> {
        self.block.leave();
        let Some(last) = self.table.top().entry_count().checked_sub(1) else {
            return Ok(());
        };
        self.enter_partition(last)?;
        let count = self
            .partition
            .as_ref()
            .map_or(0, |partition| partition.partition.index.entry_count());
        self.enter_blocks_down(count, |block| block.seek_to_last())
    }

    /// To the first entry at or after `(key, version)`; `u64::MAX` for the newest version of the
    /// key.
    pub(crate) fn seek(&mut self, key: &[u8], version: u64) -> Result<(), Error> {
        self.block.leave();
        let top = self.table.sound(self.table.top().seek(key, version))?;
        self.enter_partition(top)?;
        let Some(partition) = &self.partition else {
            return Ok(());
        };
        let index = self.sound(partition, partition.partition.index.seek(key, version))?;
        self.enter_blocks_up(index, |block| block.seek(key, version))
    }

    /// To the last entry at or before `(key, version)`; 0 for the oldest version of the key.
    pub(crate) fn seek_for_prev(&mut self, key: &[u8], version: u64) -> Result<(), Error> {
        self.block.leave();
        let top = self.table.sound(self.table.top().seek_for_prev(key))?;
        let Some(top) = top.checked_sub(1) else {
            return Ok(());
        };
        self.enter_partition(top)?;
        let Some(partition) = &self.partition else {
            return Ok(());
        };
        let count = self.sound(partition, partition.partition.index.seek_for_prev(key))?;
        self.enter_blocks_down(count, |block| block.seek_for_prev(key, version))
    }

    /// To the next entry.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<(), Error> {
        if !self.block.is_valid() {
            return Ok(());
        }
        if let Err(error) = self.block.next() {
            return Err(self.block_damaged(error));
        }
        if self.block.is_valid() {
            return Ok(());
        }
        self.enter_blocks_up(self.block_index + 1, |block| block.seek_to_first())
    }

    /// To the entry before.
    pub(crate) fn prev(&mut self) -> Result<(), Error> {
        if !self.block.is_valid() {
            return Ok(());
        }
        if let Err(error) = self.block.prev() {
            return Err(self.block_damaged(error));
        }
        if self.block.is_valid() {
            return Ok(());
        }
        self.enter_blocks_down(self.block_index, |block| block.seek_to_last())
    }

    /// Tries the blocks from `index` on, over partitions, until `place` finds an entry or the bound
    /// is met.
    fn enter_blocks_up(
        &mut self,
        index: usize,
        place: impl Fn(&mut BlockCursor) -> Result<(), Malformed>,
    ) -> Result<(), Error> {
        let mut index = index;
        self.block.leave();
        while let Some(partition) = &self.partition {
            if index >= partition.partition.index.entry_count() {
                let next = partition.index + 1;
                if let Some(upper) = &self.options.upper
                    && next < self.table.top().entry_count()
                    && self
                        .table
                        .sound(self.table.top().begins_at_or_above(next, upper))?
                {
                    return Ok(());
                }
                self.enter_partition(next)?;
                index = 0;
                continue;
            }
            if let Some(upper) = &self.options.upper {
                let beyond = partition.partition.index.begins_at_or_above(index, upper);
                if self.sound(partition, beyond)? {
                    return Ok(());
                }
            }
            self.enter_block(index)?;
            if let Err(error) = place(&mut self.block) {
                return Err(self.block_damaged(error));
            }
            if self.block.is_valid() {
                return Ok(());
            }
            index += 1;
        }
        Ok(())
    }

    /// Tries the blocks before `end`, from the last down.
    fn enter_blocks_down(
        &mut self,
        end: usize,
        place: impl Fn(&mut BlockCursor) -> Result<(), Malformed>,
    ) -> Result<(), Error> {
        let mut end = end;
        self.block.leave();
        while let Some(partition) = &self.partition {
            let Some(index) = end.checked_sub(1) else {
                let Some(before) = partition.index.checked_sub(1) else {
                    return Ok(());
                };
                if let Some(lower) = &self.options.lower
                    && self.table.sound(self.table.top().is_below(before, lower))?
                {
                    return Ok(());
                }
                self.enter_partition(before)?;
                end = self
                    .partition
                    .as_ref()
                    .map_or(0, |now| now.partition.index.entry_count());
                continue;
            };
            if let Some(lower) = &self.options.lower {
                let beyond = partition.partition.index.is_below(index, lower);
                if self.sound(partition, beyond)? {
                    return Ok(());
                }
            }
            self.enter_block(index)?;
            if let Err(error) = place(&mut self.block) {
                return Err(self.block_damaged(error));
            }
            if self.block.is_valid() {
                return Ok(());
            }
            end = index;
        }
        Ok(())
    }

    /// Makes a partition the current one; none when there is no such partition.
    fn enter_partition(&mut self, index: usize) -> Result<(), Error> {
        if self
            .partition
            .as_ref()
            .is_some_and(|partition| partition.index == index)
        {
            return Ok(());
        }
        self.partition = None;
        let top = self.table.top();
        if index >= top.entry_count() {
            return Ok(());
        }
        let fill = match self.options.reading {
            Reading::Cached => FillCache::Yes,
            Reading::Ahead { .. } => FillCache::No,
        };
        let partition = self.table.partition(index, fill)?.into_owned();
        self.partition = Some(CurrentPartition { index, partition });
        Ok(())
    }

    fn enter_block(&mut self, index: usize) -> Result<(), Error> {
        let Some(partition) = &self.partition else {
            return Ok(());
        };
        let handle = self.sound(partition, partition.partition.index.handle(index))?;
        let block = match &mut self.ahead {
            Some(ahead) => self.table.data_block_ahead(handle, ahead)?,
            None => self
                .table
                .data_block_of_scan(&partition.partition, index, handle)?,
        };
        if self.ahead.is_none() {
            partition.partition.frames.prefetch(index + 1);
        }
        self.block_index = index;
        self.block.enter(block);
        Ok(())
    }

    fn sound<T>(
        &self,
        partition: &CurrentPartition,
        answer: Result<T, Malformed>,
    ) -> Result<T, Error> {
        answer.map_err(|error| self.table.partition_damaged(partition.index, error))
    }

    #[cold]
    fn block_damaged(&mut self, error: Malformed) -> Error {
        self.block.leave();
        let handle = self
            .partition
            .as_ref()
            .and_then(|partition| partition.partition.index.handle(self.block_index).ok());
        self.table.damaged(handle.unwrap_or_default(), error)
    }
}
