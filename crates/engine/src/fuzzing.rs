//! The doors of the fuzz targets to decoders; built for them only.

use crate::table::any_bytes;

/// The bytes as a block of a table.
pub fn block(bytes: &[u8]) {
    any_bytes::block(bytes);
}

/// The bytes as an index block of a table.
pub fn index(bytes: &[u8]) {
    any_bytes::index(bytes);
}

/// The bytes as a file of a table.
pub fn file(bytes: &[u8]) {
    any_bytes::file(bytes);
}

/// The bytes as a file of the value log, and as a pointer into one.
pub fn value_file(bytes: &[u8]) {
    crate::vlog::any_bytes(bytes);
}
