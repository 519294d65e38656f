//! Where things lie in a table file: offsets, sizes, numbers. `docs/format/table.md` shows the same
//! as a picture.
//!
//! Invariants: every offset is the sum of those before it, so a field can't be moved without moving
//! what follows; all integers are little-endian; a number given out here is never given another
//! meaning.

/// First and last thing that tells a table from any other file.
pub(crate) const MAGIC: [u8; 8] = *b"NoKVtbl\n";

/// The format that this program writes, and the oldest and newest that it reads.
pub(crate) const FORMAT_VERSION: u32 = 1;

/// The trailer of every block: how it is stored, then a checksum over payload, that byte and the
/// block's offset.
pub(crate) mod trailer {
    /// Compression in the low four bits, content in the high four.
    pub(crate) const TAG: usize = 0;
    pub(crate) const CRC: usize = TAG + 1;
    pub(crate) const BYTES: usize = CRC + 4;
    const _: () = assert!(BYTES == 5);
}

/// The head of a data block's payload; heads of keys, restart offsets, prefix and entries follow.
/// It lies in front, where a lookup comes first: the count of shares of the bytes is beside it in
/// memory.
pub(crate) mod data_head {
    /// The lowest version in the block; entries store the difference to it.
    pub(crate) const BASE_VERSION: usize = 0;
    pub(crate) const PREFIX_BYTES: usize = BASE_VERSION + 8;
    pub(crate) const RESTART_COUNT: usize = PREFIX_BYTES + 4;
    /// Bytes of the version's difference in each entry: 0 to 8.
    pub(crate) const VERSION_BYTES: usize = RESTART_COUNT + 4;
    pub(crate) const BYTES: usize = VERSION_BYTES + 1;
    const _: () = assert!(BYTES == 17);
}

/// The tail of an index block's payload, behind filter, entries, entry offsets, heads and prefix.
pub(crate) mod index_tail {
    /// The lowest `last version` of the entries; they store the difference to it.
    pub(crate) const BASE_VERSION: usize = 0;
    pub(crate) const FILTER_BYTES: usize = BASE_VERSION + 8;
    pub(crate) const PREFIX_BYTES: usize = FILTER_BYTES + 4;
    pub(crate) const ENTRY_COUNT: usize = PREFIX_BYTES + 4;
    pub(crate) const BYTES: usize = ENTRY_COUNT + 4;
    const _: () = assert!(BYTES == 20);
}

/// A head: the first bytes of a key behind its block's prefix, in the order of keys as a number.
pub(crate) const HEAD_BYTES: usize = 8;

/// The end of the file.
pub(crate) mod footer {
    /// Handle of the top index: offset, then length with trailer.
    pub(crate) const INDEX: usize = 0;
    pub(crate) const TOMBSTONES: usize = INDEX + super::HANDLE_BYTES;
    pub(crate) const PROPERTIES: usize = TOMBSTONES + super::HANDLE_BYTES;
    /// Length of the file, so that a table with something behind or missing before the footer is
    /// noticed.
    pub(crate) const FILE_BYTES: usize = PROPERTIES + super::HANDLE_BYTES;
    pub(crate) const FORMAT_VERSION: usize = FILE_BYTES + 8;
    /// Over all of the footer before it.
    pub(crate) const CRC: usize = FORMAT_VERSION + 4;
    pub(crate) const MAGIC: usize = CRC + 4;
    pub(crate) const BYTES: usize = MAGIC + 8;
    const _: () = assert!(BYTES == 60);
}

/// An encoded handle: offset (8), length (4).
pub(crate) const HANDLE_BYTES: usize = 12;

/// Entries from one restart point to the next. 8 keeps the linear part of a search near 4 entries
/// and costs about 3 bytes an entry.
pub(crate) const RESTART_INTERVAL: usize = 8;

/// Bytes of keys and values from one restart point to the next: a linear search through large
/// values waits for memory at each of them. Every value of 500 bytes has its own restart point; of
/// 120 bytes, every third.
pub(crate) const RESTART_BYTES: usize = 384;

/// An index partition (with its filter) is closed at about this size: one read and one cache entry
/// cover some 3 MiB of table, and a table of 64 MiB has a top index of two dozen entries.
pub(crate) const PARTITION_BYTES: usize = 32 << 10;

/// Bounds in the index are cut to this length, so that giant keys don't make a giant index.
pub(crate) const BOUND_BYTES_MAX: usize = 512;

/// The largest size that may be asked for a data block: larger ones read too much for one key.
pub(crate) const BLOCK_BYTES_MAX: usize = 1 << 20;

/// The largest payload of a block: the largest entry (value 64 MiB, key 64 KiB) with room for its
/// tail.
pub(crate) const PAYLOAD_BYTES_MAX: usize = (64 << 20) + (256 << 10);
const _: () = assert!(PAYLOAD_BYTES_MAX > nokv_art::VALUE_BYTES_MAX + 2 * nokv_art::KEY_BYTES_MAX);
const _: () = assert!(PAYLOAD_BYTES_MAX < u32::MAX as usize / 2);

/// What a block contains; the high four bits of the tag.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Content {
    Data = 1,
    Partition = 2,
    Index = 3,
    Tombstones = 4,
    Properties = 5,
}

/// Where a block lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Handle {
    pub(crate) offset: u64,
    /// With the trailer; 0 for "there is none".
    pub(crate) bytes: u32,
}

impl Handle {
    /// The first byte behind it; `None` when that is beyond 64 bits.
    pub(crate) fn end(self) -> Option<u64> {
        self.offset.checked_add(u64::from(self.bytes))
    }
}
