//! A body that is read piece by piece, at any offset: what a file handle holds.
//!
//! Invariants:
//! - as everywhere in this crate, what is returned was verified;
//! - a body never changes, so a handle never has to be told of anything: a new generation of a file
//!   is another body and another handle.

use super::reader::BodyReader;
use crate::Error;
use bytes::Bytes;
use nokv_types::Body;
use std::fmt;

/// One body, open for reading at any offset.
///
/// **Concurrency**: reads may run beside each other; dropping one stops what only it waited for.
pub struct OpenBody {
    reader: BodyReader,
    body: Body,
}

impl OpenBody {
    pub(super) fn new(reader: BodyReader, body: Body) -> Self {
        Self { reader, body }
    }

    /// What is read.
    #[must_use]
    pub const fn body(&self) -> &Body {
        &self.body
    }

    /// `length` bytes from `offset`, fewer (or none) only where the body ends. **Shape**: at most
    /// [`crate::READ_BYTES_MAX`] bytes.
    ///
    /// **Errors**: as [`BodyReader::read_range`].
    pub async fn read_at(&self, offset: u64, length: u32) -> Result<Bytes, Error> {
        let end = offset.saturating_add(u64::from(length));
        self.reader.read_range(&self.body, offset..end).await
    }
}

impl fmt::Debug for OpenBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenBody")
            .field("size", &self.body.size())
            .finish_non_exhaustive()
    }
}
