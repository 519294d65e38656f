//! Keys and values: made from an index, the same for every engine.

use crate::harness::{Random, fnv64};
use std::io::Write;

/// Bytes of a YCSB value: ten fields of a hundred.
pub(crate) const YCSB_VALUE_BYTES: usize = 1_000;
/// Bytes of a metadata value: an inode record.
pub(crate) const METADATA_VALUE_BYTES: usize = 120;
/// Children of a directory in the metadata set.
pub(crate) const CHILDREN: u64 = 100;
/// Values are slices of a pool of random bytes at random places: nothing to generate while
/// measuring, and nothing that a block compressor could find twice.
const POOL_BYTES: usize = 4 << 20;
/// A metadata record is half fields that compress (times, modes, zeros) and half that do not (ids,
/// digests).
const METADATA_RANDOM_BYTES: usize = METADATA_VALUE_BYTES / 2;

/// Which family of keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `user<hash>`, 24 bytes, and values of 1,000.
    Ycsb,
    /// `append<index>`: ascending, values of 1,000.
    Log,
    /// `shard|directory|name`, 40 bytes, and values of 120.
    Metadata,
}

/// Writes the key of record `index` into `key`; `loaded` records were there from the start.
pub(crate) fn key(shape: Shape, index: u64, loaded: u64, key: &mut Vec<u8>) {
    key.clear();
    match shape {
        Shape::Ycsb => write!(key, "user{:020}", fnv64(index)),
        Shape::Log => write!(key, "append{index:018}"),
        Shape::Metadata if index < loaded => {
            write_directory(key, index / CHILDREN);
            write!(
                key,
                "entry-{:05}-{:08x}",
                index % CHILDREN,
                fnv64(index) as u32
            )
        }
        Shape::Metadata => {
            // A new child of a directory that exists.
            write_directory(key, fnv64(index) % (loaded / CHILDREN).max(1));
            write!(key, "fresh-{index:014}")
        }
    }
    .expect("writing to a vector does not fail");
}

/// Writes the common prefix of a directory's children.
pub(crate) fn directory_prefix(directory: u64, key: &mut Vec<u8>) {
    key.clear();
    write_directory(key, directory);
}

fn write_directory(key: &mut Vec<u8>, directory: u64) {
    let hash = fnv64(directory);
    write!(key, "{:02x}|{hash:016x}|", hash >> 56).expect("writing to a vector does not fail");
}

/// A source of values.
#[derive(Clone)]
pub(crate) struct Values {
    pool: std::sync::Arc<[u8]>,
    record: Vec<u8>,
}

impl Values {
    /// The pool of this seed.
    pub(crate) fn new(seed: u64) -> Self {
        let mut pool = vec![0; POOL_BYTES];
        Random::new(seed).fill(&mut pool);
        Self {
            pool: pool.into(),
            record: vec![0; METADATA_VALUE_BYTES],
        }
    }

    /// The next value.
    pub(crate) fn draw(&mut self, shape: Shape, random: &mut Random) -> &[u8] {
        let length = match shape {
            Shape::Ycsb | Shape::Log => YCSB_VALUE_BYTES,
            Shape::Metadata => METADATA_RANDOM_BYTES,
        };
        let start = random.below((POOL_BYTES - length) as u64) as usize;
        let slice = &self.pool[start..start + length];
        if shape != Shape::Metadata {
            return slice;
        }
        self.record[..METADATA_RANDOM_BYTES].copy_from_slice(slice);
        &self.record
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn keys_have_their_length_and_are_distinct() {
        let mut bytes = Vec::new();
        for (shape, length) in [(Shape::Ycsb, 24), (Shape::Log, 24), (Shape::Metadata, 40)] {
            let mut seen = BTreeSet::new();
            for index in 0..20_000 {
                key(shape, index, 10_000, &mut bytes);
                assert_eq!(bytes.len(), length, "{shape:?}");
                assert!(seen.insert(bytes.clone()), "{shape:?} {index}");
            }
        }
    }

    #[test]
    fn children_lie_together_below_their_directory() {
        let (mut child, mut prefix) = (Vec::new(), Vec::new());
        for index in [0, 99, 100, 4_242] {
            key(Shape::Metadata, index, 10_000, &mut child);
            directory_prefix(index / CHILDREN, &mut prefix);
            assert!(child.starts_with(&prefix));
        }
    }

    #[test]
    fn values_have_their_length() {
        let (mut values, mut random) = (Values::new(1), Random::new(1));
        assert_eq!(values.draw(Shape::Ycsb, &mut random).len(), 1_000);
        assert_eq!(values.draw(Shape::Metadata, &mut random).len(), 120);
    }
}
