//! How many bytes of each value-log file something points at: the exact account of live data.
//!
//! Invariant: the sum over all tables and memtables of a view is the live data of each file; each
//! sum goes from tables that came and tables that went, never from a guess.

use std::collections::BTreeMap;

use super::pointer::Pointer;
use crate::varint;

/// References of one table or memtable, by file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct ValueRefs {
    files: BTreeMap<u64, Live>,
}

/// What is referenced of one file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Live {
    /// Bytes of the entries, heads and keys included.
    pub(crate) bytes: u64,
    pub(crate) entry_count: u64,
}

impl ValueRefs {
    /// Counts the entry that a pointer of a key of this length leads to.
    pub(crate) fn add(&mut self, pointer: &Pointer, key_bytes: usize) {
        self.add_live(
            pointer.file,
            Live {
                bytes: pointer.entry_bytes(key_bytes),
                entry_count: 1,
            },
        );
    }

    /// Adds all of `other`.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (file, live) in other.iter() {
            self.add_live(file, live);
        }
    }

    /// Takes all of `other`, which was added before, out again.
    pub(crate) fn remove(&mut self, other: &Self) {
        for (file, less) in other.iter() {
            if let Some(live) = self.files.get_mut(&file) {
                live.bytes = live.bytes.saturating_sub(less.bytes);
                live.entry_count = live.entry_count.saturating_sub(less.entry_count);
                if live.entry_count == 0 {
                    self.files.remove(&file);
                }
            }
        }
    }

    fn add_live(&mut self, file: u64, more: Live) {
        let live = self.files.entry(file).or_default();
        live.bytes = live.bytes.saturating_add(more.bytes);
        live.entry_count = live.entry_count.saturating_add(more.entry_count);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// By file, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, Live)> + '_ {
        self.files.iter().map(|(file, live)| (*file, *live))
    }

    /// What is referenced of `file`.
    pub(crate) fn of(&self, file: u64) -> Live {
        self.files.get(&file).copied().unwrap_or_default()
    }

    /// Bytes of all files.
    pub(crate) fn byte_count(&self) -> u64 {
        let sum = |sum: u64, live: &Live| sum.saturating_add(live.bytes);
        self.files.values().fold(0, sum)
    }

    /// Appends it: the number of files, then for each the number, bytes and entries as varints.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        varint::put(out, self.files.len() as u64);
        for (file, live) in self.iter() {
            varint::put(out, file);
            varint::put(out, live.bytes);
            varint::put(out, live.entry_count);
        }
    }

    /// Takes it off the front of `input`; `None` when it is not there.
    pub(crate) fn decode(input: &mut &[u8]) -> Option<Self> {
        let count = varint::take(input)?;
        let mut refs = Self::default();
        let mut last = None;
        // No allocation goes by `count`: a false one ends with the input.
        for _ in 0..count {
            let file = varint::take(input)?;
            let live = Live {
                bytes: varint::take(input)?,
                entry_count: varint::take(input)?,
            };
            if last.is_some_and(|last| last >= file) {
                return None;
            }
            last = Some(file);
            refs.files.insert(file, live);
        }
        Some(refs)
    }
}
