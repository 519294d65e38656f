//! What the decoders of this folder do with any bytes at all: nothing but answer. Shared by the
//! property test and by the fuzz target.

use std::path::Path;

use super::catalog::{Catalog, decode_entry};

/// The bytes as the catalog of an export, and as an entry behind its checksum.
pub(crate) fn catalog(bytes: &[u8]) {
    Catalog::parse(Path::new("/export/catalog"), bytes).ok();
    decode_entry(bytes);
}
