//! What the log, the memtable and the tables store: entries and range tombstones.
//!
//! Invariant: the numbers of [`EntryKind`] are part of the formats of log and table and never
//! change. 3 and 4 are set aside for pointers into a value log.

/// What is stored at one version of a key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum EntryKind {
    /// The key does not exist from this version on.
    Delete = 0,
    /// The key has a value.
    Put = 1,
    /// The key has a value until it expires. What is stored is the version from which on it has
    /// expired, big-endian, then the value.
    PutExpiring = 2,
}

/// Bytes of the expiry in front of a value that expires.
pub(crate) const EXPIRY_BYTES: usize = 8;

impl EntryKind {
    /// The kind with this number; `None` for a number that no version of the format has given out.
    pub(crate) const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Delete),
            1 => Some(Self::Put),
            2 => Some(Self::PutExpiring),
            _ => None,
        }
    }

    /// The number in the formats.
    pub(crate) const fn number(self) -> u8 {
        self as u8
    }

    /// Bytes in front of the value in what is stored.
    pub(crate) const fn prefix_bytes(self) -> usize {
        match self {
            Self::Delete | Self::Put => 0,
            Self::PutExpiring => EXPIRY_BYTES,
        }
    }

    /// From which version on an entry with these stored bytes has expired; `None` for never.
    pub(crate) fn expires_at(self, stored: &[u8]) -> Option<u64> {
        match self {
            Self::Delete | Self::Put => None,
            Self::PutExpiring => stored.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)),
        }
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
