//! Fills one data block.
//!
//! Invariants: entries come in order (key ascending, version descending) and `shared` is always the
//! full common prefix of two neighbours between restart points: the search in a block relies on it.

use super::{
    entry::{VersionForm, put_head},
    heads::head,
    layout::{HEAD_BYTES, RESTART_BYTES, RESTART_INTERVAL, data_head},
};
use crate::entry::EntryKind;

/// The block being filled.
///
/// The prefix of all keys, and the lowest version, are known only at its end: entries wait in
/// `heads` and `bodies` until then.
#[derive(Default)]
pub(crate) struct DataBuilder {
    heads: Vec<Head>,
    /// Stored part of the key (at restart points: all of it), then value, of each entry.
    bodies: Vec<u8>,
    first_key: Vec<u8>,
    key: Vec<u8>,
    /// As in the payload.
    entries: Vec<u8>,
    payload: Vec<u8>,
    /// Where they begin in the entries, and their heads.
    restarts: Vec<(usize, u64)>,
    /// Entries, and their bytes, since the last restart point.
    since_restart: (usize, usize),
    restart_count: usize,
}

struct Head {
    shared: usize,
    rest: usize,
    value: usize,
    version: u64,
    kind: EntryKind,
    is_restart: bool,
}

impl DataBuilder {
    pub(crate) fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// The size of the payload if it ended now, a little over.
    pub(crate) fn byte_count(&self) -> usize {
        // 9: a usual head.
        let restarts = (self.restart_count + 1) * RESTART_BYTES_EACH;
        self.bodies.len() + self.heads.len() * 9 + restarts + data_head::BYTES
    }

    /// The key of the first entry.
    pub(crate) fn first_key(&self) -> &[u8] {
        &self.first_key
    }

    /// The key of the last entry.
    pub(crate) fn last_key(&self) -> &[u8] {
        &self.key
    }

    /// The version of the last entry.
    pub(crate) fn last_version(&self) -> Option<u64> {
        self.heads.last().map(|head| head.version)
    }

    pub(crate) fn add(&mut self, key: &[u8], version: u64, kind: EntryKind, value: &[u8]) {
        if self.heads.is_empty() {
            self.first_key.extend_from_slice(key);
        }
        let (count, bytes) = self.since_restart;
        let is_restart =
            self.heads.is_empty() || count >= RESTART_INTERVAL || bytes >= RESTART_BYTES;
        let shared = if is_restart {
            self.since_restart = (0, 0);
            self.restart_count += 1;
            0
        } else {
            common_prefix(&self.key, key)
        };
        let rest = key.get(shared..).unwrap_or_default();
        self.since_restart.0 += 1;
        self.since_restart.1 += rest.len() + value.len();
        self.heads.push(Head {
            shared,
            rest: rest.len(),
            value: value.len(),
            version,
            kind,
            is_restart,
        });
        self.bodies.extend_from_slice(rest);
        self.bodies.extend_from_slice(value);
        self.key.truncate(shared);
        self.key.extend_from_slice(rest);
    }

    /// The payload; the builder is empty afterwards.
    pub(crate) fn finish(&mut self) -> &[u8] {
        let prefix = common_prefix(&self.first_key, &self.key);
        let form = self.version_form();
        self.put_entries(prefix, form);
        self.payload.clear();
        let start = data_head::BYTES + self.restarts.len() * RESTART_BYTES_EACH + prefix;
        self.payload.reserve(start + self.entries.len());
        self.payload.extend_from_slice(&form.base.to_le_bytes());
        self.payload
            .extend_from_slice(&length(prefix).to_le_bytes());
        self.payload
            .extend_from_slice(&length(self.restarts.len()).to_le_bytes());
        self.payload.push(u8::try_from(form.bytes).expect("0 to 8"));
        for (_, head) in &self.restarts {
            self.payload.extend_from_slice(&head.to_le_bytes());
        }
        for (offset, _) in &self.restarts {
            self.payload
                .extend_from_slice(&length(start + offset).to_le_bytes());
        }
        self.payload
            .extend_from_slice(self.key.get(..prefix).unwrap_or_default());
        self.payload.extend_from_slice(&self.entries);
        self.heads.clear();
        self.bodies.clear();
        self.first_key.clear();
        self.key.clear();
        self.restarts.clear();
        self.restart_count = 0;
        &self.payload
    }

    fn put_entries(&mut self, prefix: usize, form: VersionForm) {
        self.entries.clear();
        let mut bodies = self.bodies.as_slice();
        for entry in &self.heads {
            let (mut body, others) = bodies.split_at(entry.rest + entry.value);
            bodies = others;
            let mut key = (entry.shared, entry.rest);
            if entry.is_restart {
                body = body.get(prefix..).unwrap_or_default();
                key = (prefix, entry.rest - prefix);
                let rest = body.get(..key.1).unwrap_or_default();
                self.restarts.push((self.entries.len(), head(rest)));
            }
            put_head(
                &mut self.entries,
                key,
                (entry.value, entry.kind),
                (form, entry.version),
            );
            self.entries.extend_from_slice(body);
        }
    }

    fn version_form(&self) -> VersionForm {
        let versions = || self.heads.iter().map(|head| head.version);
        let base = versions().min().unwrap_or_default();
        let widest = versions().max().unwrap_or_default() - base;
        let bytes = (64 - widest.leading_zeros() as usize).div_ceil(8);
        VersionForm { base, bytes }
    }
}

const _: () = assert!(HEAD_BYTES == size_of::<u64>());

/// A head and an offset.
const RESTART_BYTES_EACH: usize = HEAD_BYTES + size_of::<u32>();

/// Lengths within a block fit: the largest payload is far below `u32::MAX`.
pub(crate) fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a payload is below half of u32::MAX")
}

/// The length of the longest common beginning.
#[inline]
pub(crate) fn common_prefix(left: &[u8], right: &[u8]) -> usize {
    let (left_words, right_words) = (left.as_chunks::<8>().0, right.as_chunks::<8>().0);
    let words = left_words
        .iter()
        .zip(right_words)
        .take_while(|(l, r)| l == r)
        .count()
        * 8;
    let rest = |bytes: &[u8]| words.min(bytes.len());
    let (left, right) = (left.split_at(rest(left)).1, right.split_at(rest(right)).1);
    words
        + left
            .iter()
            .zip(right)
            .take_while(|(left, right)| left == right)
            .count()
}
