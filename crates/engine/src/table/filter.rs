//! A filter on the user keys of one index partition: "certainly not here" from one cache line.
//!
//! A blocked Bloom filter: a key's hash picks one line of 64 bytes and sets [`PROBES`] of its 512
//! bits. At [`BITS_PER_KEY`] about one absent key in a hundred passes. Rejected: binary fuse
//! filters (a third of the false positives, but three lines to touch, all hashes of a whole table
//! at once, and at the few thousand keys of a partition no fewer bits).
//!
//! Invariant: a key that was added always passes. The hash (XXH3, 64 bits) and the bit positions
//! are part of the format.

use xxhash_rust::xxh3::xxh3_64;

/// Bits of filter for each key.
pub(crate) const BITS_PER_KEY: usize = 10;

const PROBES: u32 = 6;
const LINE_BYTES: usize = 64;

/// The hash of a user key (with its keyspace byte) that filters are asked with.
pub(crate) fn hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

/// Appends a filter of these hashes to `out`; its length, a multiple of 64, 0 for no hashes.
pub(crate) fn build(hashes: &[u64], out: &mut Vec<u8>) -> usize {
    if hashes.is_empty() {
        return 0;
    }
    let length = (hashes.len() * BITS_PER_KEY).div_ceil(LINE_BYTES * 8) * LINE_BYTES;
    let start = out.len();
    out.resize(start + length, 0);
    let Some(filter) = out.get_mut(start..) else {
        return 0;
    };
    for hash in hashes {
        let line = line_of(*hash, length);
        for bit in bits_of(*hash) {
            if let Some(byte) = filter.get_mut(line + bit / 8) {
                *byte |= 1 << (bit % 8);
            }
        }
    }
    length
}

/// Whether a key with this hash may have been added. An empty filter lets everything pass.
pub(crate) fn may_contain(filter: &[u8], hash: u64) -> bool {
    let line = line_of(hash, filter.len());
    let Some(line) = filter.get(line..line + LINE_BYTES) else {
        return true;
    };
    bits_of(hash).all(|bit| {
        line.get(bit / 8)
            .is_none_or(|byte| byte & (1 << (bit % 8)) != 0)
    })
}

/// The offset of the line of a hash: its high half, scaled to the number of lines.
fn line_of(hash: u64, filter_bytes: usize) -> usize {
    let lines = (filter_bytes / LINE_BYTES) as u64;
    let line = ((hash >> 32) * lines) >> 32;
    usize::try_from(line).expect("below the length of a slice") * LINE_BYTES
}

/// The bits within the line: the low half, stirred by the golden ratio, nine bits at a time from
/// the top.
#[expect(clippy::cast_possible_truncation, reason = "the low half is wanted")]
fn bits_of(hash: u64) -> impl Iterator<Item = usize> {
    let mut state = hash as u32;
    (0..PROBES).map(move |_| {
        let bit = (state >> 23) as usize;
        state = state.wrapping_mul(0x9E37_79B9);
        bit
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(range: std::ops::Range<u64>) -> Vec<u64> {
        range.map(|number| hash(&number.to_le_bytes())).collect()
    }

    #[test]
    fn what_was_added_passes_and_one_in_fifty_of_the_rest_at_most() {
        for count in [1, 10, 1000, 50_000] {
            let mut filter = Vec::new();
            let length = build(&hashes(0..count), &mut filter);
            assert_eq!(filter.len(), length);
            assert!(length * 8 <= count as usize * BITS_PER_KEY + LINE_BYTES * 8);
            assert!(
                hashes(0..count)
                    .iter()
                    .all(|hash| may_contain(&filter, *hash))
            );
            let absent = hashes(1_000_000..1_010_000);
            let passed = absent
                .iter()
                .filter(|hash| may_contain(&filter, **hash))
                .count();
            assert!(
                passed <= 200,
                "{passed} of 10,000 absent keys pass at {count}"
            );
        }
    }

    #[test]
    fn an_empty_filter_lets_everything_pass() {
        let mut filter = Vec::new();
        assert_eq!(build(&[], &mut filter), 0);
        assert!(may_contain(&filter, 7) && may_contain(&[0; 63], u64::MAX));
    }
}
