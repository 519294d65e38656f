//! The payload of a block in memory: one allocation, shared by the cache, by cursors and by the
//! values that readers hold.
//!
//! Invariant: the bytes never change once shared, and the count of shares lies right before them: a
//! lookup that clones it touches no cache line of memory that it would not touch anyway.

use std::{fmt, ops::Deref, ops::Range, sync::Arc};

/// Memory comes in multiples of this, so that what one block leaves serves for another.
const ROUND_BYTES: usize = 256;

/// The counts in front of shared bytes.
const SHARE_COUNT_BYTES: usize = 16;

/// The payload of a block; a clone shares the bytes.
#[derive(Clone, Default)]
pub(crate) struct Payload {
    /// The payload, and perhaps the trailer that it was read with.
    bytes: Arc<[u8]>,
    length: u32,
}

impl Payload {
    /// `length` bytes made by `fill`, which is given zeros.
    ///
    /// # Errors
    /// Those of `fill`.
    pub(crate) fn read<E>(
        length: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let zeros: Arc<[u8]> = std::iter::repeat_n(0, rounded(length)).collect();
        Self::of(zeros).fill(length, fill)
    }

    /// As [`Payload::read`] into this one's memory, if nobody else has a share of it. `fill` is
    /// given old bytes.
    ///
    /// # Errors
    /// Those of `fill`.
    pub(crate) fn reread<E>(
        self,
        length: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Self, E> {
        if self.is_unshared() && self.fits(length) {
            self.fill(length, fill)
        } else {
            Self::read(length, fill)
        }
    }

    fn fill<E>(
        mut self,
        length: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let bytes = Arc::get_mut(&mut self.bytes).and_then(|bytes| bytes.get_mut(..length));
        fill(bytes.expect("nobody else has it, and it was made for this length"))?;
        self.length = u32::try_from(length).expect("a block is below half of u32::MAX");
        Ok(self)
    }

    /// Memory, bytes.
    pub(crate) fn byte_count(&self) -> usize {
        self.bytes.len() + SHARE_COUNT_BYTES
    }

    /// Whether it has just the memory for so many bytes.
    pub(crate) fn fits(&self, length: usize) -> bool {
        self.bytes.len() == rounded(length)
    }

    /// Whether nobody else has a share of the bytes.
    pub(crate) fn is_unshared(&self) -> bool {
        Arc::strong_count(&self.bytes) == 1
    }

    fn of(bytes: Arc<[u8]>) -> Self {
        let length = u32::try_from(bytes.len()).expect("a block is below half of u32::MAX");
        Self { bytes, length }
    }

    /// Only the first `length` bytes are meant from now on.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(u32::try_from(length).unwrap_or(u32::MAX));
    }

    /// A part that keeps the whole in memory; nothing when it is not within.
    #[inline]
    pub(crate) fn into_slice(self, range: Range<usize>) -> BlockSlice {
        let is_within = range.start <= range.end && range.end <= self.len();
        BlockSlice {
            bytes: self.bytes,
            range: if is_within { range } else { 0..0 },
        }
    }
}

fn rounded(length: usize) -> usize {
    length.next_multiple_of(ROUND_BYTES)
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self::of(bytes.into())
    }
}

impl Deref for Payload {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.length as usize).unwrap_or_default()
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.length)
    }
}

/// A value: a part of a block that keeps the block in memory.
#[derive(Clone)]
pub(crate) struct BlockSlice {
    bytes: Arc<[u8]>,
    /// Within the bytes.
    range: Range<usize>,
}

impl BlockSlice {
    /// Leaves out so many bytes at the beginning.
    pub(crate) fn advance(&mut self, count: usize) {
        self.range.start = self.range.start.saturating_add(count).min(self.range.end);
    }
}

impl Deref for BlockSlice {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.bytes.get(self.range.clone()).unwrap_or_default()
    }
}

impl AsRef<[u8]> for BlockSlice {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Default for BlockSlice {
    fn default() -> Self {
        Payload::default().into_slice(0..0)
    }
}

impl PartialEq for BlockSlice {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for BlockSlice {}

impl fmt::Debug for BlockSlice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_what_was_filled_in_and_a_slice_never_leaves_it() {
        let fill = |bytes: &mut [u8]| {
            assert_eq!(bytes, [0; 5]);
            bytes.copy_from_slice(b"abcde");
            Ok::<_, ()>(())
        };
        let mut payload = Payload::read(5, fill).expect("filled");
        payload.truncate(4);
        assert_eq!(&*payload, b"abcd");
        assert_eq!(&*payload.clone().into_slice(1..3), b"bc");
        assert_eq!(&*payload.clone().into_slice(4..4), b"");
        for beyond in [3..5, 5..9] {
            assert_eq!(&*payload.clone().into_slice(beyond), b"");
        }
        let mut slice = payload.into_slice(1..4);
        slice.advance(2);
        assert_eq!(&*slice, b"d");
        slice.advance(usize::MAX);
        assert_eq!(&*slice, b"");
        assert!(Payload::read(5, |_| Err(())).is_err());
        assert_eq!(BlockSlice::default().len(), 0);
    }

    #[test]
    fn memory_is_used_again_only_when_nobody_has_a_share_of_it() {
        let make = |payload: Payload, letter: u8| {
            let fill = |bytes: &mut [u8]| {
                bytes.fill(letter);
                Ok::<_, ()>(())
            };
            payload.reread(300, fill).expect("filled")
        };
        let first = make(Payload::default(), b'a');
        let address = first.as_ptr();
        let shared = first.clone();
        let second = make(first, b'b');
        assert_eq!((shared[299], second[299], second.len()), (b'a', b'b', 300));
        let third = make(shared, b'c');
        assert_eq!((third.as_ptr(), third[0]), (address, b'c'));
        assert_eq!(BlockSlice::default().len(), 0);
    }
}
