//! What a read returns.

use std::{fmt, ops::Deref};

use bytes::{Buf, Bytes};
use nokv_art::ValueRef;
use nokv_types::Version;

use crate::{entry::EntryKind, table::BlockSlice};

/// A value and the version that wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The version that wrote it.
    pub version: Version,
    /// The bytes.
    pub value: Value,
    /// From which version on it has expired; `None` for never.
    pub expires_at: Option<Version>,
}

impl Record {
    /// The record of an entry with these stored bytes.
    pub(crate) fn of_stored(version: u64, kind: EntryKind, stored: Value) -> Self {
        let expires_at = kind.expires_at(&stored).map(Version::from_u64);
        Self {
            version: Version::from_u64(version),
            value: stored.without_first(kind.prefix_bytes()),
            expires_at,
        }
    }
}

/// The bytes of a value; dereferences to `[u8]`, a clone copies nothing.
///
/// A large value may keep the block or memtable that it was read from alive: copy what is kept for
/// long ([`Value::to_vec`] of the slice does).
#[derive(Clone)]
pub struct Value(Source);

#[derive(Clone)]
enum Source {
    Shared(Bytes),
    /// But for so many bytes at its beginning.
    Arena(ValueRef, usize),
    Block(BlockSlice),
}

impl Value {
    /// Values of a memtable up to this are copied: cheaper than sharing, and they do not hold its
    /// memory.
    const COPY_BYTES_MAX: usize = 1024;

    /// A value of the memtable.
    pub(crate) fn from_arena(value: ValueRef) -> Self {
        Self(Source::Arena(value, 0))
    }

    /// The rest after so many bytes, or nothing.
    fn without_first(mut self, count: usize) -> Self {
        match &mut self.0 {
            Source::Shared(bytes) => bytes.advance(count.min(bytes.len())),
            Source::Arena(_, start) => *start += count,
            Source::Block(slice) => slice.advance(count),
        }
        self
    }

    /// Whether a value of this length of a memtable is copied rather than shared.
    pub(crate) const fn is_copied(length: usize) -> bool {
        length <= Self::COPY_BYTES_MAX
    }

    /// As `Bytes`, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            Source::Shared(bytes) => bytes,
            Source::Arena(value, start) => {
                let mut bytes = Bytes::from_owner(value);
                bytes.advance(start.min(bytes.len()));
                bytes
            }
            Source::Block(value) => Bytes::from_owner(value),
        }
    }
}

impl From<Bytes> for Value {
    fn from(bytes: Bytes) -> Self {
        Self(Source::Shared(bytes))
    }
}

impl From<BlockSlice> for Value {
    fn from(slice: BlockSlice) -> Self {
        Self(Source::Block(slice))
    }
}

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Source::Shared(bytes) => bytes,
            Source::Arena(value, start) => value.get(*start..).unwrap_or_default(),
            Source::Block(value) => value,
        }
    }
}

impl AsRef<[u8]> for Value {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Value {}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
