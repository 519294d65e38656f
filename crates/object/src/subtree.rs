//! BLAKE3 of a body out of the hashes of its parts.
//!
//! BLAKE3 is a tree: parts of one length, a power of two of at least 1 KiB, can be hashed by
//! themselves, on any core and in any order, and the hash of the whole is that of theirs. So a
//! large body is hashed on as many cores as store it, and a part that is written anew changes only
//! its own.
//!
//! **Source**: the BLAKE3 paper, section 2.1; the `hazmat` module of the crate `blake3`.

use blake3::hazmat::{
    ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root,
};
use nokv_types::Digest;

/// Bytes that the tree is made of: parts are a power of two of them.
const CHUNK_BYTES: u64 = blake3::CHUNK_LEN as u64;

/// The hash of a part of a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SubtreeHash {
    bytes: u64,
    /// As part of a whole; `None` where it can be none.
    inner: Option<ChainingValue>,
    /// If it is the whole.
    root: Digest,
}

impl SubtreeHash {
    /// The hash of the bytes at `offset` of a body.
    #[must_use]
    pub fn of(bytes: &[u8], offset: u64) -> Self {
        let mut hasher = blake3::Hasher::new();
        let is_part = offset.is_multiple_of(CHUNK_BYTES)
            && blake3::hazmat::max_subtree_len(offset)
                .is_none_or(|most| bytes.len() as u64 <= most);
        if !is_part {
            let root = Digest::from_bytes([0; 32]);
            let bytes = bytes.len() as u64;
            return Self {
                bytes,
                inner: None,
                root,
            };
        }
        hasher.set_input_offset(offset);
        hasher.update(bytes);
        let root = match offset {
            0 => Digest::from_bytes(*hasher.finalize().as_bytes()),
            _ => Digest::from_bytes([0; 32]),
        };
        let inner = (!bytes.is_empty()).then(|| hasher.finalize_non_root());
        let bytes = bytes.len() as u64;
        Self { bytes, inner, root }
    }

    /// The digest of the body that these parts are, in order; `None` when it can't be told: all but
    /// the last must have one length, a power of two of at least 1 KiB, which the last does not
    /// exceed.
    #[must_use]
    pub fn join(parts: &[Self]) -> Option<Digest> {
        let (last, whole) = parts.split_last()?;
        let Some(first) = whole.first() else {
            return Some(last.root);
        };
        let is_legal = first.bytes.is_power_of_two()
            && first.bytes >= CHUNK_BYTES
            && whole.iter().all(|part| part.bytes == first.bytes)
            && (1..=first.bytes).contains(&last.bytes);
        if !is_legal {
            return None;
        }
        let inner: Option<Vec<_>> = parts.iter().map(|part| part.inner).collect();
        let inner = inner?;
        let (left, right) = inner.split_at_checked(left_count(inner.len()))?;
        let root = merge_subtrees_root(&merge(left)?, &merge(right)?, Mode::Hash);
        Some(Digest::from_bytes(*root.as_bytes()))
    }
}

/// Parts of the left half of a tree: the largest power of two below their number.
fn left_count(count: usize) -> usize {
    count.next_power_of_two() / 2
}

fn merge(parts: &[ChainingValue]) -> Option<ChainingValue> {
    match parts {
        [] => None,
        [one] => Some(*one),
        many => {
            let (left, right) = many.split_at_checked(left_count(many.len()))?;
            Some(merge_subtrees_non_root(
                &merge(left)?,
                &merge(right)?,
                Mode::Hash,
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_join_to_the_digest_of_the_whole(
            bytes in 0..40_000_usize, part_shift in 10..14_u32, seed: u8,
        ) {
            let fill = |index: usize| u8::try_from(index * 7 % 251).expect("a byte") ^ seed;
            let body: Vec<u8> = (0..bytes).map(fill).collect();
            let part_bytes = 1_usize << part_shift;
            let parts: Vec<_> = (0..bytes.div_ceil(part_bytes).max(1))
                .map(|index| {
                    let start = index * part_bytes;
                    let part = &body[start..bytes.min(start + part_bytes)];
                    SubtreeHash::of(part, start as u64)
                })
                .collect();
            prop_assert_eq!(SubtreeHash::join(&parts), Some(checksum::digest(&body)));
        }
    }

    #[test]
    fn what_is_no_tree_has_no_digest() {
        let part = |bytes: usize, offset| SubtreeHash::of(&vec![1; bytes], offset);
        assert_eq!(SubtreeHash::join(&[]), None);
        assert_eq!(SubtreeHash::join(&[part(1024, 0), part(2048, 1024)]), None);
        assert_eq!(SubtreeHash::join(&[part(3072, 0), part(10, 3072)]), None);
        assert_eq!(
            SubtreeHash::join(&[part(2048, 0), part(1024, 2048), part(1024, 3072)]),
            None
        );
        assert_eq!(SubtreeHash::join(&[part(2048, 0), part(2048, 1024)]), None);
    }
}
