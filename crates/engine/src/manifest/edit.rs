//! One change of the set of tables: encode, decode.
//!
//! **Shape**: fields one after another, each a tag byte and its numbers as varints: 1 log start
//! (segment, sequence), 2 last version, 3 next number, 4 removed table (level, number), 5 added
//! table (level, number, bytes, then the summary as in docs/format/table.md), 16 applied index.

use crate::{keyspace::INTERNAL_KEY_BYTES_MAX, table::TableSummary, varint, wal::LogStart};

const TAG_LOG_START: u8 = 1;
const TAG_LAST_VERSION: u8 = 2;
const TAG_NEXT_NUMBER: u8 = 3;
const TAG_REMOVED: u8 = 4;
const TAG_ADDED: u8 = 5;
const TAG_APPLIED_INDEX: u8 = 16;

/// What the manifest knows of a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct TableMeta {
    /// The number in its file name; never given out twice.
    pub(crate) number: u64,
    /// What is in it.
    pub(crate) summary: TableSummary,
}

/// A change of the state, atomic.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Edit {
    pub(crate) log_start: Option<LogStart>,
    pub(crate) last_version: Option<u64>,
    pub(crate) next_number: Option<u64>,
    /// See [`super::State::applied_index`].
    pub(crate) applied_index: Option<u64>,
    /// Level and number.
    pub(crate) removed: Vec<(usize, u64)>,
    /// Level and table.
    pub(crate) added: Vec<(usize, TableMeta)>,
}

impl Edit {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Some(start) = self.log_start {
            put(&mut bytes, TAG_LOG_START, &[start.segment, start.sequence]);
        }
        if let Some(version) = self.last_version {
            put(&mut bytes, TAG_LAST_VERSION, &[version]);
        }
        if let Some(number) = self.next_number {
            put(&mut bytes, TAG_NEXT_NUMBER, &[number]);
        }
        if let Some(index) = self.applied_index {
            put(&mut bytes, TAG_APPLIED_INDEX, &[index]);
        }
        for (level, number) in &self.removed {
            put(&mut bytes, TAG_REMOVED, &[*level as u64, *number]);
        }
        for (level, table) in &self.added {
            put(
                &mut bytes,
                TAG_ADDED,
                &[*level as u64, table.number, table.summary.bytes],
            );
            table.summary.encode(&mut bytes);
        }
        bytes
    }

    /// The edit of these bytes; `None` when they are not one.
    pub(super) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut edit = Self::default();
        while let Some((tag, rest)) = bytes.split_first() {
            bytes = rest;
            match *tag {
                TAG_LOG_START => {
                    let [segment, sequence] = take(&mut bytes)?;
                    edit.log_start = Some(LogStart { segment, sequence });
                }
                TAG_LAST_VERSION => {
                    let [version] = take(&mut bytes)?;
                    edit.last_version = Some(version);
                }
                TAG_NEXT_NUMBER => {
                    let [number] = take(&mut bytes)?;
                    edit.next_number = Some(number);
                }
                TAG_REMOVED => {
                    let [level, number] = take(&mut bytes)?;
                    edit.removed.push((usize::try_from(level).ok()?, number));
                }
                TAG_APPLIED_INDEX => {
                    let [index] = take(&mut bytes)?;
                    edit.applied_index = Some(index);
                }
                TAG_ADDED => edit.added.push(take_table(&mut bytes)?),
                _ => return None,
            }
        }
        Some(edit)
    }
}

fn put(bytes: &mut Vec<u8>, tag: u8, numbers: &[u64]) {
    bytes.push(tag);
    for number in numbers {
        varint::put(bytes, *number);
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u64; N]> {
    let mut numbers = [0; N];
    for number in &mut numbers {
        *number = varint::take(bytes)?;
    }
    Some(numbers)
}

fn take_table(bytes: &mut &[u8]) -> Option<(usize, TableMeta)> {
    let [level, number, file_bytes] = take(bytes)?;
    let summary = TableSummary::decode(bytes, file_bytes).ok()?;
    let is_sound = summary.largest.len() <= INTERNAL_KEY_BYTES_MAX;
    is_sound.then_some((usize::try_from(level).ok()?, TableMeta { number, summary }))
}
