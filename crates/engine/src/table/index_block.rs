//! A decoded index block: finds the block below that may hold a key.
//!
//! Invariant: whatever the bytes, no method panics; an entry that does not parse is [`Malformed`].

use std::cmp::Ordering;

use super::{
    filter,
    heads::{Heads, head},
    layout::{HEAD_BYTES, Handle, index_tail},
    malformed::Malformed,
    payload::Payload,
};
use crate::{
    bytes_at::{u32_at, u64_at},
    varint,
};

/// The payload of an index block with its tail parsed. A clone shares the bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct IndexBlock {
    bytes: Payload,
    base_version: u64,
    filter_bytes: usize,
    /// Where the entries' offsets begin; the heads follow.
    offsets: usize,
    entry_count: usize,
    prefix: std::ops::Range<usize>,
}

/// One entry, borrowed: the bounds lack the block's common prefix.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IndexEntry<'a> {
    lower: &'a [u8],
    upper: &'a [u8],
    last_version: u64,
    /// Where the block lies.
    pub(crate) handle: Handle,
}

impl IndexBlock {
    pub(crate) fn parse(bytes: Payload) -> Result<Self, Malformed> {
        Self::parse_or_none(bytes)
            .ok_or_else(|| Malformed::new("an index block", "a tail that doesn't fit the payload"))
    }

    fn parse_or_none(bytes: Payload) -> Option<Self> {
        let tail = bytes.len().checked_sub(index_tail::BYTES)?;
        let base_version = u64_at(&bytes, tail + index_tail::BASE_VERSION)?;
        let filter_bytes = u32_at(&bytes, tail + index_tail::FILTER_BYTES)? as usize;
        let prefix_bytes = u32_at(&bytes, tail + index_tail::PREFIX_BYTES)? as usize;
        let entry_count = u32_at(&bytes, tail + index_tail::ENTRY_COUNT)? as usize;
        let prefix_start = tail.checked_sub(prefix_bytes)?;
        let offsets = prefix_start.checked_sub(entry_count.checked_mul(4 + HEAD_BYTES)?)?;
        if filter_bytes > offsets {
            return None;
        }
        let prefix = prefix_start..tail;
        Some(Self {
            bytes,
            base_version,
            filter_bytes,
            offsets,
            entry_count,
            prefix,
        })
    }

    pub(crate) fn payload(&self) -> &Payload {
        &self.bytes
    }

    pub(crate) fn entry_count(&self) -> usize {
        self.entry_count
    }

    /// Whether a key with this hash may be in the blocks below.
    #[inline]
    pub(crate) fn may_contain(&self, hash: u64) -> bool {
        filter::may_contain(
            self.bytes.get(..self.filter_bytes).unwrap_or_default(),
            hash,
        )
    }

    /// Where the block of an entry lies.
    pub(crate) fn handle(&self, index: usize) -> Result<Handle, Malformed> {
        Ok(self.entry(index)?.handle)
    }

    /// A key at or below all keys of the block, and above all of the block before.
    pub(crate) fn lower(&self, index: usize) -> Result<Vec<u8>, Malformed> {
        Ok([self.prefix(), self.entry(index)?.lower].concat())
    }

    /// Whether all keys of the block are above `key`.
    pub(crate) fn is_above(&self, index: usize, key: &[u8]) -> Result<bool, Malformed> {
        Ok(self.is_entry_above(&self.entry(index)?, key))
    }

    /// Whether all keys of the block of an entry are above `key`.
    #[inline]
    pub(crate) fn is_entry_above(&self, entry: &IndexEntry<'_>, key: &[u8]) -> bool {
        self.compare(entry.lower, key) == Ordering::Greater
    }

    /// Whether all keys of the block are at or above `end`.
    pub(crate) fn begins_at_or_above(&self, index: usize, end: &[u8]) -> Result<bool, Malformed> {
        Ok(self.compare(self.entry(index)?.lower, end) != Ordering::Less)
    }

    /// Whether all keys of the block are below `start`.
    pub(crate) fn is_below(&self, index: usize, start: &[u8]) -> Result<bool, Malformed> {
        Ok(self.compare(self.entry(index)?.upper, start) == Ordering::Less)
    }

    /// The first block that may have an entry at or after `(key, version)`; the entry count if
    /// there is none.
    pub(crate) fn seek(&self, key: &[u8], version: u64) -> Result<usize, Malformed> {
        let rest = match self.rest_of(key) {
            Ok(rest) => rest,
            Err(Ordering::Less) => return Ok(0),
            Err(_) => return Ok(self.entry_count),
        };
        let start = self.offsets + self.entry_count * 4;
        let heads = self.bytes.get(start..self.prefix.start).unwrap_or_default();
        // Only where the heads are equal do the bounds have to be looked at.
        let (low, high) = Heads::new(heads).around(head(rest));
        self.partition_point(low, high, |entry| {
            entry
                .upper
                .cmp(rest)
                .then_with(|| version.cmp(&entry.last_version))
                == Ordering::Less
        })
    }

    /// One more than the last block that may have an entry at or before `key`; 0 if there is none.
    pub(crate) fn seek_for_prev(&self, key: &[u8]) -> Result<usize, Malformed> {
        match self.rest_of(key) {
            Ok(rest) => self.partition_point(0, self.entry_count, |entry| entry.lower <= rest),
            Err(Ordering::Less) => Ok(0),
            Err(_) => Ok(self.entry_count),
        }
    }

    /// The key without the prefix, or how it compares to all keys that have the prefix.
    #[inline]
    fn rest_of<'k>(&self, key: &'k [u8]) -> Result<&'k [u8], Ordering> {
        let prefix = self.prefix();
        match key.get(..prefix.len()).unwrap_or(key).cmp(prefix) {
            Ordering::Equal => Ok(key.get(prefix.len()..).unwrap_or_default()),
            order => Err(order),
        }
    }

    /// The first place in `low..high` for whose entry `is_before` does not hold; `high` if there is
    /// none.
    fn partition_point(
        &self,
        mut low: usize,
        mut high: usize,
        is_before: impl Fn(&IndexEntry<'_>) -> bool,
    ) -> Result<usize, Malformed> {
        while low < high {
            let middle = low.midpoint(high);
            if is_before(&self.entry(middle)?) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// How `prefix + rest` compares to `key`.
    fn compare(&self, rest: &[u8], key: &[u8]) -> Ordering {
        let prefix = self.prefix();
        let start = key.get(..prefix.len()).unwrap_or(key);
        prefix
            .cmp(start)
            .then_with(|| rest.cmp(key.get(prefix.len()..).unwrap_or_default()))
    }

    fn prefix(&self) -> &[u8] {
        self.bytes.get(self.prefix.clone()).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn entry(&self, index: usize) -> Result<IndexEntry<'_>, Malformed> {
        self.entry_or_none(index)
            .ok_or_else(|| Malformed::new("an index entry", format!("none at place {index}")))
    }

    #[inline]
    fn entry_or_none(&self, index: usize) -> Option<IndexEntry<'_>> {
        if index >= self.entry_count {
            return None;
        }
        let offset = u32_at(&self.bytes, self.offsets + index * 4)? as usize;
        let mut bytes = self.bytes.get(offset..self.offsets)?;
        let lower = usize::try_from(varint::take(&mut bytes)?).ok()?;
        let upper = usize::try_from(varint::take(&mut bytes)?).ok()?;
        let last_version = self.base_version.checked_add(varint::take(&mut bytes)?)?;
        let offset = varint::take(&mut bytes)?;
        let length = u32::try_from(varint::take(&mut bytes)?).ok()?;
        let (lower, bytes) = bytes.split_at_checked(lower)?;
        Some(IndexEntry {
            lower,
            upper: bytes.get(..upper)?,
            last_version,
            handle: Handle {
                offset,
                bytes: length,
            },
        })
    }
}
