//! Ordered iteration at one version over all sources of a view.
//!
//! Each source is a cursor over keys that gives the newest entry at or below `at` of its current key. A step takes
//! the lowest (or, in reverse, highest) current key; of the sources at it, the newest that has a visible entry
//! decides; range tombstones of any source hide what is older than they are.

use std::sync::Arc;

use bytes::Bytes;
use nokv_art::Cursor;
use nokv_types::Version;

use super::{memory::Memory, view::View};
use crate::{Direction, Error, KeyRange, Keyspace, Record, Value, entry::EntryKind};

/// The entries of a range, at one version, in order: an iterator of `(user key, record)`.
///
/// **Guarantees**: exactly the entries that were visible at its version when it began, however much is written
/// meanwhile. It holds memtables and tables of that moment until dropped: drop it, or page, when it takes minutes.
/// **Errors**: after an error it ends.
pub struct Scan {
    sources: Vec<MemorySource>,
    start: Vec<u8>,
    end: Option<Vec<u8>>,
    at: u64,
    direction: Direction,
    done: bool,
}

struct MemorySource {
    memory: Arc<Memory>,
    cursor: Cursor<Arc<nokv_art::Memtable>>,
}

impl Scan {
    pub(super) fn new(
        view: &View,
        keyspace: Keyspace,
        range: &KeyRange,
        at: u64,
        direction: Direction,
    ) -> Self {
        let start = keyspace.internal_key(range.start()).to_vec();
        let end = match range.end() {
            Some(end) => Some(keyspace.internal_key(end).to_vec()),
            None => keyspace.get().checked_add(1).map(|next| vec![next]),
        };
        let sources = view
            .memories()
            .map(|memory| MemorySource {
                memory: Arc::clone(memory),
                cursor: Cursor::new(Arc::clone(&memory.table)),
            })
            .collect();
        let mut scan = Self {
            sources,
            start,
            end,
            at,
            direction,
            done: false,
        };
        scan.position();
        scan
    }

    fn position(&mut self) {
        for source in &mut self.sources {
            match (self.direction, &self.end) {
                (Direction::Forward, _) => source.cursor.seek(&self.start),
                (Direction::Reverse, None) => source.cursor.seek_to_last(),
                (Direction::Reverse, Some(end)) => {
                    source.cursor.seek_for_prev(end);
                    if source.cursor.key() == Some(end.as_slice()) {
                        source.cursor.prev_key();
                    }
                }
            }
        }
    }

    /// The next key in order over all sources, within the range.
    fn current(&self) -> Option<&[u8]> {
        let keys = self.sources.iter().filter_map(|source| source.cursor.key());
        let key = match self.direction {
            Direction::Forward => keys.min(),
            Direction::Reverse => keys.max(),
        }?;
        let inside =
            self.start.as_slice() <= key && self.end.as_deref().is_none_or(|end| key < end);
        inside.then_some(key)
    }

    /// The visible record of `key`, at which at least one source stands.
    fn visible(&self, key: &[u8]) -> Option<Record> {
        let cover = self
            .sources
            .iter()
            .filter_map(|source| source.memory.covering(key, self.at))
            .max();
        for source in &self.sources {
            if source.cursor.key() != Some(key) {
                continue;
            }
            let Some(found) = source.cursor.version_at(self.at) else {
                continue;
            };
            if found.kind == EntryKind::Delete.number()
                || cover.is_some_and(|cover| cover > found.version)
            {
                return None;
            }
            let version = Version::from_u64(found.version);
            if Value::is_copied(found.value.len()) {
                let value = Value::from(Bytes::copy_from_slice(found.value));
                return Some(Record { version, value });
            }
            let value = Value::from_arena(source.cursor.version_at_owned(self.at)?.value);
            return Some(Record { version, value });
        }
        None
    }

    fn step(&mut self) -> Option<(Bytes, Option<Record>)> {
        let key = Bytes::copy_from_slice(self.current()?);
        let record = self.visible(&key);
        for source in &mut self.sources {
            if source.cursor.key() == Some(&key) {
                match self.direction {
                    Direction::Forward => source.cursor.next_key(),
                    Direction::Reverse => source.cursor.prev_key(),
                }
            }
        }
        Some((key.slice(1..), record))
    }
}

impl Iterator for Scan {
    type Item = Result<(Bytes, Record), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.done {
            match self.step() {
                Some((key, Some(record))) => return Some(Ok((key, record))),
                Some((_, None)) => {}
                None => self.done = true,
            }
        }
        None
    }
}
