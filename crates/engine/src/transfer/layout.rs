//! Where the fields of a catalog are. Mirrors docs/format/export.md; all integers little-endian.
//!
//! # The ladder of formats
//! 1. The first.

/// The file.
pub(super) const CATALOG_NAME: &str = "EXPORT";

/// The first bytes of it.
pub(super) const MAGIC: [u8; 8] = *b"NoKV-exp";

/// The format that this program writes, and the oldest and newest that it reads.
pub(super) const FORMAT_VERSION: u32 = 1;

// Head of the file.
pub(super) const HEAD_FORMAT: usize = 8;
pub(super) const HEAD_RESERVED: usize = HEAD_FORMAT + 4;
pub(super) const HEAD_ID: usize = HEAD_RESERVED + 4;
pub(super) const HEAD_UNUSED: usize = HEAD_ID + ID_BYTES;
pub(super) const HEAD_CHECKSUM: usize = HEAD_UNUSED + 28;
/// Bytes of the head of the file.
pub(super) const HEAD_BYTES: usize = HEAD_CHECKSUM + 4;
const _: () = assert!(HEAD_BYTES == 64);

/// Bytes of the random id of an export.
pub(super) const ID_BYTES: usize = 16;

// Head of a record.
pub(super) const RECORD_CHECKSUM: usize = 0;
pub(super) const RECORD_LENGTH: usize = RECORD_CHECKSUM + 4;
pub(super) const RECORD_SEQUENCE: usize = RECORD_LENGTH + 4;
/// Bytes of the head of a record.
pub(super) const RECORD_HEAD_BYTES: usize = RECORD_SEQUENCE + 8;
const _: () = assert!(RECORD_HEAD_BYTES == 16);

// Kinds of records: the first byte of the payload.
pub(super) const KIND_SCOPE: u8 = 1;
pub(super) const KIND_FILE: u8 = 2;
pub(super) const KIND_END: u8 = 3;

/// The longest payload: a scope of [`RANGES_MAX`] ranges with the longest keys would be larger, but
/// no export has those; a file has two keys and a summary.
pub(super) const PAYLOAD_BYTES_MAX: usize = 16 << 20;

/// The most ranges of one export: a shard is one range in each keyspace, of which there are 256.
pub(super) const RANGES_MAX: usize = 4096;

/// A catalog longer than this is not read: a million files of ordinary keys are below it.
pub(super) const CATALOG_BYTES_MAX: u64 = 1 << 30;

/// Bytes of the checksum over a whole file.
pub(super) const HASH_BYTES: usize = 16;
