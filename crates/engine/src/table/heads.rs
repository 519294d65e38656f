//! Heads: the first eight bytes of sorted keys, as numbers side by side, so that a binary search
//! touches two or three cache lines and compares no strings.
//!
//! Invariant: of two keys without their common prefix, the one with the lower head is lower; with
//! equal heads the keys decide. Missing bytes count as zero.

use super::layout::HEAD_BYTES;

/// The head of a key whose prefix is cut off.
#[inline]
pub(crate) fn head(rest: &[u8]) -> u64 {
    if let Some(bytes) = rest.first_chunk::<HEAD_BYTES>() {
        return u64::from_be_bytes(*bytes);
    }
    let mut bytes = [0; HEAD_BYTES];
    bytes
        .iter_mut()
        .zip(rest)
        .for_each(|(slot, byte)| *slot = *byte);
    u64::from_be_bytes(bytes)
}

/// Heads as stored: little-endian numbers.
#[derive(Clone, Copy)]
pub(crate) struct Heads<'a> {
    heads: &'a [[u8; HEAD_BYTES]],
}

impl<'a> Heads<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            heads: bytes.as_chunks().0,
        }
    }

    /// The number of heads below `wanted`, and the number of those at or below it: heads are
    /// ascending.
    #[inline]
    pub(crate) fn around(self, wanted: u64) -> (usize, usize) {
        let below = self
            .heads
            .partition_point(|head| u64::from_le_bytes(*head) < wanted);
        let equal = self.heads.get(below..).unwrap_or_default();
        let equal = equal
            .iter()
            .take_while(|head| u64::from_le_bytes(**head) == wanted);
        (below, below + equal.count())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn heads_agree_with_keys(mut keys: Vec<Vec<u8>>, key: Vec<u8>) {
            keys.sort();
            let stored: Vec<u8> =
                keys.iter().flat_map(|key| head(key).to_le_bytes()).collect();
            let (below, at) = Heads::new(&stored).around(head(&key));
            let first = keys.partition_point(|own| *own < key);
            prop_assert!(below <= first);
            prop_assert!(keys.partition_point(|own| *own <= key) <= at);
        }
    }
}
