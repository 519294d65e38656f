//! A position in one data block.
//!
//! Invariants: `key` is the whole key of the current entry, so the next one can be put together
//! from it; stepping allocates nothing once the buffers have grown. Backwards, a restart interval
//! is decoded once and stepped through.

use std::{cmp::Ordering, ops::Range};

use nokv_art::prefetch_bytes;

use super::{data_block::DataBlock, entry::Entry, malformed::Malformed, payload::BlockSlice};
use crate::entry::EntryKind;

/// A cursor over a block that it holds; it stands at an entry, or at none.
#[derive(Default)]
pub(crate) struct BlockCursor {
    block: Option<DataBlock>,
    key: Vec<u8>,
    /// Where the current entry begins.
    offset: usize,
    current: Option<Entry>,
    /// The entry has the key of the one before it.
    is_same_key: bool,
    interval: Interval,
}

/// The entries of one restart interval, for stepping backwards.
#[derive(Default)]
struct Interval {
    restart: Option<usize>,
    keys: Vec<u8>,
    entries: Vec<(usize, Range<usize>, Entry)>,
    /// The current entry's place.
    place: usize,
}

impl BlockCursor {
    /// Stands before the first entry of `block`, at none.
    pub(crate) fn enter(&mut self, block: DataBlock) {
        self.leave();
        self.block = Some(block);
    }

    /// Lets the block go.
    pub(crate) fn leave(&mut self) {
        self.block = None;
        self.current = None;
        self.interval.restart = None;
    }

    pub(crate) fn is_valid(&self) -> bool {
        self.current.is_some()
    }

    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    /// Whether the last step, upwards, was to another version of the same key.
    #[inline]
    pub(crate) fn is_same_key(&self) -> bool {
        self.is_same_key
    }

    #[inline]
    pub(crate) fn version(&self) -> u64 {
        self.current.as_ref().map_or(0, |entry| entry.version)
    }

    #[inline]
    pub(crate) fn kind(&self) -> EntryKind {
        self.current
            .as_ref()
            .map_or(EntryKind::Delete, |entry| entry.kind)
    }

    #[inline]
    pub(crate) fn value(&self) -> &[u8] {
        match (&self.block, &self.current) {
            (Some(block), Some(entry)) => block.payload().get(entry.value()).unwrap_or_default(),
            _ => &[],
        }
    }

    /// The value as a slice of the block that keeps it in memory.
    pub(crate) fn value_bytes(&self) -> BlockSlice {
        match (&self.block, &self.current) {
            (Some(block), Some(entry)) => block.payload().clone().into_slice(entry.value()),
            _ => BlockSlice::default(),
        }
    }

    /// To the first entry.
    pub(crate) fn seek_to_first(&mut self) -> Result<(), Malformed> {
        let Some(block) = &self.block else {
            return Ok(());
        };
        self.interval.restart = None;
        let start = block.start();
        // The key is still that of the block before.
        let rest = self.key.strip_prefix(block.prefix());
        let first = block.entry(start).ok();
        let is_same_key = rest
            .zip(first)
            .is_some_and(|(rest, first)| rest == block.rest(&first));
        self.begin_key();
        self.read_at(start)?;
        self.is_same_key = is_same_key;
        Ok(())
    }

    /// To the first entry at or after `(key, version)`; to none if there is none.
    pub(crate) fn seek(&mut self, key: &[u8], version: u64) -> Result<(), Malformed> {
        let Some(block) = &self.block else {
            return Ok(());
        };
        let restart = block.restart_before(key, version)?;
        let offset = block.restart(restart)?;
        self.interval.restart = None;
        self.begin_key();
        self.read_at(offset)?;
        while self.is_valid() && self.order(key, version) == Ordering::Less {
            self.next()?;
        }
        Ok(())
    }

    /// To the next entry; to none after the last.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<(), Malformed> {
        match &self.current {
            Some(entry) => {
                let offset = entry.end();
                self.interval.restart = None;
                self.read_at(offset)
            }
            None => Ok(()),
        }
    }

    /// To the last entry.
    pub(crate) fn seek_to_last(&mut self) -> Result<(), Malformed> {
        let Some(block) = &self.block else {
            return Ok(());
        };
        self.load_interval(block.restart_count().saturating_sub(1))?;
        self.step_back_from(self.interval.entries.len())
    }

    /// To the last entry at or before `(key, version)`; to none if there is none.
    pub(crate) fn seek_for_prev(&mut self, key: &[u8], version: u64) -> Result<(), Malformed> {
        let Some(block) = &self.block else {
            return Ok(());
        };
        self.load_interval(block.restart_at_or_before(key, version)?)?;
        let interval = &self.interval;
        let count = interval.entries.partition_point(|(_, range, entry)| {
            let found = interval.keys.get(range.clone()).unwrap_or_default();
            found.cmp(key).then_with(|| version.cmp(&entry.version)) != Ordering::Greater
        });
        self.step_back_from(count)
    }

    /// To the entry before; to none before the first.
    pub(crate) fn prev(&mut self) -> Result<(), Malformed> {
        let (Some(block), Some(_)) = (&self.block, &self.current) else {
            return Ok(());
        };
        if self.interval.restart.is_none() {
            let restart = block.restart_of(self.offset)?;
            let offset = self.offset;
            self.load_interval(restart)?;
            let entries = &self.interval.entries;
            self.interval.place = entries.partition_point(|(start, _, _)| *start < offset);
        }
        self.step_back_from(self.interval.place)
    }

    /// How the current entry compares to `(key, version)`.
    #[inline]
    pub(crate) fn order(&self, key: &[u8], version: u64) -> Ordering {
        self.key
            .as_slice()
            .cmp(key)
            .then_with(|| version.cmp(&self.version()))
    }

    /// What an entry at a restart point shares: the block's prefix.
    fn begin_key(&mut self) {
        self.key.clear();
        if let Some(block) = &self.block {
            self.key.extend_from_slice(block.prefix());
        }
    }

    /// Reads the entry at `offset`; `key` is that of the entry before, or the prefix at a restart
    /// point.
    #[inline]
    fn read_at(&mut self, offset: usize) -> Result<(), Malformed> {
        let Some(block) = &self.block else {
            return Ok(());
        };
        if offset >= block.payload().len() {
            self.current = None;
            return Ok(());
        }
        let entry = block.entry(offset)?;
        if entry.shared() > self.key.len() {
            return Err(short_key(offset));
        }
        let rest = block.rest(&entry);
        // The first byte tells everywhere but at restart points: the shared part is all that two
        // neighbours have in common.
        let before = self.key.get(entry.shared()..).unwrap_or_default();
        self.is_same_key = before.first() == rest.first() && before == rest;
        if !self.is_same_key {
            self.key.truncate(entry.shared());
            self.key.extend_from_slice(rest);
        }
        // A large value is beyond what the processor loads ahead by itself.
        prefetch_bytes(block.payload(), entry.end());
        self.offset = offset;
        self.current = Some(entry);
        Ok(())
    }

    /// Decodes all entries of a restart interval.
    fn load_interval(&mut self, restart: usize) -> Result<(), Malformed> {
        let Some(block) = &self.block else {
            return Ok(());
        };
        let interval = &mut self.interval;
        interval.restart = None;
        interval.keys.clear();
        interval.entries.clear();
        let (mut offset, end) = (block.restart(restart)?, block.restart(restart + 1)?);
        interval.keys.extend_from_slice(block.prefix());
        let mut before = 0..interval.keys.len();
        while offset < end {
            let entry = block.entry(offset)?;
            if entry.shared() > before.len() {
                return Err(short_key(offset));
            }
            let start = interval.keys.len();
            interval
                .keys
                .extend_from_within(before.start..before.start + entry.shared());
            let rest = block.rest(&entry);
            interval.keys.extend_from_slice(rest);
            before = start..interval.keys.len();
            let next = entry.end();
            interval.entries.push((offset, before.clone(), entry));
            offset = next;
        }
        interval.restart = Some(restart);
        Ok(())
    }

    /// To the entry before `place` of the interval, in the intervals before when `place` is the
    /// first.
    fn step_back_from(&mut self, place: usize) -> Result<(), Malformed> {
        let mut place = place;
        while place == 0 {
            let Some(restart) = self.interval.restart.and_then(|at| at.checked_sub(1)) else {
                self.current = None;
                return Ok(());
            };
            self.load_interval(restart)?;
            place = self.interval.entries.len();
        }
        let interval = &mut self.interval;
        interval.place = place - 1;
        if let Some((offset, range, entry)) = interval.entries.get(interval.place) {
            self.key.clear();
            self.key
                .extend_from_slice(interval.keys.get(range.clone()).unwrap_or_default());
            self.offset = *offset;
            self.current = Some(*entry);
        }
        Ok(())
    }
}

#[cold]
fn short_key(offset: usize) -> Malformed {
    Malformed::new(
        "an entry that shares what is there",
        format!("more at byte {offset}"),
    )
}
