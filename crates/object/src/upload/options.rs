//! The limits of an upload, with their reasons.

use crate::Error;
use nokv_types::{BLOCK_BYTES_DEFAULT, BLOCK_BYTES_MAX, BLOCK_BYTES_MIN, Encoding};

/// Largest object that packs small bodies: two default blocks, so that a pack costs a reader no
/// more than two blocks of a large file, and 10,000 files of 4 KiB are five PUTs.
pub const PACK_BYTES_MAX: u32 = 8 << 20;
/// Largest body, or tail of a body, that goes into a pack. Above it one PUT of its own costs little
/// per byte, is not copied, and its space comes back alone; below it the round trip outweighs the
/// bytes.
pub const PACKED_BYTES_MAX: u32 = 1 << 20;
/// Most PUTs under way at once: enough to fill a 10 Gbit/s line at 25 ms and 4 MiB each.
pub const PARALLEL_PUTS_MAX: usize = 256;

/// What an [`crate::Uploader`] may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UploadOptions {
    /// Bytes of a block, [`BLOCK_BYTES_MIN`]..=[`BLOCK_BYTES_MAX`], a power of two: so the digest
    /// of a body is joined from those of its blocks.
    pub block_bytes: u32,
    /// Bytes at which a pack is closed, 1..=[`PACK_BYTES_MAX`].
    pub pack_bytes_max: u32,
    /// Largest body or tail that is packed, at most `pack_bytes_max` and [`PACKED_BYTES_MAX`]; 0
    /// packs nothing.
    pub packed_bytes_max: u32,
    /// PUTs under way at once, 1..=[`PARALLEL_PUTS_MAX`].
    pub parallel_puts: usize,
    /// Bytes read and not yet stored, at least `pack_bytes_max` plus two blocks.
    pub memory_bytes_max: u32,
    /// How bytes are stored where that is shorter.
    pub compression: Compression,
}

/// How bytes are stored. A sample of each block decides: what would hardly become shorter is stored
/// as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Compression {
    /// As they are.
    #[default]
    Off,
    /// As LZ4: fast, for text and sparse numbers.
    Lz4,
    /// As Zstandard: shorter, at a few hundred MB/s and core.
    Zstd,
}

impl Compression {
    /// What it tries.
    pub(crate) const fn encoding(self) -> Encoding {
        match self {
            Self::Off => Encoding::Plain,
            Self::Lz4 => Encoding::Lz4,
            Self::Zstd => Encoding::Zstd,
        }
    }
}

impl Default for UploadOptions {
    fn default() -> Self {
        Self {
            block_bytes: BLOCK_BYTES_DEFAULT,
            pack_bytes_max: PACK_BYTES_MAX,
            packed_bytes_max: PACKED_BYTES_MAX,
            parallel_puts: 16,
            memory_bytes_max: 64 << 20,
            compression: Compression::Off,
        }
    }
}

impl UploadOptions {
    /// The same options if they are within their limits. **Errors**: [`Error::Invalid`].
    pub(crate) fn checked(self) -> Result<Self, Error> {
        let least_memory = u64::from(self.pack_bytes_max) + 2 * u64::from(self.block_bytes);
        let flaw = if !self.block_bytes.is_power_of_two() {
            format!("block_bytes is {}, no power of two", self.block_bytes)
        } else if !(BLOCK_BYTES_MIN..=BLOCK_BYTES_MAX).contains(&self.block_bytes) {
            format!(
                "block_bytes is {}, not {BLOCK_BYTES_MIN}..={BLOCK_BYTES_MAX}",
                self.block_bytes
            )
        } else if !(1..=PACK_BYTES_MAX).contains(&self.pack_bytes_max) {
            format!(
                "pack_bytes_max is {}, not 1..={PACK_BYTES_MAX}",
                self.pack_bytes_max
            )
        } else if self.packed_bytes_max > PACKED_BYTES_MAX.min(self.pack_bytes_max) {
            format!(
                "packed_bytes_max is {}, more than a pack or {PACKED_BYTES_MAX}",
                self.packed_bytes_max
            )
        } else if !(1..=PARALLEL_PUTS_MAX).contains(&self.parallel_puts) {
            format!(
                "parallel_puts is {}, not 1..={PARALLEL_PUTS_MAX}",
                self.parallel_puts
            )
        } else if u64::from(self.memory_bytes_max) < least_memory {
            // One pack may stay open for long; a block must still be able to come in and another to
            // leave.
            format!(
                "memory_bytes_max is {}, less than {least_memory}",
                self.memory_bytes_max
            )
        } else {
            return Ok(self);
        };
        Err(Error::Invalid(format!("upload option {flaw}")))
    }
}
