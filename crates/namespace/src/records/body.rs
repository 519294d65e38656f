//! How a body is kept in a node record: inline, as a few extents, or as a count of extents in chunk
//! records.
//!
//! Invariant: extents are in ascending order without overlap and end within the size (as [`Body`]
//! demands), so a decoded body is a valid one or an error.
//!
//! **Shape** of an extent: gap since the end of the one before, length, session, sequence, object
//! offset (varints), CRC-32C (4 bytes). Where it does not show a whole unit that is stored as it
//! is, a length of 0 says so, and then come: length, skip, plain bytes, stored bytes (varints),
//! encoding (1 byte).

use bytes::Bytes;
use nokv_shard::codec::{Decoder, Encoder, Malformed};
use nokv_types::{BlockId, Digest, Encoding, Extent, INLINE_BYTES_MAX, SessionId, Unit};

/// Extents kept in the node record itself: 64 MiB of 4 MiB blocks. More would make `ls` read them
/// all.
pub(crate) const EMBEDDED_EXTENTS_MAX: usize = 16;
/// Extents of one chunk record: 4 GiB of 4 MiB blocks, about 24 KiB of record.
pub(crate) const CHUNK_EXTENTS: usize = 1024;

/// The body part of a node record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct StoredBody {
    pub(crate) size: u64,
    pub(crate) digest: Option<Digest>,
    pub(crate) layout: StoredLayout,
}

/// Where the bytes are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum StoredLayout {
    Inline(Bytes),
    Embedded(Vec<Extent>),
    /// This many extents, in chunk records under the generation.
    Chunked(u32),
}

impl StoredBody {
    pub(crate) const fn empty() -> Self {
        Self {
            size: 0,
            digest: None,
            layout: StoredLayout::Inline(Bytes::new()),
        }
    }

    /// The number of chunk records.
    pub(crate) fn chunk_count(&self) -> u32 {
        match self.layout {
            StoredLayout::Chunked(extents) => extents.div_ceil(CHUNK_EXTENTS_U32),
            StoredLayout::Inline(_) | StoredLayout::Embedded(_) => 0,
        }
    }

    /// The number of extents.
    pub(crate) fn extent_count(&self) -> u32 {
        match &self.layout {
            StoredLayout::Inline(_) => 0,
            StoredLayout::Embedded(extents) => u32::try_from(extents.len()).unwrap_or(u32::MAX),
            StoredLayout::Chunked(extents) => *extents,
        }
    }

    pub(crate) fn encode(&self, encoder: &mut Encoder) {
        encoder.varint(self.size);
        match self.digest {
            None => encoder.u8(0),
            Some(digest) => encoder.u8(1).raw(digest.as_bytes()),
        };
        match &self.layout {
            StoredLayout::Inline(bytes) => {
                encoder.u8(0).bytes(bytes);
            }
            StoredLayout::Embedded(extents) => {
                encoder.u8(1);
                encode_extents(encoder, extents);
            }
            StoredLayout::Chunked(count) => {
                encoder.u8(2).varint(u64::from(*count));
            }
        }
    }

    /// Reads the body part of a record; `source` is the whole record, so that inline bytes need no
    /// copy.
    pub(crate) fn decode(decoder: &mut Decoder<'_>, source: &Bytes) -> Result<Self, Malformed> {
        let size = decoder.varint("size")?;
        let digest = match decoder.u8("digest flag")? {
            0 => None,
            1 => Some(Digest::from_bytes(decoder.fixed("digest")?)),
            flag => return Err(decoder.malformed("digest flag 0 or 1", flag)),
        };
        let layout = match decoder.u8("layout")? {
            0 => {
                let bytes = decoder.bytes("inline body")?;
                if bytes.len() as u64 != size || bytes.len() > INLINE_BYTES_MAX {
                    return Err(decoder.malformed("inline body as long as its size", bytes.len()));
                }
                StoredLayout::Inline(source.slice_ref(bytes))
            }
            1 => StoredLayout::Embedded(decode_extents(decoder, size)?),
            2 => StoredLayout::Chunked(decoder.varint32("extent count")?),
            layout => return Err(decoder.malformed("layout 0, 1 or 2", layout)),
        };
        Ok(Self {
            size,
            digest,
            layout,
        })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "1024")]
const CHUNK_EXTENTS_U32: u32 = CHUNK_EXTENTS as u32;

pub(super) fn encode_extents(encoder: &mut Encoder, extents: &[Extent]) {
    encoder.varint(extents.len() as u64);
    let mut end = 0;
    for extent in extents {
        let unit = &extent.unit;
        encoder.varint(extent.body_offset.saturating_sub(end));
        if extent.is_whole() && unit.encoding == Encoding::Plain {
            encoder.varint(u64::from(extent.length));
        } else {
            encoder
                .varint(0)
                .varint(u64::from(extent.length))
                .varint(u64::from(extent.skip))
                .varint(u64::from(unit.plain_bytes))
                .varint(u64::from(unit.stored_bytes))
                .u8(unit.encoding.as_u8());
        }
        encoder
            .varint(unit.block.session.get())
            .varint(u64::from(unit.block.sequence))
            .varint(u64::from(unit.object_offset))
            .u32(unit.crc32c);
        end = extent.end();
    }
}

/// Extents of a body of `size` bytes.
pub(super) fn decode_extents(
    decoder: &mut Decoder<'_>,
    size: u64,
) -> Result<Vec<Extent>, Malformed> {
    let count = decoder.varint32("extent count")?;
    let mut extents = Vec::new();
    let mut end = 0_u64;
    for _ in 0..count {
        let gap = decoder.varint("gap")?;
        let extent = decode_extent(decoder, end.saturating_add(gap))?;
        if !extent.is_sound() || extent.end() > size {
            return Err(decoder.malformed("extent within the body", extent.length));
        }
        end = extent.end();
        extents.push(extent);
    }
    Ok(extents)
}

/// What follows the gap of an extent. Not checked.
fn decode_extent(decoder: &mut Decoder<'_>, body_offset: u64) -> Result<Extent, Malformed> {
    let whole = decoder.varint32("length")?;
    let mut extent = Extent {
        body_offset,
        length: whole,
        skip: 0,
        unit: Unit::plain(NO_BLOCK, 0..whole, 0),
    };
    if whole == 0 {
        extent.length = decoder.varint32("length of a part")?;
        extent.skip = decoder.varint32("skip")?;
        extent.unit.plain_bytes = decoder.varint32("plain bytes")?;
        extent.unit.stored_bytes = decoder.varint32("stored bytes")?;
        let number = decoder.u8("encoding")?;
        extent.unit.encoding = Encoding::from_u8(number)
            .ok_or_else(|| decoder.malformed("encoding 0, 1 or 2", number))?;
    }
    extent.unit.block = BlockId {
        session: SessionId::new(decoder.varint("session")?),
        sequence: decoder.varint32("sequence")?,
    };
    extent.unit.object_offset = decoder.varint32("object offset")?;
    extent.unit.crc32c = decoder.u32("crc32c")?;
    Ok(extent)
}

const NO_BLOCK: BlockId = BlockId {
    session: SessionId::new(0),
    sequence: 0,
};
