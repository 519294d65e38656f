//! Reads a table front to back in large pieces: for compaction, which would otherwise make a system
//! call a block.
//!
//! Invariant: what it returns is what the file has at the handle; checksums are the caller's, as
//! always.

use std::io;

use nokv_env::File;

use super::layout::Handle;

/// One piece. Large enough that a disk streams, small enough for the dozen inputs of a compaction.
const PIECE_BYTES: usize = 512 << 10;

/// The piece read last.
#[derive(Default)]
pub(crate) struct ReadAhead {
    start: u64,
    piece: Vec<u8>,
}

impl ReadAhead {
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
        let wanted = PIECE_BYTES.max(handle.bytes as usize);
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
