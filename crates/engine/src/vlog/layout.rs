//! Where the fields of a value-log file are. Mirrors docs/format/vlog.md; all integers
//! little-endian.
//!
//! # The ladder of formats
//! 1. The first.

use crate::{entry::EXPIRY_BYTES, keyspace::VALUE_BYTES_MAX};

/// The first bytes of a file.
pub(super) const MAGIC: [u8; 8] = *b"NoKV-val";

/// The format that this program writes, and the only one that it reads.
pub(super) const FORMAT_VERSION: u32 = 1;

// Head of a file.
pub(super) const HEAD_FORMAT: usize = 8;
pub(super) const HEAD_RESERVED: usize = HEAD_FORMAT + 4;
pub(super) const HEAD_NUMBER: usize = HEAD_RESERVED + 4;
pub(super) const HEAD_BUCKET: usize = HEAD_NUMBER + 8;
pub(super) const HEAD_UNUSED: usize = HEAD_BUCKET + 4;
pub(super) const HEAD_CHECKSUM: usize = HEAD_UNUSED + 32;
/// Bytes of the head of a file.
pub(super) const HEAD_BYTES: usize = HEAD_CHECKSUM + 4;
const _: () = assert!(HEAD_BYTES == 64);
/// The same, as an offset.
pub(crate) const FILE_HEAD_BYTES: u64 = HEAD_BYTES as u64;

// Head of an entry; the key and what is stored follow.
pub(super) const ENTRY_CHECKSUM: usize = 0;
pub(super) const ENTRY_KEY_BYTES: usize = ENTRY_CHECKSUM + 4;
pub(super) const ENTRY_STORED_BYTES: usize = ENTRY_KEY_BYTES + 4;
pub(super) const ENTRY_FILE: usize = ENTRY_STORED_BYTES + 4;
pub(super) const ENTRY_VERSION: usize = ENTRY_FILE + 4;
pub(super) const ENTRY_KIND: usize = ENTRY_VERSION + 8;
pub(super) const ENTRY_RESERVED: usize = ENTRY_KIND + 1;
/// Bytes of the head of an entry.
pub(super) const ENTRY_HEAD_BYTES: usize = ENTRY_RESERVED + 3;
const _: () = assert!(ENTRY_HEAD_BYTES == 28);

// A pointer, as log records, memtables and tables have it.
pub(super) const POINTER_FILE: usize = 0;
pub(super) const POINTER_OFFSET: usize = POINTER_FILE + 8;
pub(super) const POINTER_STORED_BYTES: usize = POINTER_OFFSET + 8;
pub(super) const POINTER_CHECKSUM: usize = POINTER_STORED_BYTES + 4;
/// Bytes of a pointer.
pub(crate) const POINTER_BYTES: usize = POINTER_CHECKSUM + 4;
const _: () = assert!(POINTER_BYTES == 24);

/// The most that is stored of one value: an expiry in front of the largest.
pub(super) const STORED_BYTES_MAX: usize = VALUE_BYTES_MAX + EXPIRY_BYTES;
