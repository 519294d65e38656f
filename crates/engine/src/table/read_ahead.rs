//! Reads a table front to back in large pieces: for compaction, which would otherwise make a system
//! call a block.
//!
//! Invariant: what it returns is what the file has at the handle; checksums are the caller's, as
//! always.

use std::io;

use nokv_env::File;

use super::layout::Handle;

/// One piece, at most: large enough that a disk streams.
const PIECE_BYTES_MAX: usize = 512 << 10;

/// And at least: a system call costs less than to copy it.
const PIECE_BYTES_MIN: usize = 64 << 10;

/// The pieces of all tables that are read together: a part of
/// [`crate::Options::COMPACTION_MEMORY_BYTES`].
const PIECES_BYTES: usize = 8 << 20;

/// A piece of each of so many tables that are read together, bytes.
pub(crate) fn piece_bytes(table_count: usize) -> usize {
    (PIECES_BYTES / table_count.max(1)).clamp(PIECE_BYTES_MIN, PIECE_BYTES_MAX)
}

/// The piece read last.
pub(crate) struct ReadAhead {
    piece_bytes: usize,
    start: u64,
    piece: Vec<u8>,
}

impl ReadAhead {
    /// Nothing is read yet; one piece is of so many bytes.
    pub(crate) fn new(piece_bytes: usize) -> Self {
        Self {
            piece_bytes,
            start: 0,
            piece: Vec::new(),
        }
    }

    /// The bytes of a block within a file of `file_bytes`.
    pub(crate) fn read(
        &mut self,
        file: &dyn File,
        file_bytes: u64,
        handle: Handle,
    ) -> io::Result<&[u8]> {
        if self.get(handle).is_none() {
            self.load(file, file_bytes, handle)?;
        }
        self.get(handle)
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn load(&mut self, file: &dyn File, file_bytes: u64, handle: Handle) -> io::Result<()> {
        let rest = file_bytes.saturating_sub(handle.offset);
        let wanted = self.piece_bytes.max(handle.bytes as usize);
        let length = usize::try_from(rest).unwrap_or(wanted).min(wanted);
        self.piece.resize(length, 0);
        // After a giant block its memory is given back.
        self.piece.shrink_to(wanted);
        // Until the read succeeds the piece is worth nothing: an empty start would match a handle
        // by chance.
        self.start = u64::MAX;
        file.read_exact_at(&mut self.piece, handle.offset)?;
        self.start = handle.offset;
        Ok(())
    }

    fn get(&self, handle: Handle) -> Option<&[u8]> {
        let start = usize::try_from(handle.offset.checked_sub(self.start)?).ok()?;
        self.piece
            .get(start..start.checked_add(handle.bytes as usize)?)
    }
}
