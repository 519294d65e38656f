//! The bytes of one file.
#![expect(clippy::unimplemented, reason = "bodies follow file by file")]

use bytes::Bytes;
use nokv_types::Failure;

/// Verified bytes of a file, chunk by chunk.
#[derive(Debug)]
pub struct FileStream;

impl FileStream {
    /// The next bytes; `None` at the end. After an error, what came before must not be used.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        unimplemented!()
    }
}
