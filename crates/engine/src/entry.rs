//! What the log, the memtable and the tables store: entries and range tombstones.
//!
//! Invariant: the numbers of [`EntryKind`] are part of the formats of log and table and never
//! change.

/// What is stored at one version of a key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum EntryKind {
    /// The key does not exist from this version on.
    Delete = 0,
    /// The key has a value.
    Put = 1,
}

impl EntryKind {
    /// The kind with this number; `None` for a number that no version of the format has given out.
    pub(crate) const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Delete),
            1 => Some(Self::Put),
            _ => None,
        }
    }

    /// The number in the formats.
    pub(crate) const fn number(self) -> u8 {
        self as u8
    }
}

/// From `version` on, every key in `start..end` that was written at a lower version does not exist.
///
/// **Shape**: internal keys; `start` inclusive, `end` exclusive, `start < end`. A put at the same
/// version as the tombstone survives it, so that one batch can clear a range and write into it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct RangeTombstone {
    pub(crate) start: Vec<u8>,
    pub(crate) end: Vec<u8>,
    pub(crate) version: u64,
}

#[cfg(test)]
impl RangeTombstone {
    /// Whether it hides an entry of `key` written at `version` from a read at `at`: the rule, for
    /// oracles.
    pub(crate) fn hides(&self, key: &[u8], version: u64, at: u64) -> bool {
        self.version <= at
            && version < self.version
            && self.start.as_slice() <= key
            && key < self.end.as_slice()
    }
}
