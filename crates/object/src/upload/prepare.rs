//! From bytes to what is stored of them: hashed, encoded where that pays, checksummed.
//!
//! Invariant: this is pure, and of one piece: pieces of a body are prepared beside each other, on
//! as many cores as there are.

use super::options::Compression;
use crate::{Error, SubtreeHash, blocking, checksum, encoding};
use bytes::Bytes;
use nokv_types::{BlockId, Encoding, Extent, Unit};

/// Below this, preparing costs less than the way to a blocking thread and back (some 10 µs).
const INLINE_BYTES_MAX: usize = 64 << 10;
/// Bytes from the middle of a piece that are encoded to see whether the rest is worth it.
const SAMPLE_BYTES: usize = 16 << 10;

/// A piece as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub(crate) stored: Bytes,
    pub(crate) hash: SubtreeHash,
    plain_bytes: u32,
    encoding: Encoding,
    crc32c: u32,
}

/// A piece of a body that has its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) extent: Extent,
    pub(crate) hash: SubtreeHash,
}

impl Prepared {
    /// Prepares the bytes at `offset` of a body. Computes for long: not for async threads, unless
    /// the bytes are few.
    pub(crate) fn of(plain: Bytes, offset: u64, compression: Compression) -> Self {
        let hash = SubtreeHash::of(&plain, offset);
        let plain_bytes = u32::try_from(plain.len()).expect("a piece is at most a block");
        let encoding = compression.encoding();
        let (stored, encoding) = match encode(&plain, encoding) {
            Some(encoded) => (Bytes::from(encoded), encoding),
            None => (plain, Encoding::Plain),
        };
        Self {
            crc32c: checksum::crc32c(&stored),
            stored,
            hash,
            plain_bytes,
            encoding,
        }
    }

    /// The same, on a blocking thread where it takes long.
    pub(crate) async fn beside(
        plain: Bytes,
        offset: u64,
        compression: Compression,
    ) -> Result<Self, Error> {
        if plain.len() <= INLINE_BYTES_MAX {
            return Ok(Self::of(plain, offset, compression));
        }
        blocking(move || Ok(Self::of(plain, offset, compression))).await
    }

    /// The piece at a place of an object.
    pub(crate) fn part(&self, block: BlockId, object_offset: u32, body_offset: u64) -> Part {
        let stored_bytes = u32::try_from(self.stored.len()).expect("at most the plain bytes");
        let unit = Unit {
            block,
            object_offset,
            stored_bytes,
            plain_bytes: self.plain_bytes,
            encoding: self.encoding,
            crc32c: self.crc32c,
        };
        let extent = Extent::whole(body_offset, unit);
        let hash = self.hash;
        Part { extent, hash }
    }
}

/// The bytes encoded, if a sample and then the whole become shorter by an eighth at least: less is
/// not worth the decoding.
fn encode(plain: &[u8], encoding: Encoding) -> Option<Vec<u8>> {
    let pays = |encoded: &Vec<u8>, plain: &[u8]| encoded.len() <= plain.len() - plain.len() / 8;
    if plain.len() > 2 * SAMPLE_BYTES {
        let start = plain.len() / 2 - SAMPLE_BYTES / 2;
        let sample = plain.get(start..start + SAMPLE_BYTES)?;
        encoding::encode(encoding, sample).filter(|encoded| pays(encoded, sample))?;
    }
    encoding::encode(encoding, plain).filter(|encoded| pays(encoded, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_becomes_shorter_is_encoded() {
        let text = Bytes::from(b"step 1000 loss 0.25\n".repeat(10_000));
        for (compression, encoding) in [
            (Compression::Off, Encoding::Plain),
            (Compression::Lz4, Encoding::Lz4),
            (Compression::Zstd, Encoding::Zstd),
        ] {
            let prepared = Prepared::of(text.clone(), 0, compression);
            assert_eq!(prepared.encoding, encoding);
            assert_eq!(
                prepared.stored.len() == text.len(),
                encoding == Encoding::Plain
            );
        }
        let mut noise = vec![0; 100_000];
        nokv_env::Random::fill(&nokv_env::SeededRandom::new(1), &mut noise);
        let prepared = Prepared::of(noise.into(), 0, Compression::Zstd);
        assert_eq!(prepared.encoding, Encoding::Plain);
    }
}
