//! Where the fields of a manifest are. Mirrors docs/format/manifest.md; all integers little-endian.
//!
//! # The ladder of formats
//! 1. The first.

/// The first bytes of a manifest.
pub(super) const MAGIC: [u8; 8] = *b"NoKV-man";

/// The format that this program writes.
pub(super) const FORMAT_VERSION: u32 = 1;

/// The oldest format that this program reads.
pub(super) const FORMAT_VERSION_MIN: u32 = 1;
const _: () = assert!(FORMAT_VERSION_MIN <= FORMAT_VERSION);

// Head of the file.
pub(super) const HEAD_FORMAT: usize = 8;
pub(super) const HEAD_RESERVED: usize = HEAD_FORMAT + 4;
pub(super) const HEAD_NUMBER: usize = HEAD_RESERVED + 4;
pub(super) const HEAD_UNUSED: usize = HEAD_NUMBER + 8;
pub(super) const HEAD_CHECKSUM: usize = HEAD_UNUSED + 36;
/// Bytes of the head of the file.
pub(super) const HEAD_BYTES: usize = HEAD_CHECKSUM + 4;
const _: () = assert!(HEAD_BYTES == 64);

// Head of a record.
pub(super) const RECORD_CHECKSUM: usize = 0;
pub(super) const RECORD_LENGTH: usize = RECORD_CHECKSUM + 4;
pub(super) const RECORD_SEQUENCE: usize = RECORD_LENGTH + 4;
/// Bytes of the head of a record.
pub(super) const RECORD_HEAD_BYTES: usize = RECORD_SEQUENCE + 8;
const _: () = assert!(RECORD_HEAD_BYTES == 16);

/// The largest edit, bytes: a whole state of a million tables with ordinary keys is below it.
pub(super) const EDIT_BYTES_MAX: usize = 256 << 20;

/// A manifest longer than this, and than four times its first edit, is written anew.
pub(super) const MANIFEST_BYTES_MAX: u64 = 1 << 20;

/// The most levels that a store has.
pub(crate) const LEVELS_MAX: usize = 7;
