//! A decoded data block: entries in order (key ascending, version descending), searched without a
//! copy.
//!
//! Invariants: whatever the bytes, no method panics or reads outside of them; what does not parse
//! is [`Malformed`]. The bytes are shared: values are slices of the block that the cache holds.

use std::cmp::Ordering;

use super::{
    data_builder::common_prefix,
    entry::{Entry, VersionForm, decode},
    heads::{Heads, head},
    layout::{HEAD_BYTES, data_head},
    malformed::Malformed,
    payload::{BlockSlice, Payload},
};
use crate::bytes_at::{u32_at, u64_at};

/// The payload of a data block with its head parsed. A clone shares the bytes.
#[derive(Clone, Debug)]
pub(crate) struct DataBlock {
    bytes: Payload,
    form: VersionForm,
    /// Where the restart offsets begin, behind the heads; then the prefix and the entries.
    restarts: u32,
    prefix: u32,
    entries: u32,
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
    #[inline]
    pub(crate) fn parse(bytes: Payload) -> Result<Self, Malformed> {
        Self::parse_or_none(bytes)
            .ok_or_else(|| Malformed::new("a data block", "a head that doesn't fit the payload"))
    }

    #[inline]
    fn parse_or_none(bytes: Payload) -> Option<Self> {
        let base = u64_at(&bytes, data_head::BASE_VERSION)?;
        let prefix_bytes = u32_at(&bytes, data_head::PREFIX_BYTES)?;
        let restart_count = u32_at(&bytes, data_head::RESTART_COUNT)?;
        let version_bytes = usize::from(*bytes.get(data_head::VERSION_BYTES)?);
        let heads_bytes = restart_count.checked_mul(HEAD_BYTES as u32)?;
        let restarts = heads_bytes.checked_add(data_head::BYTES as u32)?;
        let prefix = restarts.checked_add(restart_count.checked_mul(4)?)?;
        let entries = prefix.checked_add(prefix_bytes)?;
        let is_sound = entries as usize <= bytes.len()
            && u32_at(&bytes, restarts as usize)? == entries
            && version_bytes <= 8;
        if restart_count == 0 || !is_sound {
            return None;
        }
        let form = VersionForm {
            base,
            bytes: version_bytes,
        };
        Some(Self {
            bytes,
            form,
            restarts,
            prefix,
            entries,
        })
    }

    pub(crate) fn payload(&self) -> &Payload {
        &self.bytes
    }

    /// The value of an entry.
    #[inline]
    pub(crate) fn into_value(self, entry: &Entry) -> BlockSlice {
        self.bytes.into_slice(entry.value())
    }

    pub(crate) fn restart_count(&self) -> usize {
        (self.prefix - self.restarts) as usize / 4
    }

    /// What all keys begin with.
    #[inline]
    pub(crate) fn prefix(&self) -> &[u8] {
        self.bytes
            .get(self.prefix as usize..self.entries as usize)
            .unwrap_or_default()
    }

    /// Where the first entry begins; the entries end with the payload.
    #[inline]
    pub(crate) fn start(&self) -> usize {
        self.entries as usize
    }

    #[inline(always)]
    pub(crate) fn entry(&self, offset: usize) -> Result<Entry, Malformed> {
        decode(&self.bytes, offset, self.form)
    }

    /// The stored part of an entry's key.
    #[inline]
    pub(crate) fn rest(&self, entry: &Entry) -> &[u8] {
        self.bytes.get(entry.rest()).unwrap_or_default()
    }

    fn heads(&self) -> &[u8] {
        self.bytes
            .get(data_head::BYTES..self.restarts as usize)
            .unwrap_or_default()
    }

    /// The offset of a restart point; where the entries end for the one after the last.
    pub(crate) fn restart(&self, index: usize) -> Result<usize, Malformed> {
        if index >= self.restart_count() {
            return Ok(self.bytes.len());
        }
        u32_at(&self.bytes, self.restarts as usize + index * 4)
            .map(|offset| offset as usize)
            .filter(|offset| (self.start()..self.bytes.len()).contains(offset))
            .ok_or_else(|| Malformed::new("a restart offset within the entries", "one beyond"))
    }

    /// The last restart point whose entry is before `(key, version)`; the first one if there is
    /// none.
    pub(crate) fn restart_before(&self, key: &[u8], version: u64) -> Result<usize, Malformed> {
        self.last_restart(|order| order == Ordering::Less, key, version)
    }

    /// The last restart point whose entry is at or before `(key, version)`; the first one if there
    /// is none.
    pub(crate) fn restart_at_or_before(
        &self,
        key: &[u8],
        version: u64,
    ) -> Result<usize, Malformed> {
        self.last_restart(|order| order != Ordering::Greater, key, version)
    }

    /// The last restart point at or before an offset of an entry.
    pub(crate) fn restart_of(&self, offset: usize) -> Result<usize, Malformed> {
        let (mut low, mut high) = (0, self.restart_count());
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

    /// How `key` compares to all keys of the block, by the prefix alone; `Equal` when that does not
    /// tell.
    #[inline]
    fn compare_prefix(&self, key: &[u8]) -> Ordering {
        let prefix = self.prefix();
        key.get(..prefix.len()).unwrap_or(key).cmp(prefix)
    }

    #[inline]
    fn last_restart(
        &self,
        is_wanted: impl Fn(Ordering) -> bool,
        key: &[u8],
        version: u64,
    ) -> Result<usize, Malformed> {
        match self.compare_prefix(key) {
            Ordering::Less => return Ok(0),
            Ordering::Greater => return Ok(self.restart_count().saturating_sub(1)),
            Ordering::Equal => {}
        }
        let rest = key.get(self.prefix().len()..).unwrap_or_default();
        let heads = self.heads();
        // Those below `low` are before the key, those from `high` on are after it; between, the
        // entries decide.
        let (mut low, mut high) = Heads::new(heads).around(head(rest));
        while low < high {
            let middle = low.midpoint(high);
            let entry = self.restart_entry(middle)?;
            let order = self
                .rest(&entry)
                .cmp(rest)
                .then_with(|| version.cmp(&entry.version));
            if is_wanted(order) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low.saturating_sub(1))
    }

    /// The first entry at or after `(key, at)`.
    ///
    /// No key is put together: `matched` is how much of `key` the entry before shares with it (that
    /// entry being lower). An entry that shares more than that with the one before is lower
    /// too; one that shares less is higher; only one that shares as much needs a look at its
    /// bytes.
    pub(crate) fn search(&self, key: &[u8], at: u64) -> Result<Search, Malformed> {
        match self.compare_prefix(key) {
            Ordering::Less => return Ok(Search::Absent),
            Ordering::Greater => return Ok(Search::End),
            Ordering::Equal => {}
        }
        let restart = self.restart_before(key, at)?;
        let mut offset = self.restart(restart)?;
        let mut boundary = offset;
        let mut next_restart = restart;
        let mut matched = 0;
        while offset < self.bytes.len() {
            let entry = self.entry(offset)?;
            if offset >= boundary {
                // A restart point shares the prefix on paper, whatever is before it: it is compared
                // in full.
                matched = entry.shared();
                next_restart += 1;
                boundary = self.restart(next_restart)?;
            } else if entry.shared() < matched {
                return Ok(Search::Absent);
            }
            if entry.shared() == matched {
                let (rest, wanted) = (self.rest(&entry), key.get(matched..).unwrap_or_default());
                let common = common_prefix(rest, wanted);
                match (rest.get(common), wanted.get(common)) {
                    (None, None) if entry.version <= at => return Ok(Search::Found(entry)),
                    (Some(found), Some(wanted)) if found > wanted => return Ok(Search::Absent),
                    (Some(_), None) => return Ok(Search::Absent),
                    _ => matched += common,
                }
            }
            offset = entry.end();
        }
        Ok(Search::End)
    }

    fn restart_entry(&self, index: usize) -> Result<Entry, Malformed> {
        let entry = self.entry(self.restart(index)?)?;
        if entry.shared() != self.prefix().len() {
            let expected = "a key that shares the block's prefix at a restart point";
            return Err(Malformed::new(
                expected,
                format!("{} bytes", entry.shared()),
            ));
        }
        Ok(entry)
    }

    /// Reads every entry: order, restart points and lengths are what a writer makes; their number.
    pub(crate) fn check(&self) -> Result<u64, Malformed> {
        let mut key = self.prefix().to_vec();
        let mut before: Option<(Vec<u8>, u64)> = None;
        let heads = self.heads();
        let (mut offset, mut restart, mut entry_count) = (self.start(), 0, 0);
        while offset < self.bytes.len() {
            let entry = self.entry(offset)?;
            if restart < self.restart_count() && self.restart(restart)? == offset {
                let stored = u64_at(heads, restart * HEAD_BYTES);
                if stored != Some(head(self.rest(&self.restart_entry(restart)?))) {
                    return Err(Malformed::new("the head of the key", format!("{stored:?}")));
                }
                restart += 1;
            }
            let is_short = key.len() < entry.shared();
            key.truncate(entry.shared());
            key.extend_from_slice(self.rest(&entry));
            let is_ordered = before.as_ref().is_none_or(|(last, version)| {
                last.cmp(&key).then_with(|| entry.version.cmp(version)) == Ordering::Less
            });
            if is_short || !is_ordered || !key.starts_with(self.prefix()) {
                return Err(Malformed::new(
                    "entries in order",
                    format!("not so at {offset}"),
                ));
            }
            before = Some((key.clone(), entry.version));
            offset = entry.end();
            entry_count += 1;
        }
        if restart != self.restart_count() {
            return Err(Malformed::new(
                "restart points at entries",
                "one between entries",
            ));
        }
        Ok(entry_count)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::{entry::EntryKind, table::data_builder::DataBuilder};

    /// Every key of up to three of three letters.
    fn all_keys() -> Vec<Vec<u8>> {
        let mut keys = vec![Vec::new()];
        for length in 0..3 {
            let longer: Vec<Vec<u8>> = keys
                .iter()
                .filter(|key| key.len() == length)
                .flat_map(|key| b"abc".iter().map(|letter| [&key[..], &[*letter]].concat()))
                .collect();
            keys.extend(longer);
        }
        keys
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn a_search_finds_what_is_there_and_nothing_else(
            entries in proptest::collection::btree_set((0..40_usize, 1..3_u64), 1..24),
        ) {
            let keys = all_keys();
            let mut builder = DataBuilder::default();
            let entry = |(key, version): &(usize, u64)| (keys[*key].clone(), 3 - version);
            let entries: BTreeSet<(Vec<u8>, u64)> = entries.iter().map(entry).collect();
            let newest_first =
                |a: &&(Vec<u8>, u64), b: &&(Vec<u8>, u64)| a.0.cmp(&b.0).then(b.1.cmp(&a.1));
            let mut sorted: Vec<_> = entries.iter().collect();
            sorted.sort_by(newest_first);
            for (key, version) in sorted {
                builder.add(key, *version, EntryKind::Put, key);
            }
            let block = DataBlock::parse(builder.finish().to_vec().into()).unwrap();
            for key in &keys {
                for at in 0..4 {
                    let own = entries.iter().filter(|(own, version)| own == key && *version <= at);
                    let expected = own.map(|(_, version)| *version).max();
                    let found = match block.search(key, at).unwrap() {
                        Search::Found(entry) => {
                            prop_assert_eq!(&block.payload()[entry.value()], &key[..]);
                            Some(entry.version)
                        }
                        Search::Absent | Search::End => None,
                    };
                    prop_assert_eq!(found, expected, "{:?} at {}", key, at);
                }
            }
        }
    }
}
