//! A stream into a file.

use super::file_handle::FileHandle;
use crate::Node;
use nokv_types::Failure;

/// Writes one after the other, at the offsets that follow.
#[derive(Debug)]
pub struct FileWriter {
    handle: FileHandle,
    position: u64,
}

impl FileWriter {
    pub(crate) const fn new(handle: FileHandle, position: u64) -> Self {
        Self { handle, position }
    }

    /// Where the next bytes go.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Writes bytes. **Errors**: as [`FileHandle::write_at`].
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.handle.write_at(self.position, bytes).await?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// Flushes the file. **Errors**: as [`FileHandle::flush`].
    pub async fn finish(self) -> Result<Node, Failure> {
        self.handle.flush().await
    }
}
