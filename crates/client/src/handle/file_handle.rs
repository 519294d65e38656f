//! The handle: what a program holds of an open file.

use super::open_file::OpenFile;
use super::options::{FlushOptions, Seek};
use super::state::Source;
use super::writer::FileWriter;
use crate::Node;
use bytes::Bytes;
use nokv_namespace::Edit;
use nokv_types::{Failure, Layout, Reason};
use std::ops::Range;
use std::sync::Arc;

/// Bytes that a copy moves at once where it can't share.
const COPY_BYTES: u32 = 4 << 20;

/// An open file, to be read and written at any offset.
///
/// **Guarantees**: all handles of a client on one file see each other's writes at once; others see
/// them, all together, after a flush. Written bytes are uploaded in the background as soon as a
/// block is full; reads see them. A flush is applied to the newest generation: of two clients the
/// later wins for each range, and keeps what the other wrote elsewhere.
///
/// **Concurrency**: clones are the same handle; every method may be called from many tasks at once.
/// A future that is dropped may have written a part. What was written and not flushed when the last
/// handle goes is given up.
#[derive(Clone, Debug)]
pub struct FileHandle {
    pub(super) file: Arc<OpenFile>,
}

impl FileHandle {
    pub(crate) const fn new(file: Arc<OpenFile>) -> Self {
        Self { file }
    }

    /// The file as of the newest generation that this process knows, with the size that its handles
    /// see.
    #[must_use]
    pub fn node(&self) -> Node {
        let state = self.file.state.lock();
        let mut node = state.base.node.clone();
        node.attributes.size = state.size();
        node
    }

    /// Bytes of the file as its handles see it.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.file.size()
    }

    /// Whether something was written that is not flushed.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.file.state.lock().is_dirty()
    }

    /// Up to `length` bytes from `offset`, fewer (or none) only where the file ends. **Shape**: at
    /// most `READ_BYTES_MAX`.
    ///
    /// **Errors**: `DigestMismatch`, `MissingBlock`, those of the store.
    pub async fn read_at(&self, offset: u64, length: u32) -> Result<Bytes, Failure> {
        self.file.read_at(offset, length).await
    }

    /// Writes bytes; makes the file longer where they reach past its end. Waits while too much is
    /// in memory.
    ///
    /// **Errors**: `TooLarge`; `NotPermitted` in the past; why bytes written before could not be
    /// stored: they are kept, and the next flush tries again.
    pub async fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Failure> {
        self.file.write_at(offset, bytes).await
    }

    /// Writes bytes at the end. If other clients append too, each keeps what the others appended:
    /// the end is that of the moment of the flush. Returns where they are for now.
    ///
    /// **Errors**: as [`Self::write_at`].
    pub async fn append(&self, bytes: &[u8]) -> Result<u64, Failure> {
        self.file.append(bytes).await
    }

    /// Sets the size: cuts off, or makes longer by a hole.
    ///
    /// **Errors**: `TooLarge`, `NotPermitted` in the past.
    pub fn set_len(&self, size: u64) -> Result<(), Failure> {
        self.file.set_len(size)
    }

    /// Makes the file at least as long as the end of a range, as fallocate(2) does. Nothing is
    /// reserved: objects have no space of their own before they are written.
    ///
    /// **Errors**: as [`Self::set_len`].
    pub fn allocate(&self, range: Range<u64>) -> Result<(), Failure> {
        if range.end > self.size() {
            return self.set_len(range.end);
        }
        Ok(())
    }

    /// Makes what of a range lies within the file a hole.
    ///
    /// **Errors**: `NotPermitted` in the past.
    pub fn punch(&self, range: Range<u64>) -> Result<(), Failure> {
        let size = self.size();
        self.file.zero(range.start.min(size)..range.end.min(size))
    }

    /// Makes a range a hole, and the file longer where it reaches past the end.
    ///
    /// **Errors**: `TooLarge`, `NotPermitted` in the past.
    pub fn zero(&self, range: Range<u64>) -> Result<(), Failure> {
        self.allocate(range.clone())?;
        self.punch(range)
    }

    /// Takes a range out: what is behind moves to its start. Flushes.
    ///
    /// **Errors**: `InvalidArgument` for a range that is empty or not within the file; as
    /// [`Self::flush`].
    pub async fn collapse(&self, range: Range<u64>) -> Result<(), Failure> {
        self.file
            .edit_now(vec![Edit::Collapse(range)])
            .await
            .map(drop)
    }

    /// Puts a hole in: what is at the start of the range and behind moves to its end. Flushes.
    ///
    /// **Errors**: as [`Self::collapse`]; `Unsupported` for a small file that would no longer fit
    /// inline.
    pub async fn insert(&self, range: Range<u64>) -> Result<(), Failure> {
        self.file
            .edit_now(vec![Edit::Insert(range)])
            .await
            .map(drop)
    }

    /// Copies what `from` has in a range to `offset` of this file, sharing its blocks where that
    /// can be. Flushes both. Returns how many bytes: fewer where `from` ends.
    ///
    /// **Errors**: as [`Self::flush`] and [`Self::read_at`].
    pub async fn copy_range(
        &self,
        from: &Self,
        range: Range<u64>,
        offset: u64,
    ) -> Result<u64, Failure> {
        let range = range.start..range.end.min(from.size());
        if range.is_empty() {
            return Ok(0);
        }
        let length = range.end - range.start;
        from.flush().await?;
        // A node id means another body in another branch or at another time.
        if self.file.client.view == from.file.client.view {
            let copy = Edit::Copy {
                from: from.file.node,
                range: range.clone(),
                to: offset,
            };
            match self.file.edit_now(vec![copy]).await {
                Ok(_) => return Ok(length),
                Err(failure) if !is_unshareable(&failure) => return Err(failure),
                Err(_) => {}
            }
        }
        let mut done = 0;
        while done < length {
            let wanted =
                u32::try_from(length - done).map_or(COPY_BYTES, |left| left.min(COPY_BYTES));
            let bytes = from.read_at(range.start + done, wanted).await?;
            if bytes.is_empty() {
                break;
            }
            self.write_at(offset + done, &bytes).await?;
            done += bytes.len() as u64;
        }
        Ok(done)
    }

    /// The first offset from `offset` on with what is looked for; `None` when there is none, or
    /// `offset` is not within the file. The end of a file is a hole.
    #[must_use]
    pub fn seek(&self, offset: u64, what: Seek) -> Option<u64> {
        let state = self.file.state.lock();
        let size = state.size();
        if offset >= size {
            return None;
        }
        let base = state.base.body.body().layout();
        for (range, source) in state.look(offset..size) {
            let found = match (source, what) {
                (Source::Zeros, Seek::Hole) => Some(range.start),
                (Source::Zeros, Seek::Data) => None,
                (Source::Base, what) => seek_base(base, range, what),
                (_, Seek::Data) => Some(range.start),
                (_, Seek::Hole) => None,
            };
            if found.is_some() {
                return found;
            }
        }
        (what == Seek::Hole).then_some(size)
    }

    /// Stores what was written, by any handle, and makes it visible to others, all of it or
    /// nothing. Durable as [`crate::ClientOptions::durability`] says. Returns the file after
    /// it.
    ///
    /// **Errors**: those of the object store, `QuotaExceeded`, `NoSpace`, `NotFound`: what was
    /// written stays as it was, and another flush tries again.
    pub async fn flush(&self) -> Result<Node, Failure> {
        self.file.flush(FlushOptions::default()).await
    }

    /// The same as told.
    ///
    /// **Errors**: as [`Self::flush`]; `StaleGeneration`.
    pub async fn flush_with(&self, options: FlushOptions) -> Result<Node, Failure> {
        self.file.flush(options).await
    }

    /// Flushes, and makes that and what was acknowledged before durable, as fsync(2).
    ///
    /// **Errors**: as [`Self::flush`]; `OutcomeUnknown` when the disk failed.
    pub async fn sync(&self) -> Result<Node, Failure> {
        let node = self.flush().await?;
        if !self.file.client.is_synced() {
            self.file.client.sync().await?;
        }
        Ok(node)
    }

    /// Starts to upload all that was written, without waiting for it or making it visible.
    pub fn stage(&self) {
        self.file.state.lock().stage_all(&self.file.sessions);
    }

    /// Learns of a newer generation that others made. What was written here and is not flushed
    /// stays over it.
    ///
    /// **Errors**: `NotFound`, those of the store.
    pub async fn refresh(&self) -> Result<Node, Failure> {
        self.file.refresh().await?;
        Ok(self.node())
    }

    /// A stream that writes from `offset` on.
    #[must_use]
    pub fn writer(&self, offset: u64) -> FileWriter {
        FileWriter::new(self.clone(), offset)
    }

    /// Flushes and lets go.
    ///
    /// **Errors**: as [`Self::flush`]; what was not stored is given up with the last handle.
    pub async fn close(self) -> Result<Node, Failure> {
        self.flush().await
    }
}

/// Whether a copy can't share blocks.
fn is_unshareable(failure: &Failure) -> bool {
    matches!(
        failure.reason(),
        Reason::Unsupported | Reason::CrossesBoundary | Reason::NotFound
    )
}

/// The first place in a range of a body with what is looked for.
fn seek_base(layout: &Layout, range: Range<u64>, what: Seek) -> Option<u64> {
    let extents = match (layout, what) {
        (Layout::Inline(_), Seek::Data) => return Some(range.start),
        (Layout::Inline(_), Seek::Hole) => return None,
        (Layout::Extents(extents), _) => extents,
    };
    let first = extents.partition_point(|extent| extent.end() <= range.start);
    let mut at = range.start;
    for extent in extents.iter().skip(first) {
        let gap = extent.body_offset > at;
        match what {
            Seek::Hole if gap => break,
            Seek::Hole => at = extent.end(),
            Seek::Data => {
                let start = extent.body_offset.max(at);
                return (start < range.end).then_some(start);
            }
        }
    }
    (what == Seek::Hole && at < range.end).then_some(at)
}
