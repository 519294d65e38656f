//! What is known of a table without reading it: for the manifest, and for choosing compactions.
//!
//! The same encoding is the table's properties block and part of the manifest's edits.
//!
//! Invariants: `smallest..=largest` covers every key and every range tombstone (a tombstone's
//! exclusive end counts as `largest`, so two neighbours of a level may meet in one key); all
//! versions lie in `version_min..=version_max`.

use super::{
    garbage::{Garbage, SPANS_MAX, Span},
    malformed::Malformed,
};
use crate::{varint, vlog::ValueRefs};

/// A table, summed up.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct TableSummary {
    /// Length of the file. Not part of the properties block, which is in the file.
    pub(crate) bytes: u64,
    /// Entries: puts and deletions.
    pub(crate) entry_count: u64,
    /// Distinct user keys among the entries.
    pub(crate) key_count: u64,
    /// Deletions among the entries.
    pub(crate) tombstone_count: u64,
    pub(crate) range_tombstone_count: u64,
    pub(crate) smallest: Vec<u8>,
    pub(crate) largest: Vec<u8>,
    pub(crate) version_min: u64,
    pub(crate) version_max: u64,
    /// Keys and values before any compression, those in the value log included.
    pub(crate) content_bytes: u64,
    pub(crate) data_block_count: u64,
    /// Index blocks, without their filters, before compression.
    pub(crate) index_bytes: u64,
    pub(crate) filter_bytes: u64,
    /// What a compaction could drop, in bytes of content.
    pub(crate) garbage: Garbage,
    /// What its pointers lead to in the value log.
    pub(crate) value_refs: ValueRefs,
}

impl TableSummary {
    /// Whether there is nothing in the table at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.entry_count == 0 && self.range_tombstone_count == 0
    }

    /// The part of the file that newer entries of the same table do not hide, bytes.
    pub(crate) fn live_bytes(&self) -> u64 {
        let content = u128::from(self.content_bytes.max(1));
        let garbage = u128::from(self.garbage.byte_count()).min(content);
        let live = u128::from(self.bytes) * (content - garbage) / content;
        u64::try_from(live).unwrap_or(self.bytes)
    }

    /// Takes an entry or tombstone into the bounds of keys and versions.
    pub(super) fn widen(&mut self, smallest: &[u8], largest: &[u8], version: u64) {
        if self.is_empty() {
            self.smallest = smallest.to_vec();
            self.largest = largest.to_vec();
            (self.version_min, self.version_max) = (version, version);
            return;
        }
        if smallest < self.smallest.as_slice() {
            self.smallest = smallest.to_vec();
        }
        if largest > self.largest.as_slice() {
            self.largest.clear();
            self.largest.extend_from_slice(largest);
        }
        self.version_min = self.version_min.min(version);
        self.version_max = self.version_max.max(version);
    }

    fn numbers(&self) -> [u64; 10] {
        [
            self.entry_count,
            self.key_count,
            self.tombstone_count,
            self.range_tombstone_count,
            self.version_min,
            self.version_max,
            self.content_bytes,
            self.data_block_count,
            self.index_bytes,
            self.filter_bytes,
        ]
    }

    /// Appends everything but [`TableSummary::bytes`].
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        for number in self.numbers() {
            varint::put(out, number);
        }
        for key in [&self.smallest, &self.largest] {
            varint::put(out, key.len() as u64);
            out.extend_from_slice(key);
        }
        varint::put(out, self.garbage.spans().len() as u64);
        for span in self.garbage.spans() {
            varint::put(out, span.from);
            varint::put(out, span.until);
            varint::put(out, span.bytes);
        }
        self.value_refs.encode(out);
    }

    /// Takes a summary off the front of `input`, for a table of `bytes` bytes.
    ///
    /// # Errors
    /// [`Malformed`] when it ends within the summary or what it says can't be.
    pub(crate) fn decode(input: &mut &[u8], bytes: u64) -> Result<Self, Malformed> {
        Self::decode_or_none(input, bytes)
            .ok_or_else(|| Malformed::new("a summary of a table", "bytes that don't parse as one"))
    }

    fn decode_or_none(input: &mut &[u8], bytes: u64) -> Option<Self> {
        let mut number = || varint::take(input);
        let mut summary = Self {
            bytes,
            entry_count: number()?,
            key_count: number()?,
            tombstone_count: number()?,
            range_tombstone_count: number()?,
            version_min: number()?,
            version_max: number()?,
            content_bytes: number()?,
            data_block_count: number()?,
            index_bytes: number()?,
            filter_bytes: number()?,
            ..Self::default()
        };
        summary.smallest = take_key(input)?;
        summary.largest = take_key(input)?;
        let span_count = varint::take(input).filter(|count| *count <= SPANS_MAX as u64)?;
        for _ in 0..span_count {
            let mut number = || varint::take(input);
            let span = Span {
                from: number()?,
                until: number()?,
                bytes: number()?,
            };
            summary.garbage.add(span);
        }
        summary.value_refs = ValueRefs::decode(input)?;
        let is_possible = summary.smallest <= summary.largest
            && summary.version_min <= summary.version_max
            && summary.key_count <= summary.entry_count
            && summary.tombstone_count <= summary.entry_count;
        is_possible.then_some(summary)
    }
}

fn take_key(input: &mut &[u8]) -> Option<Vec<u8>> {
    let length = usize::try_from(varint::take(input)?).ok()?;
    let (key, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(key.to_vec())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::vlog::Pointer;

    proptest! {
        #[test]
        fn a_summary_survives(
            keys: [Vec<u8>; 2],
            versions: [u64; 2],
            counts: [u32; 2],
            spans in proptest::collection::vec((0..99_u64, 0..99_u64, 1..9_u64), 0..20),
        ) {
            let mut summary = TableSummary { bytes: 7, ..TableSummary::default() };
            for (key, version) in keys.iter().zip(versions) {
                summary.widen(key, key, version);
                summary.entry_count += u64::from(counts[0]);
            }
            summary.index_bytes = counts[1].into();
            for (file, _, bytes) in &spans {
                let pointer = Pointer {
                    file: *file,
                    offset: 0,
                    stored_bytes: u32::try_from(*bytes).unwrap(),
                    checksum: 0,
                };
                summary.value_refs.add(&pointer, 5);
            }
            for (from, length, bytes) in spans {
                summary.garbage.add(Span { from, until: from + length, bytes });
            }
            let mut encoded = Vec::new();
            summary.encode(&mut encoded);
            let mut input = encoded.as_slice();
            prop_assert_eq!(TableSummary::decode(&mut input, 7), Ok(summary));
            prop_assert!(input.is_empty());
            for cut in 0..encoded.len() {
                prop_assert!(TableSummary::decode(&mut &encoded[..cut], 7).is_err());
            }
        }

        #[test]
        fn any_bytes_are_an_error_or_a_summary(bytes: Vec<u8>) {
            TableSummary::decode(&mut bytes.as_slice(), 0).ok();
        }
    }
}
