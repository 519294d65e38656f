//! XXH3-128 over whole files: while they are written, and when they are proved.
//!
//! It tells a file from any other by accident, like every checksum of the store; it is no signature
//! against somebody who means harm.

use std::{io, path::Path, sync::Arc};

use nokv_env::File;
use parking_lot::Mutex;
use xxhash_rust::xxh3::Xxh3;

use super::layout::HASH_BYTES;
use crate::Error;

/// Read at once when a file is proved: large enough that a device streams.
const PIECE_BYTES: usize = 1 << 20;

/// A file that is written front to back, hashed on its way.
pub(super) struct HashingFile {
    inner: Arc<dyn File>,
    state: Mutex<(u64, Xxh3)>,
}

impl HashingFile {
    pub(super) fn new(inner: Arc<dyn File>) -> Self {
        Self {
            inner,
            state: Mutex::new((0, Xxh3::new())),
        }
    }

    /// The hash of all that was written.
    pub(super) fn hash(&self) -> [u8; HASH_BYTES] {
        self.state.lock().1.digest128().to_le_bytes()
    }
}

impl File for HashingFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.0 != offset {
            return Err(io::Error::other("a table is written front to back"));
        }
        self.inner.write_at(bytes, offset)?;
        state.0 += bytes.len() as u64;
        state.1.update(bytes);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.inner.sync_all()
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn set_len(&self, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.inner.allocate(len)
    }
}

/// The hash of the first `length` bytes of a file.
///
/// # Errors
/// `Corrupt` when it is shorter; `Io`.
pub(super) fn hash_of(
    file: &dyn File,
    path: &Path,
    length: u64,
) -> Result<[u8; HASH_BYTES], Error> {
    let mut hasher = Xxh3::new();
    let mut piece = vec![0; PIECE_BYTES];
    let mut offset = 0;
    while offset < length {
        let wanted = usize::try_from(length - offset).map_or(PIECE_BYTES, |n| n.min(PIECE_BYTES));
        let slice = piece.get_mut(..wanted).unwrap_or_default();
        let count = file
            .read_at(slice, offset)
            .map_err(|error| Error::io("reading", path, error))?;
        if count == 0 {
            let expected = format!("{length} bytes");
            return Err(Error::corrupt(
                path,
                offset,
                expected,
                "the end of the file",
            ));
        }
        hasher.update(slice.get(..count).unwrap_or_default());
        offset += count as u64;
    }
    Ok(hasher.digest128().to_le_bytes())
}
