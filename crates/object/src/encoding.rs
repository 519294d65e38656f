//! How units are stored shorter: LZ4 blocks and Zstandard frames.
//!
//! Invariant: decoding gives exactly as many bytes as the unit says, or nothing, whatever the
//! stored bytes are; it never allocates more than that. (They were verified before: this guards
//! against damage of the metadata and against programs that wrote something else.)

use bytes::Bytes;
use nokv_types::Encoding;

/// Level of Zstandard: 3 is its default; higher levels slow an upload below what object stores
/// take.
const ZSTD_LEVEL: i32 = 3;

/// The bytes in this encoding; `None` unless that is shorter.
pub(crate) fn encode(encoding: Encoding, plain: &[u8]) -> Option<Vec<u8>> {
    let encoded = match encoding {
        Encoding::Plain => return None,
        Encoding::Lz4 => lz4_flex::block::compress(plain),
        Encoding::Zstd => zstd::bulk::compress(plain, ZSTD_LEVEL).ok()?,
    };
    (!encoded.is_empty() && encoded.len() < plain.len()).then_some(encoded)
}

/// The `plain_bytes` bytes that were encoded; `None` if these are not.
pub(crate) fn decode(encoding: Encoding, stored: &[u8], plain_bytes: usize) -> Option<Bytes> {
    let mut plain = vec![0; plain_bytes];
    let written = match encoding {
        Encoding::Plain => return None,
        Encoding::Lz4 => lz4_flex::block::decompress_into(stored, &mut plain).ok()?,
        Encoding::Zstd => zstd::bulk::decompress_to_buffer(stored, &mut plain).ok()?,
    };
    (written == plain_bytes).then(|| plain.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(encoding: Encoding, plain: &[u8]) {
        if let Some(stored) = encode(encoding, plain) {
            assert!(stored.len() < plain.len());
            let decoded = decode(encoding, &stored, plain.len()).expect("it was encoded so");
            assert_eq!(decoded, plain);
            assert_eq!(decode(encoding, &stored, plain.len() + 1), None);
            assert_eq!(decode(encoding, &stored, plain.len() - 1), None);
        }
    }

    #[test]
    fn text_is_shortened_by_both() {
        let text = b"{\"loss\": 0.25, \"step\": 1000}\n".repeat(100);
        for encoding in [Encoding::Lz4, Encoding::Zstd] {
            assert!(encode(encoding, &text).is_some_and(|stored| stored.len() < text.len() / 4));
            check(encoding, &text);
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_comes_back(seed in prop::collection::vec(0..4_u8, 0..3_000)) {
            check(Encoding::Lz4, &seed);
            check(Encoding::Zstd, &seed);
        }

        #[test]
        fn any_bytes_decode_or_are_refused(
            stored in prop::collection::vec(any::<u8>(), 0..300),
            plain_bytes in 0..2_000_usize,
        ) {
            for encoding in [Encoding::Lz4, Encoding::Zstd] {
                if let Some(plain) = decode(encoding, &stored, plain_bytes) {
                    prop_assert_eq!(plain.len(), plain_bytes);
                }
            }
        }
    }
}
