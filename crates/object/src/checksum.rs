//! The two checksums of a body: CRC-32C per extent, BLAKE3 of the whole.
//!
//! CRC-32C runs at memory speed and finds what disks and networks do to bytes; BLAKE3 names a body
//! and proves that its extents were put together rightly.

use nokv_types::Digest;

/// The CRC-32C (Castagnoli; "iSCSI" in the catalogue) of some bytes.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    let wide = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes);
    u32::try_from(wide).expect("a CRC-32 has 32 bits")
}

/// The BLAKE3 of some bytes.
pub(crate) fn digest(bytes: &[u8]) -> Digest {
    Digest::from_bytes(*blake3::hash(bytes).as_bytes())
}

/// The digest of what a hasher has seen.
pub(crate) fn finish(hasher: &blake3::Hasher) -> Digest {
    Digest::from_bytes(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    #[test]
    fn crc32c_is_castagnoli() {
        assert_eq!(
            super::crc32c(b"123456789"),
            0xE306_9283,
            "check value of RFC 3720"
        );
    }
}
