//! Reading one segment: the valid records from its head on, and, past a damaged place, what the
//! rest attests.

use std::path::{Path, PathBuf};

use nokv_env::{FileSystem, OpenMode};

use super::{
    layout::{HEAD_BYTES, RECORD_HEAD_BYTES},
    record::{self, Record, record_bytes},
    segment::{SegmentHead, segment_path},
};
use crate::Error;

/// A segment in memory. One is at most `segment_bytes` plus one largest batch.
pub(super) struct SegmentBytes {
    pub(super) number: u64,
    pub(super) path: PathBuf,
    pub(super) head: Option<SegmentHead>,
    bytes: Vec<u8>,
}

impl SegmentBytes {
    pub(super) fn load(files: &dyn FileSystem, dir: &Path, number: u64) -> Result<Self, Error> {
        let path = segment_path(dir, number);
        let failed = |error| Error::io("reading", &path, error);
        let file = files.open(&path, OpenMode::Read).map_err(failed)?;
        let length = usize::try_from(file.len().map_err(failed)?)
            .map_err(|_| Error::Invalid("a segment does not fit in memory".to_owned()))?;
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, 0).map_err(failed)?;
        let head = SegmentHead::decode(&bytes, number, &path)?;
        Ok(Self {
            number,
            path,
            head,
            bytes,
        })
    }

    /// The record at `offset`.
    pub(super) fn record_at(&self, offset: usize) -> Option<Record<'_>> {
        record::decode(self.bytes.get(offset..)?, self.number)
    }

    /// Where the first record is.
    pub(super) const fn first_offset() -> usize {
        HEAD_BYTES
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing but zeros (space written ahead), or nothing at all, follows `offset`.
    pub(super) fn is_blank_from(&self, offset: usize) -> bool {
        self.bytes
            .get(offset..)
            .unwrap_or_default()
            .iter()
            .all(|byte| *byte == 0)
    }

    /// The highest sequence that any valid record at or after `offset` says was synced.
    ///
    /// Tries every byte, since a damaged length hides where the next record begins.
    pub(super) fn attested_from(&self, offset: usize) -> u64 {
        let mut attested = 0;
        let mut position = offset;
        while position + RECORD_HEAD_BYTES <= self.bytes.len() {
            match self.record_at(position) {
                Some(record) => {
                    attested = attested.max(record.synced);
                    position += record_bytes(&record);
                }
                None => position += 1,
            }
        }
        attested
    }

    /// What is at `offset`, for a message.
    pub(super) fn describe(&self, offset: usize) -> String {
        if offset >= self.bytes.len() {
            "the end of the file".to_owned()
        } else if self.is_blank_from(offset) {
            "only zeros".to_owned()
        } else {
            "bytes that fail their checksum".to_owned()
        }
    }
}
