//! Fills one data block.
//!
//! Invariants: entries come in order (key ascending, version descending) and `shared` is always the full common
//! prefix of two neighbours between restart points: the search in a block relies on it.

use super::{
    entry::{HEAD_BYTES_MAX, put_head},
    layout::{RESTART_INTERVAL, data_tail},
};
use crate::entry::EntryKind;

/// The block being filled.
///
/// Versions are stored as differences to the lowest of the block, which is known only at its end: entries wait in
/// `heads` and `bodies` until then.
#[derive(Default)]
pub(crate) struct DataBuilder {
    heads: Vec<Head>,
    /// Stored part of the key, then value, of each entry.
    bodies: Vec<u8>,
    key: Vec<u8>,
    payload: Vec<u8>,
}

struct Head {
    shared: usize,
    rest: usize,
    value: usize,
    version: u64,
    kind: EntryKind,
}

impl DataBuilder {
    pub(crate) fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// The size of the payload if it ended now, a little over.
    pub(crate) fn byte_count(&self) -> usize {
        // 10: a usual head and a sixteenth of a restart offset.
        self.bodies.len() + self.heads.len() * 10 + data_tail::BYTES
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
        let is_restart = self.heads.len().is_multiple_of(RESTART_INTERVAL);
        let shared = if is_restart {
            0
        } else {
            common_prefix(&self.key, key)
        };
        let rest = key.get(shared..).unwrap_or_default();
        self.heads.push(Head {
            shared,
            rest: rest.len(),
            value: value.len(),
            version,
            kind,
        });
        self.bodies.extend_from_slice(rest);
        self.bodies.extend_from_slice(value);
        self.key.truncate(shared);
        self.key.extend_from_slice(rest);
    }

    /// The payload; the builder is empty afterwards.
    pub(crate) fn finish(&mut self) -> &[u8] {
        let base = self
            .heads
            .iter()
            .map(|head| head.version)
            .min()
            .unwrap_or_default();
        let payload = &mut self.payload;
        payload.clear();
        payload.reserve(self.bodies.len() + self.heads.len() * HEAD_BYTES_MAX / 2);
        let mut restarts = Vec::with_capacity(self.heads.len() / RESTART_INTERVAL + 1);
        let mut bodies = self.bodies.as_slice();
        for (index, head) in self.heads.iter().enumerate() {
            if index.is_multiple_of(RESTART_INTERVAL) {
                restarts.push(payload.len());
            }
            let key = (head.shared, head.rest);
            put_head(payload, key, (head.value, head.kind), head.version - base);
            let (body, others) = bodies.split_at(head.rest + head.value);
            payload.extend_from_slice(body);
            bodies = others;
        }
        for restart in &restarts {
            payload.extend_from_slice(&length(*restart).to_le_bytes());
        }
        payload.extend_from_slice(&base.to_le_bytes());
        payload.extend_from_slice(&length(restarts.len()).to_le_bytes());
        self.heads.clear();
        self.bodies.clear();
        self.key.clear();
        &self.payload
    }
}

/// Lengths within a block fit: the largest payload is far below `u32::MAX`.
pub(crate) fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a payload is below half of u32::MAX")
}

/// The length of the longest common beginning.
#[inline]
pub(crate) fn common_prefix(left: &[u8], right: &[u8]) -> usize {
    left.iter()
        .zip(right)
        .take_while(|(left, right)| left == right)
        .count()
}
