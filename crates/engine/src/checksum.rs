//! CRC-32C over parts, as all formats of the engine use it.

use crc_fast::{CrcAlgorithm, Digest};

/// The CRC-32C of the parts one after another.
#[expect(clippy::cast_possible_truncation, reason = "a CRC of 32 bits in a u64")]
pub(crate) fn crc32c(parts: &[&[u8]]) -> u32 {
    if let [part] = parts {
        return crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, part) as u32;
    }
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    for part in parts {
        digest.update(part);
    }
    digest.finalize() as u32
}

#[cfg(test)]
mod tests {
    use super::crc32c;

    #[test]
    fn it_is_castagnoli_and_joins_parts() {
        assert_eq!(crc32c(&[b"123456789"]), 0xE306_9283);
        assert_eq!(crc32c(&[b"1234", b"", b"56789"]), 0xE306_9283);
    }
}
