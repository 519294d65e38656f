//! Frames: how messages follow each other on a connection.
//!
//! Invariants:
//! - a frame longer than [`FRAME_BYTES_MAX`] is refused from its header, before memory is taken for
//!   it;
//! - the checksum covers length, id and message: a flipped bit is an error, never another message;
//! - decoding looks at bytes only and never panics, whatever they are.
//!
//! What breaks otherwise: one bad peer takes the memory or the process of all.
//!
//! Source: docs/format/frame.md.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

/// Bytes of a header: `u32 length | u32 crc32c | u64 id`, little-endian.
pub const HEADER_BYTES: usize = 16;
/// Longest message of a frame: a block of [`BLOCK_BYTES_RPC_MAX`] with room for what is around it,
/// and a publish of some tens of thousands of small files.
pub const FRAME_BYTES_MAX: usize = 16 << 20;
/// Largest block that goes through the server: the largest pack that an uploader makes.
pub const BLOCK_BYTES_RPC_MAX: usize = 8 << 20;
/// What each side sends first: a name and the version of the protocol, so that a stranger is
/// refused with words and not with a checksum error.
pub const PREFACE: [u8; 8] = *b"NOKVRPC\x01";

const _: () = assert!(BLOCK_BYTES_RPC_MAX < FRAME_BYTES_MAX);
const _: () = assert!(FRAME_BYTES_MAX <= u32::MAX as usize);

/// A frame that can't be read. The connection can't go on: where the next frame starts is no longer
/// certain.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    /// Longer than [`FRAME_BYTES_MAX`].
    #[error(
        "frame of {length} bytes is over the limit of {FRAME_BYTES_MAX}; send less in one request"
    )]
    TooLarge {
        /// The length that the header claims.
        length: u64,
        /// The call that it belongs to, if the header is right.
        id: u64,
    },
    /// The checksum is not that of the bytes.
    #[error(
        "frame {id} is damaged: expected crc32c {expected:08x}, got {got:08x}; connect again and repeat"
    )]
    Checksum {
        /// The call that it belongs to, if that is right.
        id: u64,
        /// What the header says.
        expected: u32,
        /// What the bytes give.
        got: u32,
    },
}

/// A frame as it came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// The call: chosen by the client, repeated in the response.
    pub id: u64,
    /// The encoded message.
    pub message: Bytes,
}

/// Takes the next whole frame off the front of `buffer`; `None` when more bytes are needed (then
/// nothing is taken).
///
/// **Guarantees**: the message shares memory with `buffer`, nothing is copied.
/// **Errors**: see [`FrameError`]; the buffer is then worthless.
pub fn decode_frame(buffer: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
    let Some(header) = Header::parse(buffer)? else {
        return Ok(None);
    };
    let Some(covered) = buffer.get(8..HEADER_BYTES + header.length) else {
        return Ok(None);
    };
    let got = checksum(header.length, covered);
    if got != header.crc32c {
        return Err(FrameError::Checksum {
            id: header.id,
            expected: header.crc32c,
            got,
        });
    }
    let mut frame = buffer.split_to(HEADER_BYTES + header.length);
    let message = frame.split_off(HEADER_BYTES).freeze();
    Ok(Some(Frame {
        id: header.id,
        message,
    }))
}

/// How many more bytes the frame at the front of `buffer` needs to be whole, as far as is known
/// yet: what a reader may make room for. At most [`HEADER_BYTES`] + [`FRAME_BYTES_MAX`].
pub fn missing_bytes(buffer: &[u8]) -> Result<usize, FrameError> {
    match Header::parse(buffer)? {
        None => Ok(HEADER_BYTES - buffer.len()),
        Some(header) => Ok((HEADER_BYTES + header.length).saturating_sub(buffer.len())),
    }
}

/// Appends `message` as frame `id`. **Errors**: [`FrameError::TooLarge`]; then nothing is appended.
pub fn encode_frame(
    id: u64,
    message: &impl Message,
    buffer: &mut BytesMut,
) -> Result<(), FrameError> {
    let length = message.encoded_len();
    let too_large = FrameError::TooLarge {
        length: length as u64,
        id,
    };
    if length > FRAME_BYTES_MAX {
        return Err(too_large);
    }
    let start = buffer.len();
    buffer.reserve(HEADER_BYTES + length);
    buffer.put_u32_le(u32::try_from(length).map_err(|_| too_large)?);
    buffer.put_u32_le(0);
    buffer.put_u64_le(id);
    message
        .encode(buffer)
        .expect("a BytesMut grows as it is written");
    let crc32c = checksum(length, &buffer[start + 8..]);
    buffer[start + 4..start + 8].copy_from_slice(&crc32c.to_le_bytes());
    Ok(())
}

struct Header {
    length: usize,
    crc32c: u32,
    id: u64,
}

impl Header {
    fn parse(buffer: &[u8]) -> Result<Option<Self>, FrameError> {
        let Some(header) = buffer.first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let [a, b, c, d, e, f, g, h, id @ ..] = *header;
        let length = u32::from_le_bytes([a, b, c, d]);
        let id = u64::from_le_bytes(id);
        if length as usize > FRAME_BYTES_MAX {
            return Err(FrameError::TooLarge {
                length: u64::from(length),
                id,
            });
        }
        Ok(Some(Self {
            length: length as usize,
            crc32c: u32::from_le_bytes([e, f, g, h]),
            id,
        }))
    }
}

/// CRC-32C of the length and of `covered`, which is id and message.
fn checksum(length: usize, covered: &[u8]) -> u32 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    // Callers have compared the length with FRAME_BYTES_MAX, so the cast loses nothing.
    digest.update(&(length as u32).to_le_bytes());
    digest.update(covered);
    digest.finalize() as u32
}
