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
    /// The key has a value until it expires. What is stored is the version from which on it has
    /// expired, big-endian, then the value.
    PutExpiring = 2,
    /// As `Put`; what is stored is a pointer to the value in the value log.
    Pointer = 3,
    /// As `PutExpiring`; what is stored is the expiry, then a pointer.
    PointerExpiring = 4,
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
            3 => Some(Self::Pointer),
            4 => Some(Self::PointerExpiring),
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
            Self::Delete | Self::Put | Self::Pointer => 0,
            Self::PutExpiring | Self::PointerExpiring => EXPIRY_BYTES,
        }
    }

    /// From which version on an entry with these stored bytes has expired; `None` for never.
    pub(crate) fn expires_at(self, stored: &[u8]) -> Option<u64> {
        match self {
            Self::Delete | Self::Put | Self::Pointer => None,
            Self::PutExpiring | Self::PointerExpiring => {
                stored.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
            }
        }
    }

    /// Whether the value is in the value log.
    pub(crate) const fn is_pointer(self) -> bool {
        match self {
            Self::Delete | Self::Put | Self::PutExpiring => false,
            Self::Pointer | Self::PointerExpiring => true,
        }
    }

    /// The kind when the value goes to the value log; `None` where there is no value to go.
    pub(crate) const fn separated(self) -> Option<Self> {
        match self {
            Self::Put => Some(Self::Pointer),
            Self::PutExpiring => Some(Self::PointerExpiring),
            Self::Delete | Self::Pointer | Self::PointerExpiring => None,
        }
    }

    /// The kind when the value is where the entry is.
    pub(crate) const fn in_place(self) -> Self {
        match self {
            Self::Pointer => Self::Put,
            Self::PointerExpiring => Self::PutExpiring,
            Self::Delete | Self::Put | Self::PutExpiring => self,
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
