//! Names and files of the disk cache (docs/format/cache.md).
//!
//! ```text
//! CACHE                     the mark: "nokv cache 1\n"
//! lock, usage               who evicts; what is taken
//! tmp/{nonce}-{number}      files being written
//! {store}/{hh}/{session}/{sequence}/{offset}-{length}-{crc}        the bytes, nothing else
//! {store}/{hh}/{session}/{sequence}/{offset}-{length}-{crc}.sums   checksums of their chunks
//! ```
//!
//! Invariant: a name says everything about its file but the bytes, so listings alone recover the
//! cache; a name of any other shape is none of ours.

use crate::{checksum, store::key};
use nokv_types::{BLOCK_BYTES_MAX, BlockId};
use std::{
    ops::Range,
    path::{Path, PathBuf},
};

/// What the file `CACHE` says; another number is another layout.
pub(super) const MARK: &str = "nokv cache 1\n";
/// The mark's name.
pub(super) const MARK_NAME: &str = "CACHE";
/// The name of the lock of whoever counts or evicts.
pub(super) const LOCK_NAME: &str = "lock";
/// The name of the file that says how many bytes are taken.
pub(super) const USAGE_NAME: &str = "usage";
/// Where files are written before they get their names.
pub(super) const TMP_NAME: &str = "tmp";
/// What the names of checksum files end with.
pub(super) const SUMS_SUFFIX: &str = ".sums";

/// Bytes of a chunk: what a small read has to check. A random read of 4 KiB reads and checks at
/// most two.
pub(super) const CHUNK_BYTES: u32 = 4096;
/// Longest entry without a checksum file: it is read whole, against the checksum in its name.
pub(super) const WHOLE_BYTES_MAX: u32 = 64 << 10;
/// Longest entry: the largest block.
pub(super) const ENTRY_BYTES_MAX: u32 = BLOCK_BYTES_MAX;
/// What an entry takes beside its bytes: inodes, directory, rounding.
const OVERHEAD_BYTES: u64 = 8192;

const SUMS_MAGIC: &[u8; 8] = b"nokvsum1";
const SUMS_HEAD_BYTES: usize = 16;

/// One file of the cache: a verified run of an object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Entry {
    /// First byte in the object.
    pub(super) offset: u32,
    /// How many bytes; `offset + length` is in range.
    pub(super) length: u32,
    /// CRC-32C of all of them.
    pub(super) crc32c: u32,
}

impl Entry {
    /// The entry for these bytes; `None` for none or too many.
    pub(super) fn of(offset: u32, bytes: &[u8]) -> Option<Self> {
        let length = u32::try_from(bytes.len())
            .ok()
            .filter(|bytes| (1..=ENTRY_BYTES_MAX).contains(bytes))?;
        offset.checked_add(length)?;
        let crc32c = checksum::crc32c(bytes);
        Some(Self {
            offset,
            length,
            crc32c,
        })
    }

    /// What a name stands for; `None` for a name of another shape.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let mut parts = name.split('-');
        let mut next = || key::parse_sequence(parts.next()?);
        let (offset, length, crc32c) = (next()?, next()?, next()?);
        let is_sound =
            (1..=ENTRY_BYTES_MAX).contains(&length) && offset.checked_add(length).is_some();
        (is_sound && parts.next().is_none()).then_some(Self {
            offset,
            length,
            crc32c,
        })
    }

    pub(super) fn name(&self) -> String {
        let Self {
            offset,
            length,
            crc32c,
        } = self;
        format!("{offset:08x}-{length:08x}-{crc32c:08x}")
    }

    /// Whether it holds all of a range of its object.
    pub(super) fn holds(&self, range: &Range<u32>) -> bool {
        self.offset <= range.start && range.end - self.offset.min(range.end) <= self.length
    }

    /// Whether a checksum file belongs to it.
    pub(super) fn has_sums(&self) -> bool {
        self.length > WHOLE_BYTES_MAX
    }

    /// What it takes of the disk, about.
    pub(super) fn cost(&self) -> u64 {
        u64::from(self.length) + u64::from(self.length / CHUNK_BYTES * 4) + OVERHEAD_BYTES
    }
}

/// The directory of an object's entries.
pub(super) fn block_dir(store_dir: &Path, block: BlockId) -> PathBuf {
    store_dir.join(key::block_key(block).trim_start_matches("blocks/"))
}

/// The name of a store's directory.
pub(super) fn store_name(store: [u8; 16]) -> String {
    store.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a name is that of a store's directory.
pub(super) fn is_store_name(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The checksum file of an entry's bytes: magic, chunk size, length, the CRC-32C of each chunk, and
/// that of all before; little-endian.
pub(super) fn encode_sums(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("an entry's length has 32 bits");
    let mut sums = SUMS_MAGIC.to_vec();
    sums.extend(CHUNK_BYTES.to_le_bytes());
    sums.extend(length.to_le_bytes());
    for chunk in bytes.chunks(CHUNK_BYTES as usize) {
        sums.extend(checksum::crc32c(chunk).to_le_bytes());
    }
    sums.extend(checksum::crc32c(&sums).to_le_bytes());
    sums
}

/// The length of the checksum file of an entry.
pub(super) fn sums_bytes(entry: &Entry) -> usize {
    SUMS_HEAD_BYTES + 4 * entry.length.div_ceil(CHUNK_BYTES) as usize + 4
}

/// The checksums of an entry's chunks; `None` when the file is not that of this entry, or damaged.
pub(super) fn decode_sums(entry: &Entry, file: &[u8]) -> Option<Vec<u32>> {
    if file.len() != sums_bytes(entry) {
        return None;
    }
    let (body, own) = file.split_last_chunk::<4>()?;
    if checksum::crc32c(body) != u32::from_le_bytes(*own) {
        return None;
    }
    let (head, sums) = body.split_at_checked(SUMS_HEAD_BYTES)?;
    let expected: Vec<u8> = [
        &SUMS_MAGIC[..],
        &CHUNK_BYTES.to_le_bytes(),
        &entry.length.to_le_bytes(),
    ]
    .concat();
    let (sums, rest) = sums.as_chunks::<4>();
    (head == expected && rest.is_empty())
        .then(|| sums.iter().map(|sum| u32::from_le_bytes(*sum)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_its_entry_determine_each_other() {
        let entry = Entry::of(0x1000, b"hello").expect("some bytes");
        assert_eq!(entry.name(), "00001000-00000005-9a71bb4c");
        assert_eq!(Entry::parse(&entry.name()), Some(entry));
        for name in [
            "00001000-00000005",
            "00001000-00000005-9a71bb4c.sums",
            "00001000-00000005-9a71bb4c-0",
            "00001000-00000000-9a71bb4c",
            "ffffffff-00000005-9a71bb4c",
        ] {
            assert_eq!(Entry::parse(name), None, "{name}");
        }
    }

    #[test]
    fn an_entry_holds_what_is_within() {
        let entry = Entry::of(10, &[0; 20]).expect("some bytes");
        assert!(entry.holds(&(10..30)) && entry.holds(&(15..16)));
        assert!(!entry.holds(&(9..12)) && !entry.holds(&(29..31)) && !entry.holds(&(40..41)));
    }

    #[test]
    fn every_flipped_bit_of_a_checksum_file_is_found() {
        let bytes = vec![7; 10_000];
        let entry = Entry::of(0, &bytes).expect("some bytes");
        let file = encode_sums(&bytes);
        assert_eq!(decode_sums(&entry, &file).map(|sums| sums.len()), Some(3));
        for bit in 0..file.len() * 8 {
            let mut damaged = file.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode_sums(&entry, &damaged), None, "bit {bit}");
        }
        assert_eq!(decode_sums(&entry, &file[..file.len() - 1]), None);
    }
}
