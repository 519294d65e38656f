//! Keyspaces: independent ordered maps that commit atomically together.
//!
//! **Shape of an internal key**: one byte of keyspace, then the user key. All below the public API
//! (log, memtable, tables) sees internal keys only, ordered by their bytes.

use crate::{KeyRange, entry::EXPIRY_BYTES};

/// The longest user key, bytes.
pub const KEY_BYTES_MAX: usize = 64 << 10;

/// The longest value, bytes.
pub const VALUE_BYTES_MAX: usize = 64 << 20;

/// The longest internal key, bytes: the byte of the keyspace in front.
pub(crate) const INTERNAL_KEY_BYTES_MAX: usize = KEY_BYTES_MAX + 1;

const _: () = assert!(INTERNAL_KEY_BYTES_MAX <= nokv_art::KEY_BYTES_MAX);

/// The longest value as it is stored, bytes: with an expiry in front.
pub(crate) const STORED_BYTES_MAX: usize = VALUE_BYTES_MAX + EXPIRY_BYTES;

const _: () = assert!(STORED_BYTES_MAX <= nokv_art::VALUE_BYTES_MAX);

/// The name of an ordered map in the store: one byte in front of every key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Keyspace(u8);

impl Keyspace {
    /// The keyspace with this number.
    #[must_use]
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The range as internal keys: start inclusive, end exclusive, `None` for the end of all keys.
    pub(crate) fn internal_range(self, range: &KeyRange) -> InternalRange {
        let end = match range.end() {
            Some(end) => Some(self.internal_key(end).to_vec()),
            None => self.0.checked_add(1).map(|next| vec![next]),
        };
        (self.internal_key(range.start()).to_vec(), end)
    }

    /// The internal key of `key`.
    pub(crate) fn internal_key(self, key: &[u8]) -> InternalKey {
        let length = key.len() + 1;
        if length <= INLINE_KEY_BYTES {
            let mut bytes = [0; INLINE_KEY_BYTES];
            if let Some(first) = bytes.first_mut() {
                *first = self.0;
            }
            if let Some(rest) = bytes.get_mut(1..length) {
                rest.copy_from_slice(key);
            }
            return InternalKey::Inline { bytes, length };
        }
        let mut bytes = Vec::with_capacity(length);
        bytes.push(self.0);
        bytes.extend_from_slice(key);
        InternalKey::Heap(bytes)
    }
}

/// A range of internal keys, see [`Keyspace::internal_range`].
pub(crate) type InternalRange = (Vec<u8>, Option<Vec<u8>>);

/// Keys up to this are put together on the stack: the usual key of a namespace is below 80 bytes, a
/// lookup should not allocate.
const INLINE_KEY_BYTES: usize = 128;

/// A key with its keyspace in front, for a lookup.
pub(crate) enum InternalKey {
    Inline {
        bytes: [u8; INLINE_KEY_BYTES],
        length: usize,
    },
    Heap(Vec<u8>),
}

impl std::ops::Deref for InternalKey {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Inline { bytes, length } => bytes.get(..*length).unwrap_or_default(),
            Self::Heap(bytes) => bytes,
        }
    }
}
