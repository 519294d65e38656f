//! The end of a table file: where everything else is.

use super::{
    layout::{FORMAT_VERSION, HANDLE_BYTES, Handle, MAGIC, footer},
    malformed::Malformed,
};
use crate::{
    bytes_at::{u32_at, u64_at},
    checksum::crc32c,
};

/// The decoded footer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Footer {
    pub(crate) index: Handle,
    /// 0 bytes long when the table has no range tombstones.
    pub(crate) tombstones: Handle,
    pub(crate) properties: Handle,
    /// Length of the whole file.
    pub(crate) file_bytes: u64,
}

impl Footer {
    pub(crate) fn encode(&self) -> [u8; footer::BYTES] {
        let mut bytes = Vec::with_capacity(footer::BYTES);
        for handle in [self.index, self.tombstones, self.properties] {
            bytes.extend_from_slice(&handle.offset.to_le_bytes());
            bytes.extend_from_slice(&handle.bytes.to_le_bytes());
        }
        bytes.extend_from_slice(&self.file_bytes.to_le_bytes());
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        let crc = crc32c(&[&bytes]);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes.extend_from_slice(&MAGIC);
        bytes
            .try_into()
            .expect("the fields add up to the footer, see layout")
    }

    /// Decodes the last [`footer::BYTES`] bytes of a file of `file_bytes` bytes.
    ///
    /// # Errors
    /// [`Malformed`] when they are no footer of such a file.
    pub(crate) fn decode(bytes: &[u8], file_bytes: u64) -> Result<Self, Malformed> {
        let short = || Malformed::new("a footer", format!("{} bytes", bytes.len()));
        let magic = bytes.get(footer::MAGIC..footer::BYTES).ok_or_else(short)?;
        if magic != MAGIC {
            return Err(Malformed::new(
                "the magic of a table at the end",
                format!("{magic:02x?}"),
            ));
        }
        let stated = u32_at(bytes, footer::CRC).ok_or_else(short)?;
        let computed = crc32c(&[bytes.get(..footer::CRC).ok_or_else(short)?]);
        if stated != computed {
            return Err(Malformed::new(
                "a footer that matches its checksum",
                format!("checksum {computed:#010x} where {stated:#010x} is stated"),
            ));
        }
        let version = u32_at(bytes, footer::FORMAT_VERSION).ok_or_else(short)?;
        if version != FORMAT_VERSION {
            return Err(Malformed::new(
                "table format version 1",
                format!("version {version}"),
            ));
        }
        let handle = |offset| {
            let length = u32_at(bytes, offset + HANDLE_BYTES - 4).ok_or_else(short)?;
            Ok(Handle {
                offset: u64_at(bytes, offset).ok_or_else(short)?,
                bytes: length,
            })
        };
        let decoded = Self {
            index: handle(footer::INDEX)?,
            tombstones: handle(footer::TOMBSTONES)?,
            properties: handle(footer::PROPERTIES)?,
            file_bytes: u64_at(bytes, footer::FILE_BYTES).ok_or_else(short)?,
        };
        if decoded.file_bytes != file_bytes {
            let found = format!("{file_bytes} where {} is stated", decoded.file_bytes);
            return Err(Malformed::new("a file of the stated length", found));
        }
        Ok(decoded)
    }
}

/// Makes the checksum of the footer at the end of a file right, whatever the footer says.
#[cfg(test)]
pub(crate) fn fix_checksum(file: &mut [u8]) {
    let start = file.len().saturating_sub(footer::BYTES);
    let Some((body, rest)) = file
        .get_mut(start..)
        .and_then(|f| f.split_at_mut_checked(footer::CRC))
    else {
        return;
    };
    let crc = crc32c(&[body]).to_le_bytes();
    rest.iter_mut()
        .zip(crc)
        .for_each(|(slot, byte)| *slot = byte);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Footer {
        let handle = |offset| Handle { offset, bytes: 9 };
        let (index, tombstones, properties) = (handle(1), handle(u64::MAX), handle(3));
        Footer {
            index,
            tombstones,
            properties,
            file_bytes: 77,
        }
    }

    #[test]
    fn a_footer_survives_and_every_flipped_bit_is_noticed() {
        let encoded = sample().encode();
        assert_eq!(Footer::decode(&encoded, 77), Ok(sample()));
        assert!(Footer::decode(&encoded, 78).is_err());
        for bit in 0..encoded.len() * 8 {
            let mut damaged = encoded;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Footer::decode(&damaged, 77).is_err(), "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused(bytes: Vec<u8>, length: u64) {
            prop_assert!(Footer::decode(&bytes, length).is_err());
        }
    }
}
