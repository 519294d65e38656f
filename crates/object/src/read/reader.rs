//! The reader: bodies in; bytes, streams and local files out.
//!
//! Invariants:
//! - no byte is returned or left in a local file that was not verified; a local file that can't be
//!   completed is removed;
//! - bytes fetched for local files and not yet written never exceed `memory_bytes_max`.

use super::{
    fetch::{BodyName, Fetcher, verify_whole},
    hedge::Hedge,
    open::OpenBody,
    options::{READ_BYTES_MAX, ReadOptions},
    stream::{BodyStream, Delivery, body_stream, deliveries, zeros},
};
use crate::{BlockCache, BlockStore, Error, blocking, checksum};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt};
use nokv_env::{File, FileSystem, OpenMode};
use nokv_types::Body;
use std::{
    fmt, io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    sync::Semaphore,
};

/// Reads bodies.
///
/// **Concurrency**: cheap to clone; clones share the limits. Needs a tokio runtime.
#[derive(Clone)]
pub struct BodyReader {
    pub(super) files: Arc<dyn FileSystem>,
    pub(super) fetcher: Fetcher,
    pub(super) options: ReadOptions,
    pub(super) memory: Arc<Semaphore>,
    pub(super) ahead: Arc<Semaphore>,
}

impl BodyReader {
    /// A reader. `files` is where [`Self::read_to_file`] writes.
    ///
    /// **Errors**: [`Error::Invalid`] for options out of their limits.
    pub fn new(
        files: Arc<dyn FileSystem>,
        store: Arc<dyn BlockStore>,
        options: ReadOptions,
    ) -> Result<Self, Error> {
        let options = options.checked()?;
        let gets = Arc::new(Semaphore::new(options.parallel_gets));
        let memory = Arc::new(Semaphore::new(options.memory_bytes_max as usize));
        Ok(Self {
            files,
            fetcher: Fetcher {
                store,
                gets,
                cache: None,
                keep: options.keep,
                hedge: options.hedge.map(|options| Arc::new(Hedge::new(options))),
            },
            options,
            memory,
            ahead: Arc::new(Semaphore::new(options.ahead_bytes_max as usize)),
        })
    }

    /// The same reader with a cache, which must be one of the same store.
    #[must_use]
    pub fn with_cache(mut self, cache: Arc<BlockCache>) -> Self {
        self.fetcher.cache = Some(cache);
        self
    }

    /// A range of a body, cut at the body's end. **Shape**: at most [`READ_BYTES_MAX`] bytes.
    ///
    /// **Errors**: [`Error::Invalid`] for a longer range; [`Error::MissingBlock`],
    /// [`Error::DigestMismatch`] (nothing is returned then); those of the object store.
    pub async fn read_range(&self, body: &Body, range: Range<u64>) -> Result<Bytes, Error> {
        let bytes = range.end.min(body.size()).saturating_sub(range.start);
        if bytes > READ_BYTES_MAX {
            return Err(Error::Invalid(format!(
                "a read of {bytes} bytes is over {READ_BYTES_MAX}: read it in parts, or as a stream"
            )));
        }
        let mut stream = self.stream(body, range);
        let Some(first) = stream.try_next().await? else {
            return Ok(Bytes::new());
        };
        let Some(second) = stream.try_next().await? else {
            return Ok(first);
        };
        let mut all = BytesMut::with_capacity(usize::try_from(bytes).unwrap_or(0));
        all.extend_from_slice(&first);
        all.extend_from_slice(&second);
        while let Some(chunk) = stream.try_next().await? {
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }

    /// A body to be read piece by piece, at any offset.
    #[must_use]
    pub fn open(&self, body: Body) -> OpenBody {
        OpenBody::new(self.clone(), body)
    }

    /// A whole body of at most [`READ_BYTES_MAX`] bytes, its digest verified.
    ///
    /// **Errors**: as [`Self::read_range`].
    pub async fn read(&self, body: &Body) -> Result<Bytes, Error> {
        self.read_range(body, 0..body.size()).await
    }

    /// A range of a body as a stream, cut at the body's end.
    #[must_use]
    pub fn stream(&self, body: &Body, range: Range<u64>) -> BodyStream {
        body_stream(
            self.fetcher.clone(),
            body,
            range,
            self.options.lookahead_gets,
        )
    }

    /// Writes a whole body to a sink. The digest of the whole is known only at the end: after an
    /// error, what the sink got must not be used.
    ///
    /// **Errors**: as [`Self::read_range`]; [`Error::Io`] for the sink.
    pub async fn write_to(
        &self,
        body: &Body,
        sink: &mut (impl AsyncWrite + Unpin),
    ) -> Result<(), Error> {
        let failed = |error: io::Error| Error::Io(format!("can't write the body: {error}"));
        let mut stream = self.stream(body, 0..body.size());
        while let Some(chunk) = stream.try_next().await? {
            sink.write_all(&chunk).await.map_err(failed)?;
        }
        sink.flush().await.map_err(failed)
    }

    /// Writes a whole body to a local file, made or replaced; holes stay holes. Not synced.
    ///
    /// **Errors**: as [`Self::read_range`], and those of the local file ([`Error::NoSpace`],
    /// [`Error::PermissionDenied`], …). After any the file is removed.
    pub async fn read_to_file(&self, body: &Body, path: &Path) -> Result<(), Error> {
        let result = self.fill_file(body, path).await;
        if result.is_err() {
            let (files, path) = (Arc::clone(&self.files), path.to_owned());
            let removed = blocking(move || {
                files
                    .remove(&path)
                    .map_err(|error| Error::from_io("remove", &path, &error))
            });
            if let Err(error) = removed.await {
                tracing::debug!(%error, "could not remove an incomplete file");
            }
        }
        result
    }

    async fn fill_file(&self, body: &Body, path: &Path) -> Result<(), Error> {
        let (files, target, size) = (Arc::clone(&self.files), path.to_owned(), body.size());
        let has_holes = has_holes(body);
        let file = blocking(move || {
            let failed = |error: io::Error| Error::from_io("write", &target, &error);
            let file = files.open(&target, OpenMode::Create).map_err(failed)?;
            if has_holes {
                file.set_len(size).map_err(failed)?;
            }
            Ok(file)
        })
        .await?;
        let name = BodyName::of(body);
        let memory = (Arc::clone(&self.memory), self.options.memory_bytes_max);
        let lookahead = self.options.lookahead_gets;
        let fetcher = self.fetcher.clone();
        let mut steps = deliveries(fetcher, body, 0..body.size(), lookahead, Some(memory));
        let mut writer = FileWriter::new(file, path.to_owned());
        while let Some(delivery) = steps.next().await {
            let delivery = delivery?;
            writer = blocking(move || writer.write(delivery)).await?;
        }
        verify_whole(name, checksum::finish(&writer.hasher))
    }
}

impl fmt::Debug for BodyReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyReader")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// A local file that is filled in order, hashing on the way.
struct FileWriter {
    file: Arc<dyn File>,
    path: PathBuf,
    position: u64,
    hasher: blake3::Hasher,
}

impl FileWriter {
    fn new(file: Arc<dyn File>, path: PathBuf) -> Self {
        Self {
            file,
            path,
            position: 0,
            hasher: blake3::Hasher::new(),
        }
    }

    fn write(mut self, delivery: Delivery) -> Result<Self, Error> {
        for chunk in zeros(delivery.zeros) {
            self.hasher.update(&chunk);
        }
        self.position += delivery.zeros;
        for chunk in &delivery.chunks {
            self.hasher.update(chunk);
            self.file
                .write_at(chunk, self.position)
                .map_err(|error| Error::from_io("write", &self.path, &error))?;
            self.position += chunk.len() as u64;
        }
        Ok(self)
    }
}

/// Whether a file of this body needs its length set, because not all of it is written.
fn has_holes(body: &Body) -> bool {
    match body.layout() {
        nokv_types::Layout::Inline(_) => false,
        nokv_types::Layout::Extents(extents) => {
            let covered: u64 = extents.iter().map(|extent| u64::from(extent.length)).sum();
            covered < body.size()
        }
    }
}
