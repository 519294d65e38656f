//! The handle for threads that are not tasks.

use super::file_handle::FileHandle;
use super::options::FlushOptions;
use crate::Node;
use bytes::Bytes;
use nokv_types::Failure;
use std::ops::Range;
use tokio::runtime::Handle;

/// A [`FileHandle`] whose methods wait. **Panics**: when called from a task of the runtime.
#[derive(Clone, Debug)]
pub struct BlockingFile {
    handle: FileHandle,
    runtime: Handle,
}

impl BlockingFile {
    /// The same file; `runtime` runs what it waits for.
    #[must_use]
    pub const fn new(handle: FileHandle, runtime: Handle) -> Self {
        Self { handle, runtime }
    }

    /// The handle itself, for what does not wait.
    #[must_use]
    pub const fn handle(&self) -> &FileHandle {
        &self.handle
    }

    /// As [`FileHandle::read_at`].
    pub fn read_at(&self, offset: u64, length: u32) -> Result<Bytes, Failure> {
        self.runtime.block_on(self.handle.read_at(offset, length))
    }

    /// As [`FileHandle::write_at`].
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Failure> {
        self.runtime.block_on(self.handle.write_at(offset, bytes))
    }

    /// As [`FileHandle::append`].
    pub fn append(&self, bytes: &[u8]) -> Result<u64, Failure> {
        self.runtime.block_on(self.handle.append(bytes))
    }

    /// As [`FileHandle::copy_range`].
    pub fn copy_range(&self, from: &Self, range: Range<u64>, offset: u64) -> Result<u64, Failure> {
        self.runtime
            .block_on(self.handle.copy_range(&from.handle, range, offset))
    }

    /// As [`FileHandle::flush_with`].
    pub fn flush(&self, options: FlushOptions) -> Result<Node, Failure> {
        self.runtime.block_on(self.handle.flush_with(options))
    }

    /// As [`FileHandle::sync`].
    pub fn sync(&self) -> Result<Node, Failure> {
        self.runtime.block_on(self.handle.sync())
    }
}
