//! The bytes of one file.

use crate::session::UploadSession;
use crate::{Client, WriteOptions};
use bytes::Bytes;
use futures::StreamExt;
use nokv_namespace::{Content, NewAttributes, Node, Publish, PublishItem, Published};
use nokv_object::{BodyStream, OpenBody, ReadOptions};
use nokv_types::{Body, Failure, NsPath, Reason};
use std::fmt;
use std::ops::Range;
use tokio::io::AsyncRead;

/// Verified bytes of a file, chunk by chunk.
pub struct FileStream(BodyStream);

impl FileStream {
    /// The next bytes; `None` at the end.
    ///
    /// **Errors**: `DigestMismatch`, `MissingBlock`, `Unavailable`. After an error, what came
    /// before must not be used.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        Ok(self.0.next().await.transpose()?)
    }
}

impl fmt::Debug for FileStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileStream")
    }
}

impl Client {
    /// Opens a file for reading: its node, and its bytes in `range` (cut at the end) as a verified
    /// stream.
    ///
    /// **Errors**: as [`Client::body`].
    pub async fn read(
        &self,
        path: &NsPath,
        range: Range<u64>,
    ) -> Result<(Node, FileStream), Failure> {
        let (node, body) = self.body(path).await?;
        let reader = self.reader(ReadOptions::once()).await?;
        let range = range.start.min(body.size())..range.end.min(body.size());
        Ok((node, FileStream(reader.stream(&body, range))))
    }

    /// A body to be read piece by piece, at any offset.
    ///
    /// **Errors**: `Unavailable` when the object store can't be reached.
    pub async fn open_body(&self, body: Body) -> Result<OpenBody, Failure> {
        Ok(self.reader(ReadOptions::default()).await?.open(body))
    }

    /// Publishes what `reader` gives as one file; visible whole when this returns, or not at all.
    ///
    /// **Errors**: as [`Client::publish`]; those of the object store; `Io` of the reader.
    pub async fn write(
        &self,
        path: &NsPath,
        reader: impl AsyncRead + Unpin + Send,
        options: WriteOptions,
    ) -> Result<Published, Failure> {
        let mut session = UploadSession::open(self).await?;
        let uploader = session.uploader(self.shared.options.upload).await?;
        let staged = uploader
            .upload_reader(reader, &path.to_string(), None)
            .await?;
        let body = staged.durable().await?;
        let item = PublishItem {
            path: path.clone(),
            content: Content::File(body),
            attributes: NewAttributes {
                mtime: options.mtime,
                ..NewAttributes::mode(options.mode)
            },
            expect: options.expect,
        };
        let publish = Publish {
            items: vec![item],
            parents: options.parents,
            session: Some(session.id()),
        };
        let published = self.publish(publish).await?;
        session.close().await;
        let first = published.into_iter().next();
        first.ok_or_else(|| Failure::new(Reason::Io, "the server published nothing"))
    }
}
