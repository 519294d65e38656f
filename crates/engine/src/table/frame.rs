//! A block as it lies in the file: payload, perhaps compressed, and a trailer that proves it.
//!
//! Invariants:
//! - the checksum covers payload, tag and the block's own offset, so a block that a device returns
//!   from the wrong place is noticed like a flipped bit;
//! - nothing is decompressed before its checksum is right, and no more than [`PAYLOAD_BYTES_MAX`]
//!   is ever allocated;
//! - a block that compression does not make smaller by an eighth is stored as it is: reading it
//!   costs nothing then.

use std::cell::RefCell;

use super::{
    layout::{Content, PAYLOAD_BYTES_MAX, trailer},
    malformed::Malformed,
    payload::Payload,
};
use crate::{
    Compression,
    bytes_at::u32_at,
    checksum::crc32c,
    plant::{Plant, is_planted},
};

const STORED_PLAIN: u8 = 0;
const STORED_LZ4: u8 = 1;
const STORED_ZSTD: u8 = 2;

/// The highest of them.
pub(super) const STORED_MAX: u8 = STORED_ZSTD;

/// Level 1: on path-like blocks level 3 is no smaller and a third slower.
const ZSTD_LEVEL: i32 = 1;

/// After so many blocks in a row that do not get smaller,
const IN_VAIN_MAX: u32 = 4;

/// so many are stored plain without a try: images, ciphertext, archives come in long runs, and
/// trying costs as much as all else that a compaction does.
const UNTRIED_BLOCKS: u32 = 15;

/// In front of a compressed payload: its length before compression.
const LENGTH_BYTES: usize = 4;

thread_local! {
    /// A decompression context costs 100 KiB and more to make: one per thread that reads.
    static ZSTD: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Turns payloads into blocks. One per writer: it keeps buffers and contexts.
pub(crate) struct Sealer {
    compression: Compression,
    buffer: Vec<u8>,
    zstd: Option<zstd::bulk::Compressor<'static>>,
    /// Blocks in a row that compression did not make smaller,
    in_vain: u32,
    /// and blocks that are not tried for that reason.
    untried: u32,
}

impl Sealer {
    pub(crate) fn new(compression: Compression) -> Self {
        Self {
            compression,
            buffer: Vec::new(),
            zstd: None,
            in_vain: 0,
            untried: 0,
        }
    }

    /// Appends the block of `payload`, which will lie at `offset` of the file, to `out`; its length
    /// with trailer.
    pub(crate) fn seal(
        &mut self,
        content: Content,
        payload: &[u8],
        offset: u64,
        out: &mut Vec<u8>,
    ) -> u32 {
        assert!(
            payload.len() <= PAYLOAD_BYTES_MAX,
            "a block holds at most one giant entry"
        );
        let start = out.len();
        let stored = self.compress(payload);
        let tag = stored | ((content as u8) << 4);
        out.extend_from_slice(if stored == STORED_PLAIN {
            payload
        } else {
            &self.buffer
        });
        out.push(tag);
        let crc = checksum(out.get(start..).unwrap_or_default(), offset);
        out.extend_from_slice(&crc.to_le_bytes());
        u32::try_from(out.len() - start).expect("a payload is below half of u32::MAX")
    }

    /// Compresses into the buffer; how the payload is to be stored.
    fn compress(&mut self, payload: &[u8]) -> u8 {
        if self.untried > 0 {
            self.untried -= 1;
            return STORED_PLAIN;
        }
        let worth = payload.len() - payload.len() / 8;
        self.buffer.clear();
        let length = u32::try_from(payload.len()).expect("checked by the caller");
        self.buffer.extend_from_slice(&length.to_le_bytes());
        let stored = match self.compression {
            Compression::None => None,
            Compression::Lz4 => self.compress_lz4(payload).map(|()| STORED_LZ4),
            Compression::Zstd => self.compress_zstd(payload).map(|()| STORED_ZSTD),
        };
        if let Some(stored) = stored.filter(|_| self.buffer.len() <= worth) {
            self.in_vain = 0;
            return stored;
        }
        self.in_vain += 1;
        if self.in_vain >= IN_VAIN_MAX {
            self.untried = UNTRIED_BLOCKS;
        }
        STORED_PLAIN
    }

    fn compress_lz4(&mut self, payload: &[u8]) -> Option<()> {
        let room = lz4_flex::block::get_maximum_output_size(payload.len());
        self.buffer.resize(LENGTH_BYTES + room, 0);
        let target = self.buffer.get_mut(LENGTH_BYTES..)?;
        let written = lz4_flex::block::compress_into(payload, target).ok()?;
        self.buffer.truncate(LENGTH_BYTES + written);
        Some(())
    }

    fn compress_zstd(&mut self, payload: &[u8]) -> Option<()> {
        if self.zstd.is_none() {
            self.zstd = zstd::bulk::Compressor::new(ZSTD_LEVEL).ok();
        }
        let room = zstd::zstd_safe::compress_bound(payload.len());
        self.buffer.resize(LENGTH_BYTES + room, 0);
        let target = self.buffer.get_mut(LENGTH_BYTES..)?;
        let written = self
            .zstd
            .as_mut()?
            .compress_to_buffer(payload, target)
            .ok()?;
        self.buffer.truncate(LENGTH_BYTES + written);
        Some(())
    }
}

/// The payload of a block that was read from `offset`.
///
/// # Errors
/// [`Malformed`] when a byte of it is not what was sealed, or it is no block of this content.
pub(crate) fn open(
    content: Content,
    mut block: Payload,
    offset: u64,
) -> Result<Payload, Malformed> {
    let (stored, payload) = check(content, &block, offset)?;
    if stored == STORED_PLAIN {
        let length = payload.len();
        block.truncate(length);
        return Ok(block);
    }
    decompress(stored, payload)
}

/// As [`open`], of a block in a larger buffer.
///
/// # Errors
/// As [`open`].
pub(crate) fn open_copy(content: Content, block: &[u8], offset: u64) -> Result<Payload, Malformed> {
    let (stored, payload) = check(content, block, offset)?;
    if stored == STORED_PLAIN {
        return Payload::read(payload.len(), |bytes| {
            bytes.copy_from_slice(payload);
            Ok(())
        });
    }
    decompress(stored, payload)
}

/// Whether a block says that its payload is stored as it is; unproven.
pub(crate) fn is_plain(block: &[u8]) -> bool {
    let tag = block.len().checked_sub(trailer::BYTES);
    let tag = tag.and_then(|payload_bytes| block.get(payload_bytes));
    tag.is_some_and(|tag| tag & 0xF == STORED_PLAIN)
}

/// How the payload is stored, and its stored bytes, when they are what was sealed.
fn check(content: Content, block: &[u8], offset: u64) -> Result<(u8, &[u8]), Malformed> {
    let short = || Malformed::new("a block with a trailer", "fewer bytes");
    let payload_bytes = block.len().checked_sub(trailer::BYTES).ok_or_else(short)?;
    let stated = u32_at(block, payload_bytes + trailer::CRC).ok_or_else(short)?;
    let (tagged, _) = block.split_at(payload_bytes + trailer::CRC);
    let computed = checksum(tagged, offset);
    if stated != computed && !is_planted(Plant::SkipBlockChecksum) {
        return Err(Malformed::new(
            "bytes that match their checksum",
            format!("checksum {computed:#010x} where {stated:#010x} is stated"),
        ));
    }
    let (tag, payload) = tagged.split_last().ok_or_else(short)?;
    if tag >> 4 != content as u8 {
        return Err(Malformed::new(
            "a block of another content",
            format!("tag {tag:#04x}"),
        ));
    }
    Ok((tag & 0xF, payload))
}

fn decompress(stored: u8, block: &[u8]) -> Result<Payload, Malformed> {
    let into = match stored {
        STORED_LZ4 => decompress_lz4,
        STORED_ZSTD => decompress_zstd,
        _ => {
            return Err(Malformed::new(
                "a known compression",
                format!("number {stored}"),
            ));
        }
    };
    let length = u32_at(block, 0).map_or(usize::MAX, |length| length as usize);
    if length > PAYLOAD_BYTES_MAX {
        return Err(Malformed::new(
            "a payload below the limit",
            format!("length {length}"),
        ));
    }
    let from = block.get(LENGTH_BYTES..).unwrap_or_default();
    Payload::read(length, |payload| match into(from, payload) {
        Some(written) if written == length => Ok(()),
        Some(written) => Err(Malformed::new(
            "the stated length",
            format!("{written} bytes"),
        )),
        None => Err(Malformed::new(
            "a compressed payload",
            "bytes that can't be decompressed",
        )),
    })
}

fn decompress_lz4(from: &[u8], to: &mut [u8]) -> Option<usize> {
    lz4_flex::block::decompress_into(from, to).ok()
}

fn decompress_zstd(from: &[u8], to: &mut [u8]) -> Option<usize> {
    ZSTD.with_borrow_mut(|context| {
        if context.is_none() {
            *context = zstd::bulk::Decompressor::new().ok();
        }
        context.as_mut()?.decompress_to_buffer(from, to).ok()
    })
}

/// Over payload and tag, which lie side by side, and the offset.
fn checksum(tagged: &[u8], offset: u64) -> u32 {
    crc32c(&[tagged, &offset.to_le_bytes()])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn compressions() -> [Compression; 3] {
        [Compression::None, Compression::Lz4, Compression::Zstd]
    }

    proptest! {
        #[test]
        fn a_payload_survives(pattern: Vec<u8>, repeats in 0..20_usize, offset: u64) {
            let payload = pattern.repeat(repeats);
            for compression in compressions() {
                let mut out = vec![1, 2, 3];
                let mut sealer = Sealer::new(compression);
                let length = sealer.seal(Content::Data, &payload, offset, &mut out);
                let block = out.split_off(3);
                prop_assert_eq!(block.len(), length as usize);
                let opened = open(Content::Data, block.clone().into(), offset);
                prop_assert_eq!(opened.as_deref(), Ok(payload.as_slice()));
                let opened = open_copy(Content::Data, &block, offset);
                prop_assert_eq!(opened.as_deref(), Ok(payload.as_slice()));
                prop_assert!(open_copy(Content::Data, &block, offset ^ 1).is_err());
                prop_assert!(open_copy(Content::Index, &block, offset).is_err());
            }
        }

        #[test]
        fn any_bytes_are_refused(bytes: Vec<u8>) {
            prop_assert!(open_copy(Content::Data, &bytes, 0).is_err());
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        for compression in compressions() {
            let mut block = Vec::new();
            Sealer::new(compression).seal(Content::Data, &b"abcdabcd".repeat(9), 7, &mut block);
            for bit in 0..block.len() * 8 {
                let mut damaged = block.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert!(
                    open_copy(Content::Data, &damaged, 7).is_err(),
                    "{compression:?} bit {bit}"
                );
            }
        }
    }

    #[test]
    fn noise_is_hardly_tried_and_what_follows_is_compressed_again() {
        let noise: Vec<u8> = (0..512_u64)
            .flat_map(|n| xxhash_rust::xxh3::xxh3_64(&n.to_le_bytes()).to_le_bytes())
            .collect();
        let (mut sealer, mut out) = (Sealer::new(Compression::Lz4), Vec::new());
        let tries = (0..200).filter(|_| {
            sealer.buffer.clear();
            let length = sealer.seal(Content::Data, &noise, 0, &mut out);
            assert_eq!(length as usize, noise.len() + trailer::BYTES);
            !sealer.buffer.is_empty()
        });
        assert!((4..30).contains(&tries.count()));
        let small = (0..UNTRIED_BLOCKS + 4)
            .filter(|_| sealer.seal(Content::Data, &[7; 1000], 0, &mut out) < 200);
        assert!(small.count() >= 4);
    }

    #[test]
    fn compression_makes_repetition_smaller_and_leaves_noise_alone() {
        for compression in [Compression::Lz4, Compression::Zstd] {
            let mut out = Vec::new();
            let length = Sealer::new(compression).seal(Content::Data, &[7; 1000], 0, &mut out);
            assert!(length < 200);
            out.clear();
            let length = Sealer::new(compression).seal(Content::Data, b"qwertzuiop", 0, &mut out);
            assert_eq!(length as usize, 10 + trailer::BYTES);
        }
    }
}
