//! Ordered iteration at one version over all sources of a view.
//!
//! A step takes the lowest (or, in reverse, highest) key at which a source stands; of the sources
//! at it, the newest decides; range tombstones of any source hide what is older than they are.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    memory::Memory,
    source::{Bounds, LevelSource, MemorySource, Source},
    tables::Tables,
    view::View,
};
use crate::{Direction, Error, KeyRange, Keyspace, Record, entry::EntryKind};

/// The entries of a range, at one version, in order: an iterator of `(user key, record)`.
///
/// **Guarantees**: exactly the entries that were visible at its version when it began, however much
/// is written meanwhile. It holds memtables and tables of that moment until dropped: drop it, or
/// page, when it takes minutes.
/// **Errors**: `Corrupt`, `Io`; after one it ends.
pub struct Scan {
    /// Newest first.
    sources: Vec<Source>,
    memories: Vec<Arc<Memory>>,
    tables: Arc<Tables>,
    bounds: Bounds,
    is_done: bool,
}

impl Scan {
    pub(super) fn new(
        view: &View,
        keyspace: Keyspace,
        range: &KeyRange,
        at: u64,
        direction: Direction,
    ) -> Result<Self, Error> {
        let internal = |key: &[u8]| Bytes::copy_from_slice(&keyspace.internal_key(key));
        let end = match range.end() {
            Some(end) => Some(internal(end)),
            None => keyspace
                .get()
                .checked_add(1)
                .map(|next| Bytes::copy_from_slice(&[next])),
        };
        let bounds = Bounds {
            start: internal(range.start()),
            end,
            at,
            direction,
        };
        let mut scan = Self {
            sources: Vec::new(),
            memories: view.memories().cloned().collect(),
            tables: Arc::clone(&view.tables),
            is_done: range.end().is_some_and(|end| end <= range.start()),
            bounds,
        };
        if !scan.is_done {
            scan.add_sources()?;
        }
        Ok(scan)
    }

    fn add_sources(&mut self) -> Result<(), Error> {
        let memories = self.memories.iter().map(|memory| MemorySource::new(memory));
        self.sources.extend(memories.map(Source::Memory));
        for (level, tables) in self.tables.levels.iter().enumerate() {
            let own: Vec<_> = tables
                .iter()
                .filter(|table| self.overlaps(table))
                .cloned()
                .collect();
            if level == 0 {
                let each = own.into_iter().map(|table| LevelSource::new(vec![table]));
                self.sources
                    .extend(each.map(|source| Source::Level(Box::new(source))));
            } else if !own.is_empty() {
                self.sources
                    .push(Source::Level(Box::new(LevelSource::new(own))));
            }
        }
        self.sources
            .iter_mut()
            .try_for_each(|source| source.seek(&self.bounds))
    }

    fn overlaps(&self, table: &crate::table::Table) -> bool {
        let summary = table.summary();
        summary.largest.as_slice() >= self.bounds.start.as_ref()
            && self
                .bounds
                .end
                .as_ref()
                .is_none_or(|end| summary.smallest.as_slice() < end)
            && summary.version_min <= self.bounds.at
    }

    /// The next key in order over all sources, within the range.
    fn current(&self) -> Option<&[u8]> {
        let keys = self.sources.iter().filter_map(Source::key);
        let key = match self.bounds.direction {
            Direction::Forward => keys.min(),
            Direction::Reverse => keys.max(),
        }?;
        let is_inside = self.bounds.start.as_ref() <= key
            && self
                .bounds
                .end
                .as_ref()
                .is_none_or(|end| key < end.as_ref());
        is_inside.then_some(key)
    }

    /// The visible record of `key`, at which at least one source stands.
    fn visible(&self, key: &[u8]) -> Option<Record> {
        let at = self.bounds.at;
        let source = self
            .sources
            .iter()
            .find(|source| source.key() == Some(key))?;
        let (version, kind) = source.entry(at)?;
        if kind == EntryKind::Delete {
            return None;
        }
        let memories = self
            .memories
            .iter()
            .filter_map(|memory| memory.covering(key, at))
            .max();
        let cover = memories.max(self.tables.covering(key, at));
        if cover.is_some_and(|cover| cover > version) {
            return None;
        }
        source.record(at)
    }

    fn step(&mut self) -> Result<Option<(Bytes, Option<Record>)>, Error> {
        let Some(key) = self.current().map(Bytes::copy_from_slice) else {
            return Ok(None);
        };
        let record = self.visible(&key);
        for source in &mut self.sources {
            if source.key() == Some(&key) {
                source.step(&self.bounds)?;
            }
        }
        Ok(Some((key.slice(1..), record)))
    }
}

impl Iterator for Scan {
    type Item = Result<(Bytes, Record), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.is_done {
            match self.step() {
                Ok(Some((key, Some(record)))) => return Some(Ok((key, record))),
                Ok(Some((_, None))) => {}
                Ok(None) => self.is_done = true,
                Err(error) => {
                    self.is_done = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

impl std::fmt::Debug for Scan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scan")
            .field("bounds", &self.bounds)
            .finish_non_exhaustive()
    }
}
