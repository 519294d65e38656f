//! An open file of the cache, read with its checksums.
//!
//! Invariant: bytes leave this module only after the checksum of every chunk that they touch (of
//! the whole entry, for a short one) was right.

use super::layout::{CHUNK_BYTES, Entry, decode_sums, sums_bytes};
use crate::checksum;
use bytes::Bytes;
use nokv_env::{File, FileSystem, OpenMode};
use std::{io, ops::Range, path::Path, sync::Arc};

/// An open file of the cache. It can be read as long as it is held, evicted or not.
pub(super) struct Opened {
    pub(super) entry: Entry,
    file: Arc<dyn File>,
    /// One for each chunk; none when the entry is read whole.
    sums: Vec<u32>,
}

/// Why an entry gave no bytes.
#[derive(Debug)]
pub(super) enum Flaw {
    /// Its bytes or its checksum file are not what they were.
    Damaged(String),
    /// It can't be opened: it has gone, or this process has too many files open.
    Unopened(io::Error),
    /// The device.
    Io(io::Error),
}

impl From<io::Error> for Flaw {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Opened {
    /// Opens the entry whose bytes are at `path`.
    pub(super) fn open(files: &dyn FileSystem, path: &Path, entry: Entry) -> Result<Self, Flaw> {
        let file = files.open(path, OpenMode::Read).map_err(Flaw::Unopened)?;
        let sums = match entry.has_sums() {
            true => read_sums(files, path, &entry)?,
            false => Vec::new(),
        };
        Ok(Self { entry, file, sums })
    }

    /// A range of the object, which the entry holds.
    pub(super) fn read(&self, range: &Range<u32>) -> Result<Bytes, Flaw> {
        let frame = self.frame(range);
        let mut buffer = vec![0; frame.len()];
        let got = self
            .file
            .read_full_at(&mut buffer, u64::from(frame.start))?;
        self.verified(range, &frame, buffer, got)
    }

    /// The same if it takes no waiting for the device; else `None`.
    pub(super) fn read_ready(&self, range: &Range<u32>) -> Result<Option<Bytes>, Flaw> {
        let frame = self.frame(range);
        let mut buffer = vec![0; frame.len()];
        let offset = u64::from(frame.start);
        match self.file.read_ready_at(&mut buffer, offset)? {
            Some(got) if got == buffer.len() => self.verified(range, &frame, buffer, got).map(Some),
            // A part of it is in memory, or the file is cut: the other way finds out.
            _ => Ok(None),
        }
    }

    /// Reads all of it: length, the checksum in its name, those of its chunks.
    pub(super) fn check_all(&self) -> Result<(), Flaw> {
        let range = self.entry.offset..self.entry.offset + self.entry.length;
        let bytes = self.read(&range)?;
        let crc = checksum::crc32c(&bytes);
        if crc != self.entry.crc32c {
            return Err(mismatch(0, self.entry.crc32c, crc));
        }
        if self.file.len()? != u64::from(self.entry.length) {
            return Err(Flaw::Damaged("goes on behind its end".to_owned()));
        }
        Ok(())
    }

    /// What of the file must be read to check a range.
    fn frame(&self, range: &Range<u32>) -> Range<u32> {
        if self.sums.is_empty() {
            return 0..self.entry.length;
        }
        let start = (range.start - self.entry.offset) / CHUNK_BYTES * CHUNK_BYTES;
        let end = (range.end - self.entry.offset).next_multiple_of(CHUNK_BYTES);
        start..end.min(self.entry.length)
    }

    fn verified(
        &self,
        range: &Range<u32>,
        frame: &Range<u32>,
        buffer: Vec<u8>,
        got: usize,
    ) -> Result<Bytes, Flaw> {
        if got != buffer.len() {
            return Err(Flaw::Damaged(format!(
                "ends at {}, not at {}",
                frame.start as usize + got,
                self.entry.length
            )));
        }
        if self.sums.is_empty() {
            let crc = checksum::crc32c(&buffer);
            if crc != self.entry.crc32c {
                return Err(mismatch(0, self.entry.crc32c, crc));
            }
        } else {
            let first = (frame.start / CHUNK_BYTES) as usize;
            let sums = self.sums.iter().enumerate().skip(first);
            for (chunk, (number, sum)) in buffer.chunks(CHUNK_BYTES as usize).zip(sums) {
                let crc = checksum::crc32c(chunk);
                if crc != *sum {
                    return Err(mismatch(number * CHUNK_BYTES as usize, *sum, crc));
                }
            }
        }
        let start = (range.start - self.entry.offset - frame.start) as usize;
        let bytes = Bytes::from(buffer);
        Ok(bytes.slice(start..start + range.len()))
    }
}

fn mismatch(offset: usize, expected: u32, got: u32) -> Flaw {
    Flaw::Damaged(format!(
        "damaged at {offset}: expected crc32c {expected:08x}, got {got:08x}"
    ))
}

fn read_sums(files: &dyn FileSystem, path: &Path, entry: &Entry) -> Result<Vec<u32>, Flaw> {
    let path = super::files::sums_path(path);
    let damaged = || Flaw::Damaged(format!("its checksum file {} is damaged", path.display()));
    let file = match files.open(&path, OpenMode::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(damaged()),
        opened => opened.map_err(Flaw::Unopened)?,
    };
    // One byte more than it should have, to see that it ends.
    let mut buffer = vec![0; sums_bytes(entry) + 1];
    let got = file.read_full_at(&mut buffer, 0)?;
    buffer.truncate(got);
    decode_sums(entry, &buffer).ok_or_else(damaged)
}
