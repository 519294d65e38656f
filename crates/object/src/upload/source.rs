//! Where the bytes of an upload come from, block by block.
//!
//! Invariants:
//! - a source of known size yields exactly that many bytes or fails with `SourceChanged`;
//! - files are read with one positional read per block on a blocking thread, so that an async
//!   thread never waits for a disk.

use super::options::Compression;
use super::prepare::Prepared;
use crate::Error;
use bytes::{Bytes, BytesMut};
use nokv_env::{File, FileSystem, OpenMode};
use std::{io, path::Path, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    task::spawn_blocking,
};

/// The next piece of a source.
pub(crate) struct Piece {
    pub(crate) bytes: Bytes,
    /// Whether the source ended at or within this piece. May be `false` for the last piece of a
    /// source of unknown size; then one empty piece follows.
    pub(crate) is_last: bool,
}

/// A source that is being read.
pub(crate) struct Source<R> {
    input: Input<R>,
    name: String,
    size: Option<u64>,
    position: u64,
}

/// The kinds of sources.
pub(crate) enum Input<R> {
    /// An open local file.
    File(Arc<dyn File>),
    /// Any stream.
    Reader(R),
    /// Bytes in memory, what is left of them.
    Memory(Bytes),
}

/// A source without a stream.
pub(crate) type PlainSource = Source<tokio::io::Empty>;

impl<R: AsyncRead + Unpin> Source<R> {
    /// A source of exactly `size` bytes; of however many come when `None` (streams only).
    pub(crate) fn new(input: Input<R>, name: String, size: Option<u64>) -> Self {
        Self {
            input,
            name,
            size,
            position: 0,
        }
    }

    /// Bytes to reserve and ask for next, at most `most`; 0 when a source of known size is at its
    /// end.
    pub(crate) fn next_bytes(&self, most: u32) -> u32 {
        let left = self
            .size
            .map_or(u64::MAX, |size| size.saturating_sub(self.position));
        u32::try_from(left).map_or(most, |left| left.min(most))
    }

    /// Bytes yielded so far.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Reads `want` bytes, or what is left.
    pub(crate) async fn next(&mut self, want: u32) -> Result<Piece, Error> {
        let want = want as usize;
        let piece = match &mut self.input {
            Input::File(file) => {
                let job = FileRead {
                    file: Arc::clone(file),
                    name: self.name.clone(),
                    offset: self.position,
                    want,
                    size: self.size.unwrap_or(0),
                };
                blocking(move || job.run()).await?
            }
            Input::Reader(reader) => {
                let (bytes, is_last) = read_stream(
                    reader,
                    &self.name,
                    want,
                    StreamEnd {
                        size: self.size,
                        position: self.position,
                    },
                )
                .await?;
                Piece { bytes, is_last }
            }
            Input::Memory(rest) => {
                let bytes = rest.split_to(want.min(rest.len()));
                let is_last = rest.is_empty();
                Piece { bytes, is_last }
            }
        };
        self.position += piece.bytes.len() as u64;
        Ok(piece)
    }
}

/// One read of a local file.
struct FileRead {
    file: Arc<dyn File>,
    name: String,
    offset: u64,
    want: usize,
    size: u64,
}

impl FileRead {
    fn run(self) -> Result<Piece, Error> {
        let mut buffer = vec![0; self.want];
        let failed = |error: io::Error| Error::from_io("read", Path::new(&self.name), &error);
        match self.file.read_exact_at(&mut buffer, self.offset) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(self.changed(self.file.len().map_err(failed)?));
            }
            Err(error) => return Err(failed(error)),
        }
        let is_last = self.offset + buffer.len() as u64 == self.size;
        if is_last {
            let length = self.file.len().map_err(failed)?;
            if length != self.size {
                return Err(self.changed(length));
            }
        }
        Ok(Piece {
            bytes: buffer.into(),
            is_last,
        })
    }

    fn changed(&self, got: u64) -> Error {
        Error::SourceChanged {
            source_name: self.name.clone(),
            expected: self.size,
            got,
        }
    }
}

/// What is known about where a stream ends.
struct StreamEnd {
    size: Option<u64>,
    position: u64,
}

async fn read_stream<R: AsyncRead + Unpin>(
    reader: &mut R,
    name: &str,
    want: usize,
    end: StreamEnd,
) -> Result<(Bytes, bool), Error> {
    let failed = |error: io::Error| Error::from_io("read", Path::new(name), &error);
    let mut buffer = BytesMut::with_capacity(want);
    while buffer.len() < want {
        let left = (want - buffer.len()) as u64;
        // `take` because a `BytesMut` may have more capacity than was asked for.
        if (&mut *reader)
            .take(left)
            .read_buf(&mut buffer)
            .await
            .map_err(failed)?
            == 0
        {
            break;
        }
    }
    let got = end.position + buffer.len() as u64;
    let Some(size) = end.size else {
        let is_last = buffer.len() < want;
        return Ok((buffer.freeze(), is_last));
    };
    let changed = |got| Error::SourceChanged {
        source_name: name.to_owned(),
        expected: size,
        got,
    };
    if buffer.len() < want {
        return Err(changed(got));
    }
    let is_last = got == size;
    if is_last && reader.read(&mut [0]).await.map_err(failed)? > 0 {
        return Err(changed(size.saturating_add(1)));
    }
    Ok((buffer.freeze(), is_last))
}

/// Opens a local file and learns its length.
pub(crate) async fn open_file(
    files: Arc<dyn FileSystem>,
    path: &Path,
) -> Result<(Arc<dyn File>, u64), Error> {
    let path = path.to_owned();
    blocking(move || {
        let failed = |error: io::Error| Error::from_io("read", &path, &error);
        let file = files.open(&path, OpenMode::Read).map_err(failed)?;
        let length = file.len().map_err(failed)?;
        Ok((file, length))
    })
    .await
}

/// What opening a file that should be small has brought.
pub(crate) enum SmallFile {
    /// It has the expected size: here is all of it.
    Whole(Prepared),
    /// It has another size.
    Resized(Arc<dyn File>, u64),
}

/// Opens and reads a small file on one trip to a blocking thread: trees have tens of thousands of
/// them.
pub(crate) async fn read_small_file(
    files: Arc<dyn FileSystem>,
    path: &Path,
    size: u32,
    compression: Compression,
) -> Result<SmallFile, Error> {
    let path = path.to_owned();
    blocking(move || {
        let failed = |error: io::Error| Error::from_io("read", &path, &error);
        let file = files.open(&path, OpenMode::Read).map_err(failed)?;
        let length = file.len().map_err(failed)?;
        if length != u64::from(size) {
            return Ok(SmallFile::Resized(file, length));
        }
        let name = path.display().to_string();
        let read = FileRead {
            file,
            name,
            offset: 0,
            want: size as usize,
            size: length,
        };
        let piece = read.run()?;
        Ok(SmallFile::Whole(Prepared::of(piece.bytes, 0, compression)))
    })
    .await
}

/// Runs blocking work off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_cancelled) => Err(Error::Unavailable(
            "the runtime is shutting down".to_owned(),
        )),
    }
}
