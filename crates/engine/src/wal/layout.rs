//! Where the fields of a segment are. Mirrors docs/format/wal.md; all integers little-endian.

/// The first bytes of a segment.
pub(super) const MAGIC: [u8; 8] = *b"NoKV-wal";

/// The format that this program writes.
pub(super) const FORMAT_VERSION: u32 = 1;

// Head of a segment.
pub(super) const HEAD_MAGIC: usize = 0;
pub(super) const HEAD_FORMAT: usize = HEAD_MAGIC + 8;
pub(super) const HEAD_RESERVED: usize = HEAD_FORMAT + 4;
pub(super) const HEAD_SEGMENT: usize = HEAD_RESERVED + 4;
pub(super) const HEAD_FIRST_SEQUENCE: usize = HEAD_SEGMENT + 8;
pub(super) const HEAD_UNUSED: usize = HEAD_FIRST_SEQUENCE + 8;
pub(super) const HEAD_CHECKSUM: usize = HEAD_UNUSED + 28;
/// Bytes of the head of a segment.
pub(super) const HEAD_BYTES: usize = HEAD_CHECKSUM + 4;
const _: () = assert!(HEAD_BYTES == 64);

// Head of a record.
pub(super) const RECORD_CHECKSUM: usize = 0;
pub(super) const RECORD_LENGTH: usize = RECORD_CHECKSUM + 4;
pub(super) const RECORD_SEQUENCE: usize = RECORD_LENGTH + 4;
pub(super) const RECORD_SYNCED: usize = RECORD_SEQUENCE + 8;
pub(super) const RECORD_KIND: usize = RECORD_SYNCED + 8;
pub(super) const RECORD_RESERVED: usize = RECORD_KIND + 1;
pub(super) const RECORD_SEGMENT: usize = RECORD_RESERVED + 3;
/// Bytes of the head of a record.
pub(super) const RECORD_HEAD_BYTES: usize = RECORD_SEGMENT + 4;
const _: () = assert!(RECORD_HEAD_BYTES == 32);

/// The kind of a record that holds a batch; the only one so far.
pub(super) const KIND_BATCH: u8 = 1;
