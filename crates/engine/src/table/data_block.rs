//! A decoded data block: entries in order (key ascending, version descending), searched without a copy.
//!
//! Invariants: whatever the bytes, no method panics or reads outside of them; what does not parse is
//! [`Malformed`]. The bytes are shared: values are slices of the block that the cache holds.

use std::cmp::Ordering;

use bytes::Bytes;

use super::{
    data_builder::common_prefix,
    entry::{Entry, decode},
    layout::data_tail,
    malformed::Malformed,
};
use crate::bytes_at::{u32_at, u64_at};

/// The payload of a data block with its tail parsed. A clone shares the bytes.
#[derive(Clone, Debug)]
pub(crate) struct DataBlock {
    bytes: Bytes,
    base_version: u64,
    /// Where the entries end and the restart offsets begin.
    entries_end: usize,
    restart_count: usize,
}

/// What a search for `(key, at)` met first, at or after that place.
#[derive(Debug)]
pub(crate) enum Search {
    /// An entry of the key, the newest at or below `at`.
    Found(Entry),
    /// An entry of a higher key: the key has nothing at or below `at`.
    Absent,
    /// The end of the block.
    End,
}

impl DataBlock {
    pub(crate) fn parse(bytes: Bytes) -> Result<Self, Malformed> {
        Self::parse_or_none(&bytes)
            .map(|(base_version, entries_end, restart_count)| Self {
                bytes,
                base_version,
                entries_end,
                restart_count,
            })
            .ok_or_else(|| Malformed::new("a data block", "a tail that doesn't fit the payload"))
    }

    fn parse_or_none(bytes: &[u8]) -> Option<(u64, usize, usize)> {
        let tail = bytes.len().checked_sub(data_tail::BYTES)?;
        let base_version = u64_at(bytes, tail + data_tail::BASE_VERSION)?;
        let restart_count = u32_at(bytes, tail + data_tail::RESTART_COUNT)? as usize;
        let entries_end = tail.checked_sub(restart_count.checked_mul(4)?)?;
        if restart_count == 0 || u32_at(bytes, entries_end)? != 0 {
            return None;
        }
        Some((base_version, entries_end, restart_count))
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub(crate) fn restart_count(&self) -> usize {
        self.restart_count
    }

    /// The entries' part of the payload.
    #[inline]
    pub(crate) fn entries(&self) -> &[u8] {
        self.bytes.get(..self.entries_end).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn entry(&self, offset: usize) -> Result<Entry, Malformed> {
        decode(self.entries(), offset, self.base_version)
    }

    /// The offset of a restart point; where the entries end for the one after the last.
    pub(crate) fn restart(&self, index: usize) -> Result<usize, Malformed> {
        if index >= self.restart_count {
            return Ok(self.entries_end);
        }
        u32_at(&self.bytes, self.entries_end + index * 4)
            .map(|offset| offset as usize)
            .filter(|offset| *offset < self.entries_end)
            .ok_or_else(|| Malformed::new("a restart offset within the entries", "one beyond"))
    }

    /// The last restart point whose entry is before `(key, version)`; the first one if there is none.
    pub(crate) fn restart_before(&self, key: &[u8], version: u64) -> Result<usize, Malformed> {
        self.last_restart(|order| order == Ordering::Less, key, version)
    }

    /// The last restart point whose entry is at or before `(key, version)`; the first one if there is none.
    pub(crate) fn restart_at_or_before(
        &self,
        key: &[u8],
        version: u64,
    ) -> Result<usize, Malformed> {
        self.last_restart(|order| order != Ordering::Greater, key, version)
    }

    /// The last restart point at or before an offset of an entry.
    pub(crate) fn restart_of(&self, offset: usize) -> Result<usize, Malformed> {
        let (mut low, mut high) = (0, self.restart_count);
        while high - low > 1 {
            let middle = low.midpoint(high);
            if self.restart(middle)? <= offset {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    fn last_restart(
        &self,
        is_wanted: impl Fn(Ordering) -> bool,
        key: &[u8],
        version: u64,
    ) -> Result<usize, Malformed> {
        let (mut low, mut high) = (0, self.restart_count);
        while high - low > 1 {
            let middle = low.midpoint(high);
            let entry = self.restart_entry(middle)?;
            let found = self.entries().get(entry.rest.clone()).unwrap_or_default();
            if is_wanted(found.cmp(key).then_with(|| version.cmp(&entry.version))) {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The first entry at or after `(key, at)`.
    ///
    /// No key is put together: `matched` is how much of `key` the entry before shares with it (that entry being
    /// lower). An entry that shares more than that with the one before is lower too; one that shares less is
    /// higher; only one that shares as much needs a look at its bytes.
    pub(crate) fn search(&self, key: &[u8], at: u64) -> Result<Search, Malformed> {
        let mut offset = self.restart(self.restart_before(key, at)?)?;
        let mut matched = 0;
        let mut is_first = true;
        while offset < self.entries_end {
            let entry = self.entry(offset)?;
            // A restart point shares nothing on paper: it is compared in full.
            if is_first || entry.shared == 0 {
                matched = 0;
                is_first = false;
            } else if entry.shared < matched {
                return Ok(Search::Absent);
            }
            if entry.shared <= matched {
                let rest = self.entries().get(entry.rest.clone()).unwrap_or_default();
                let wanted = key.get(matched..).unwrap_or_default();
                let common = common_prefix(rest, wanted);
                match (rest.get(common), wanted.get(common)) {
                    (None, None) if entry.version <= at => return Ok(Search::Found(entry)),
                    (Some(found), Some(wanted)) if found > wanted => return Ok(Search::Absent),
                    (Some(_), None) => return Ok(Search::Absent),
                    _ => matched += common,
                }
            }
            offset = entry.value.end;
        }
        Ok(Search::End)
    }

    fn restart_entry(&self, index: usize) -> Result<Entry, Malformed> {
        let entry = self.entry(self.restart(index)?)?;
        if entry.shared != 0 {
            return Err(Malformed::new(
                "a whole key at a restart point",
                "a shared one",
            ));
        }
        Ok(entry)
    }

    /// Reads every entry: order, restart points and lengths are what a writer makes; their number.
    pub(crate) fn check(&self) -> Result<u64, Malformed> {
        let mut key: Vec<u8> = Vec::new();
        let mut before: Option<(Vec<u8>, u64)> = None;
        let (mut offset, mut restart, mut entry_count) = (0, 0, 0);
        while offset < self.entries_end {
            let entry = self.entry(offset)?;
            if restart < self.restart_count && self.restart(restart)? == offset {
                self.restart_entry(restart)?;
                restart += 1;
            }
            key.truncate(entry.shared);
            let is_short = key.len() < entry.shared;
            key.extend_from_slice(self.entries().get(entry.rest.clone()).unwrap_or_default());
            let is_ordered = before.as_ref().is_none_or(|(last, version)| {
                last.cmp(&key).then_with(|| entry.version.cmp(version)) == Ordering::Less
            });
            if is_short || !is_ordered {
                return Err(Malformed::new(
                    "entries in order",
                    format!("not so at {offset}"),
                ));
            }
            before = Some((key.clone(), entry.version));
            offset = entry.value.end;
            entry_count += 1;
        }
        if restart != self.restart_count {
            return Err(Malformed::new(
                "restart points at entries",
                "one between entries",
            ));
        }
        Ok(entry_count)
    }
}
