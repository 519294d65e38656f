//! What is asked, in 64 bits, to notice a request id that is used for something else.
//!
//! The hash (XXH3) is stable across versions of the program: it is stored with the request. Every
//! part is hashed with its length, so that parts can't run into each other.

use crate::{Place, Target};
use nokv_types::{Extent, NsPath};
use xxhash_rust::xxh3::Xxh3;

/// Builds a fingerprint.
pub(crate) struct Fingerprint(Xxh3);

impl Fingerprint {
    /// Of an operation with this name.
    pub(crate) fn new(operation: &str) -> Self {
        let mut fingerprint = Self(Xxh3::new());
        fingerprint.bytes(operation.as_bytes());
        fingerprint
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
        self
    }

    pub(crate) fn number(&mut self, number: u64) -> &mut Self {
        self.0.update(&number.to_le_bytes());
        self
    }

    pub(crate) fn path(&mut self, path: &NsPath) -> &mut Self {
        self.number(path.names().len() as u64);
        for name in path.names() {
            self.bytes(name.as_bytes());
        }
        self
    }

    pub(crate) fn place(&mut self, place: Place<'_>) -> &mut Self {
        self.target(place.into())
    }

    pub(crate) fn target(&mut self, target: Target<'_>) -> &mut Self {
        match target {
            Target::Path(path) => self.number(0).path(path),
            Target::Node(node) => self.number(1).number(node.as_u64()),
            Target::Child { directory, name } => self
                .number(2)
                .number(directory.as_u64())
                .bytes(name.as_bytes()),
        }
    }

    pub(crate) fn extents(&mut self, extents: &[Extent]) -> &mut Self {
        self.number(extents.len() as u64);
        for extent in extents {
            let unit = &extent.unit;
            self.number(extent.body_offset)
                .number(u64::from(extent.length) << 32 | u64::from(extent.skip))
                .number(unit.block.session.get())
                .number(u64::from(unit.block.sequence) << 32 | u64::from(unit.object_offset))
                .number(u64::from(unit.stored_bytes) << 32 | u64::from(unit.plain_bytes))
                .number(u64::from(unit.crc32c) << 8 | u64::from(unit.encoding.as_u8()));
        }
        self
    }

    /// The hash of debug text: for small enums and structs of plain data.
    pub(crate) fn debug(&mut self, value: &impl std::fmt::Debug) -> &mut Self {
        self.bytes(format!("{value:?}").as_bytes())
    }

    pub(crate) fn finish(&self) -> u64 {
        self.0.digest()
    }
}
