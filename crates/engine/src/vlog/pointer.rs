//! A pointer: where a separated value is.

use super::{
    entry::entry_bytes,
    layout::{
        POINTER_BYTES, POINTER_CHECKSUM, POINTER_FILE, POINTER_OFFSET, POINTER_STORED_BYTES,
        STORED_BYTES_MAX,
    },
};
use crate::{
    bytes_at::{put_at, u32_at, u64_at},
    entry::EntryKind,
};

/// What an entry of kind [`EntryKind::Pointer`] stores.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pointer {
    /// The number of the value-log file.
    pub(crate) file: u64,
    /// Where the entry begins in it.
    pub(crate) offset: u64,
    /// Bytes of what the entry stores: the value, with an expiry in front if it has one.
    pub(crate) stored_bytes: u32,
    /// The checksum of the entry: it tells the entry from any other that was ever at the place.
    pub(crate) checksum: u32,
}

impl Pointer {
    pub(crate) fn encode(self) -> [u8; POINTER_BYTES] {
        let mut bytes = [0; POINTER_BYTES];
        put_at(&mut bytes, POINTER_FILE, &self.file.to_le_bytes());
        put_at(&mut bytes, POINTER_OFFSET, &self.offset.to_le_bytes());
        let stored = self.stored_bytes.to_le_bytes();
        put_at(&mut bytes, POINTER_STORED_BYTES, &stored);
        put_at(&mut bytes, POINTER_CHECKSUM, &self.checksum.to_le_bytes());
        bytes
    }

    /// The pointer of exactly these bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let pointer = Self {
            file: u64_at(bytes, POINTER_FILE)?,
            offset: u64_at(bytes, POINTER_OFFSET)?,
            stored_bytes: u32_at(bytes, POINTER_STORED_BYTES)?,
            checksum: u32_at(bytes, POINTER_CHECKSUM)?,
        };
        let is_possible = bytes.len() == POINTER_BYTES
            && pointer.stored_bytes as usize <= STORED_BYTES_MAX
            && pointer.offset <= i64::MAX as u64;
        is_possible.then_some(pointer)
    }

    /// The pointer in what an entry of this kind stores; `None` for a kind without one, and for
    /// bytes that are none.
    pub(crate) fn of(kind: EntryKind, stored: &[u8]) -> Option<Self> {
        if !kind.is_pointer() {
            return None;
        }
        Self::decode(stored.get(kind.prefix_bytes()..)?)
    }

    /// Bytes of the entry that it points at, for a key of this length.
    pub(crate) fn entry_bytes(&self, key_bytes: usize) -> u64 {
        entry_bytes(key_bytes, self.stored_bytes as usize)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Pointer;

    proptest! {
        #[test]
        fn a_pointer_survives(file: u64, offset in 0..=i64::MAX as u64, checksum: u32) {
            let pointer = Pointer { file, offset, stored_bytes: 77, checksum };
            prop_assert_eq!(Pointer::decode(&pointer.encode()), Some(pointer));
            prop_assert_eq!(Pointer::decode(&pointer.encode()[1..]), None);
        }

        #[test]
        fn any_bytes_are_a_pointer_or_none(bytes: Vec<u8>) {
            Pointer::decode(&bytes);
        }
    }
}
