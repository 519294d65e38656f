//! Fills one index block: for each block below it, the bounds of its keys and where it lies.
//!
//! Used twice: partitions list data blocks and carry the filter of their keys; the top index lists
//! partitions.
//!
//! Invariants: `lower` is at or below the first key of a block and `upper` at or above its last,
//! tight but for giant keys; both never go down from one entry to the next. A scan of a gap between
//! two blocks therefore reads neither.

use super::{
    data_builder::{common_prefix, length},
    filter,
    heads::head,
    layout::{BOUND_BYTES_MAX, Handle},
};
use crate::{range::successor_of_prefix, varint};

/// What the index says of one block.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    pub(crate) lower: Vec<u8>,
    pub(crate) upper: Vec<u8>,
    /// The version of the block's last entry: where the versions of one key go on in the next
    /// block.
    pub(crate) last_version: u64,
}

impl Bounds {
    /// The bounds of a block from its first key to its last entry; giant keys are cut.
    pub(crate) fn of(first: &[u8], last: &[u8], last_version: u64) -> Self {
        let cut = |key: &[u8]| key.get(..BOUND_BYTES_MAX).map(<[u8]>::to_vec);
        let lower = cut(first).unwrap_or_else(|| first.to_vec());
        let upper = if last.len() > BOUND_BYTES_MAX {
            cut(last).and_then(|prefix| successor_of_prefix(&prefix))
        } else {
            None
        };
        match upper {
            // No key of the block equals this bound, so no version of it may be skipped by one.
            Some(upper) => Self {
                lower,
                upper,
                last_version: 0,
            },
            None => Self {
                lower,
                upper: last.to_vec(),
                last_version,
            },
        }
    }
}

/// The index block being filled.
#[derive(Default)]
pub(crate) struct IndexBuilder {
    entries: Vec<(Bounds, Handle)>,
    bound_bytes: usize,
    hashes: Vec<u64>,
}

impl IndexBuilder {
    /// About the size of the payload if it ended now.
    pub(crate) fn byte_count(&self) -> usize {
        let filter_bytes = self.hashes.len() * filter::BITS_PER_KEY / 8;
        self.bound_bytes + self.entries.len() * 28 + filter_bytes
    }

    pub(crate) fn hash_count(&self) -> usize {
        self.hashes.len()
    }

    /// A key of the blocks to come is in them: for the filter.
    pub(crate) fn add_hash(&mut self, hash: u64) {
        self.hashes.push(hash);
    }

    pub(crate) fn add(&mut self, bounds: Bounds, handle: Handle) {
        self.bound_bytes += bounds.lower.len() + bounds.upper.len();
        self.entries.push((bounds, handle));
    }

    /// The bounds of all that was added.
    pub(crate) fn bounds(&self) -> Option<Bounds> {
        let ((first, _), (last, _)) = (self.entries.first()?, self.entries.last()?);
        Some(Bounds {
            lower: first.lower.clone(),
            upper: last.upper.clone(),
            last_version: last.last_version,
        })
    }

    /// Appends the payload to `out`, and gives the length of the filter in it; the builder is empty
    /// afterwards.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        let filter_bytes = filter::build(&self.hashes, out);
        let prefix = match (self.entries.first(), self.entries.last()) {
            (Some((first, _)), Some((last, _))) => {
                let shared = common_prefix(&first.lower, &last.upper);
                first.lower.get(..shared).unwrap_or_default().to_vec()
            }
            _ => Vec::new(),
        };
        let versions = self.entries.iter().map(|(bounds, _)| bounds.last_version);
        let base = versions.min().unwrap_or_default();
        let mut offsets = Vec::with_capacity(self.entries.len());
        let mut heads = Vec::with_capacity(self.entries.len());
        for (bounds, handle) in &self.entries {
            offsets.push(out.len() - start);
            let lower = bounds.lower.get(prefix.len()..).unwrap_or_default();
            let upper = bounds.upper.get(prefix.len()..).unwrap_or_default();
            heads.push(head(upper));
            varint::put(out, lower.len() as u64);
            varint::put(out, upper.len() as u64);
            varint::put(out, bounds.last_version - base);
            varint::put(out, handle.offset);
            varint::put(out, u64::from(handle.bytes));
            out.extend_from_slice(lower);
            out.extend_from_slice(upper);
        }
        for offset in &offsets {
            out.extend_from_slice(&length(*offset).to_le_bytes());
        }
        for head in &heads {
            out.extend_from_slice(&head.to_le_bytes());
        }
        out.extend_from_slice(&prefix);
        out.extend_from_slice(&base.to_le_bytes());
        out.extend_from_slice(&length(filter_bytes).to_le_bytes());
        out.extend_from_slice(&length(prefix.len()).to_le_bytes());
        out.extend_from_slice(&length(offsets.len()).to_le_bytes());
        self.entries.clear();
        self.hashes.clear();
        self.bound_bytes = 0;
        filter_bytes
    }
}
