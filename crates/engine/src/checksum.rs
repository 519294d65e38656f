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

/// A CRC-32C over parts that come one by one; a copy goes on by itself.
#[derive(Clone, Copy)]
pub(crate) struct Crc32c(Digest);

impl Crc32c {
    pub(crate) fn new() -> Self {
        Self(Digest::new(CrcAlgorithm::Crc32Iscsi))
    }

    pub(crate) fn update(&mut self, part: &[u8]) {
        self.0.update(part);
    }

    #[expect(clippy::cast_possible_truncation, reason = "a CRC of 32 bits in a u64")]
    pub(crate) fn finish(self) -> u32 {
        self.0.finalize() as u32
    }
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
