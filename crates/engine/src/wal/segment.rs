//! One file of the log: its name, its head.

use std::path::{Path, PathBuf};

use super::layout::{
    FORMAT_VERSION, HEAD_BYTES, HEAD_CHECKSUM, HEAD_FIRST_SEQUENCE, HEAD_FORMAT, HEAD_MAGIC,
    HEAD_SEGMENT, MAGIC,
};
use crate::{
    Error,
    bytes_at::{put_at, u32_at, u64_at},
    checksum::crc32c,
    file_name::{number_in, numbered_path},
};

/// What comes after the number in the name of a segment.
const SUFFIX: &str = ".wal";

/// The file of a segment.
pub(crate) fn segment_path(dir: &Path, number: u64) -> PathBuf {
    numbered_path(dir, number, SUFFIX)
}

/// The number of the segment with this file name; `None` for any other file.
pub(crate) fn segment_number(name: &str) -> Option<u64> {
    number_in(name, SUFFIX)
}

/// The head of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SegmentHead {
    pub(super) number: u64,
    /// The sequence of its first record.
    pub(super) first_sequence: u64,
}

impl SegmentHead {
    pub(super) fn encode(self) -> [u8; HEAD_BYTES] {
        let mut head = [0; HEAD_BYTES];
        put_at(&mut head, HEAD_MAGIC, &MAGIC);
        put_at(&mut head, HEAD_FORMAT, &FORMAT_VERSION.to_le_bytes());
        put_at(&mut head, HEAD_SEGMENT, &self.number.to_le_bytes());
        put_at(
            &mut head,
            HEAD_FIRST_SEQUENCE,
            &self.first_sequence.to_le_bytes(),
        );
        let checksum = crc32c(&[head.get(..HEAD_CHECKSUM).unwrap_or_default()]);
        put_at(&mut head, HEAD_CHECKSUM, &checksum.to_le_bytes());
        head
    }

    /// The head of segment `number`; `None` when it is not whole.
    ///
    /// # Errors
    /// `Unsupported` when it is whole and of a newer format.
    pub(super) fn decode(bytes: &[u8], number: u64, path: &Path) -> Result<Option<Self>, Error> {
        let Some(covered) = bytes.get(..HEAD_CHECKSUM) else {
            return Ok(None);
        };
        let valid = covered.starts_with(&MAGIC)
            && u32_at(bytes, HEAD_CHECKSUM) == Some(crc32c(&[covered]))
            && u64_at(bytes, HEAD_SEGMENT) == Some(number);
        if !valid {
            return Ok(None);
        }
        match u32_at(bytes, HEAD_FORMAT) {
            Some(FORMAT_VERSION) => {}
            Some(found) => {
                let file = path.display().to_string();
                return Err(Error::Unsupported {
                    file,
                    found,
                    supported: FORMAT_VERSION,
                });
            }
            None => return Ok(None),
        }
        Ok(
            u64_at(bytes, HEAD_FIRST_SEQUENCE).map(|first_sequence| Self {
                number,
                first_sequence,
            }),
        )
    }
}
