//! Where a run of a body's bytes is: a part of a unit in an object.
//!
//! A *unit* is what was stored with one checksum; it is fetched whole, verified, decoded, and only
//! then cut. An *extent* shows a part of a unit at a place of a body, so an edit that covers half
//! of a unit shares the other half, and what is shared is verified as before: no checksum is ever
//! computed for bytes that nobody has.
//!
//! Invariants: the parts of a unit that extents show lie within its plain bytes; a unit never
//! changes, since its object never does.

use crate::{BLOCK_BYTES_MAX, BlockId};
use std::ops::Range;

/// How the bytes of a unit are stored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Encoding {
    /// As they are.
    #[default]
    Plain,
    /// As one LZ4 block.
    Lz4,
    /// As one Zstandard frame.
    Zstd,
}

impl Encoding {
    /// The number that formats store.
    #[must_use]
    pub const fn as_u8(self) -> u8 {
        match self {
            Self::Plain => 0,
            Self::Lz4 => 1,
            Self::Zstd => 2,
        }
    }

    /// The encoding with a number; `None` for one that this program does not know.
    #[must_use]
    pub const fn from_u8(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Plain),
            1 => Some(Self::Lz4),
            2 => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Its name, in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// What was stored with one checksum: a run of bytes of an object.
///
/// **Shape**: `stored_bytes` from `object_offset` of object `block`; decoded they are
/// `plain_bytes`, 1..=[`BLOCK_BYTES_MAX`]. Several units share an object (a *pack*).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Unit {
    /// In which object.
    pub block: BlockId,
    /// Where in the object.
    pub object_offset: u32,
    /// Bytes in the object.
    pub stored_bytes: u32,
    /// Bytes once decoded.
    pub plain_bytes: u32,
    /// How they are stored.
    pub encoding: Encoding,
    /// CRC-32C of the stored bytes, verified on every read.
    pub crc32c: u32,
}

impl Unit {
    /// A unit that is stored as it is, at this range of an object.
    #[must_use]
    pub const fn plain(block: BlockId, range: Range<u32>, crc32c: u32) -> Self {
        let bytes = range.end.saturating_sub(range.start);
        Self {
            block,
            object_offset: range.start,
            stored_bytes: bytes,
            plain_bytes: bytes,
            encoding: Encoding::Plain,
            crc32c,
        }
    }

    /// Its bytes in the object.
    #[must_use]
    pub const fn object_range(&self) -> Range<u32> {
        self.object_offset..self.object_offset.saturating_add(self.stored_bytes)
    }

    const fn is_sound(&self) -> bool {
        let fits = self.object_offset.checked_add(self.stored_bytes).is_some();
        let length_fits = match self.encoding {
            Encoding::Plain => self.stored_bytes == self.plain_bytes,
            // An encoding that does not shorten is not used.
            Encoding::Lz4 | Encoding::Zstd => self.stored_bytes < self.plain_bytes,
        };
        fits && length_fits && self.stored_bytes > 0 && self.plain_bytes <= BLOCK_BYTES_MAX
    }
}

/// A run of a body's bytes: a part of a unit.
///
/// **Shape**: the `length` ≥ 1 bytes from `body_offset` of the body are those from `skip` of the
/// unit's plain bytes. A gap between extents is a hole and reads as zeros.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Extent {
    /// Where in the body.
    pub body_offset: u64,
    /// How many bytes.
    pub length: u32,
    /// Where in the plain bytes of the unit.
    pub skip: u32,
    /// Where they are stored.
    pub unit: Unit,
}

impl Extent {
    /// A unit, all of it.
    #[must_use]
    pub const fn whole(body_offset: u64, unit: Unit) -> Self {
        Self {
            body_offset,
            length: unit.plain_bytes,
            skip: 0,
            unit,
        }
    }

    /// The object.
    #[must_use]
    pub const fn block(&self) -> BlockId {
        self.unit.block
    }

    /// Where in the body it ends.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.body_offset.saturating_add(self.length as u64)
    }

    /// Whether it shows all of its unit.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.length == self.unit.plain_bytes
    }

    /// What of it lies in a range of the body; `None` when nothing does.
    #[must_use]
    pub fn cut(&self, range: &Range<u64>) -> Option<Self> {
        let start = self.body_offset.max(range.start);
        let end = self.end().min(range.end);
        let length = end.checked_sub(start).filter(|length| *length > 0)?;
        let skipped = u32::try_from(start - self.body_offset).ok()?;
        Some(Self {
            body_offset: start,
            length: u32::try_from(length).ok()?,
            skip: self.skip.saturating_add(skipped),
            unit: self.unit,
        })
    }

    /// Whether `next` goes on where this ends, in the body and in the unit.
    #[must_use]
    pub fn continues_in(&self, next: &Self) -> bool {
        self.unit == next.unit
            && self.end() == next.body_offset
            && self.skip.checked_add(self.length) == Some(next.skip)
    }

    /// Whether it is legal by itself: it shows at least a byte, within its unit, and ends before
    /// the end of all offsets.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let shown = self.skip.checked_add(self.length);
        let end = self.body_offset.checked_add(u64::from(self.length));
        self.unit.is_sound()
            && self.length > 0
            && shown.is_some_and(|shown| shown <= self.unit.plain_bytes)
            && end.is_some()
    }
}
