//! Uploading the bytes that a dump brought along.
//!
//! Invariants: a body is made of exactly the data that came behind its node; where the dump has a
//! digest and the body no hole, it is the digest of what was uploaded; memory is bounded by the
//! uploader and [`PIPE_BYTES`].

use bytes::Bytes;
use nokv_object::{Staged, Uploader};
use nokv_types::{Body, Extent, Failure, INLINE_BYTES_MAX, Layout, Reason};
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;

/// Bytes between what reads the dump and what uploads.
const PIPE_BYTES: usize = 1 << 20;

/// The runs of one body.
pub(super) struct Upload {
    uploader: Uploader,
    name: String,
    dumped: Body,
    runs: Vec<Run>,
    /// Where the last run goes while it is under way.
    pipe: Option<DuplexStream>,
}

/// Data without a hole in it.
struct Run {
    offset: u64,
    bytes: u64,
    upload: Progress,
}

enum Progress {
    Uploading(JoinHandle<Result<Staged, nokv_object::Error>>),
    Staged(Staged),
}

impl Upload {
    pub(super) const fn new(uploader: Uploader, name: String, dumped: Body) -> Self {
        Self {
            uploader,
            name,
            dumped,
            runs: Vec::new(),
            pipe: None,
        }
    }

    /// Takes the next data.
    pub(super) async fn push(&mut self, offset: u64, bytes: &Bytes) -> Result<(), Failure> {
        let end = self.runs.last().map(|run| run.offset + run.bytes);
        let stop = offset.saturating_add(bytes.len() as u64);
        if end.is_some_and(|end| offset < end) || stop > self.dumped.size() {
            let flaw = "data of the dump is out of order";
            return Err(self.corrupt(flaw));
        }
        if end != Some(offset) {
            self.end_run().await?;
            let (pipe, source) = tokio::io::duplex(PIPE_BYTES);
            let (uploader, name) = (self.uploader.clone(), self.name.clone());
            let upload =
                tokio::spawn(async move { uploader.upload_reader(source, &name, None).await });
            self.runs.push(Run {
                offset,
                bytes: 0,
                upload: Progress::Uploading(upload),
            });
            self.pipe = Some(pipe);
        }
        if let Some(run) = self.runs.last_mut() {
            run.bytes += bytes.len() as u64;
        }
        self.write(bytes).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if let Some(pipe) = &mut self.pipe
            && pipe.write_all(bytes).await.is_err()
        {
            // The upload has ended before: it says why.
            self.wait().await?;
            let flaw = format!("{}: the upload ended too early", self.name);
            return Err(Failure::new(Reason::Io, flaw));
        }
        Ok(())
    }

    /// Says that all data is there.
    pub(super) async fn end_run(&mut self) -> Result<(), Failure> {
        let Some(run) = self.runs.last().filter(|_| self.pipe.is_some()) else {
            return Ok(());
        };
        if run.bytes != self.dumped.size() && run.bytes <= INLINE_BYTES_MAX as u64 {
            // So little would be a body without an object; of what is longer, a part can be shown.
            let padding = INLINE_BYTES_MAX as u64 + 1 - run.bytes;
            let zeros = vec![0; usize::try_from(padding).unwrap_or(0)];
            self.write(&zeros).await?;
        }
        self.wait().await
    }

    async fn wait(&mut self) -> Result<(), Failure> {
        // Dropping the pipe is the end of what is uploaded.
        self.pipe = None;
        if let Some(run) = self.runs.last_mut()
            && let Progress::Uploading(upload) = &mut run.upload
        {
            let staged = upload.await;
            let staged = staged.map_err(|error| Failure::new(Reason::Io, error.to_string()))?;
            run.upload = Progress::Staged(staged?);
        }
        Ok(())
    }

    /// The body, once all its objects are durable. First all uploads are ended, then each is asked,
    /// so that small ones share their objects.
    pub(super) async fn durable(mut self) -> Result<Body, Failure> {
        let mut extents: Vec<Extent> = Vec::new();
        for Run {
            offset,
            bytes,
            upload,
        } in std::mem::take(&mut self.runs)
        {
            let Progress::Staged(staged) = upload else {
                return Err(Failure::new(Reason::Io, "an upload has not ended"));
            };
            let body = staged.durable().await?;
            if bytes == self.dumped.size() {
                return self.checked(body);
            }
            if let Layout::Extents(own) = body.layout() {
                let shown = own.iter().filter(|extent| extent.body_offset < bytes);
                extents.extend(shown.map(|extent| shifted(extent, offset, bytes)));
            }
        }
        Body::new(
            self.dumped.size(),
            self.dumped.digest(),
            Layout::Extents(extents),
        )
    }

    fn checked(&self, body: Body) -> Result<Body, Failure> {
        match (self.dumped.digest(), body.digest()) {
            (Some(expected), Some(got)) if expected != got => Err(Failure::new(
                Reason::DigestMismatch,
                format!("{}: the dump says {expected}, its data is {got}", self.name),
            )),
            _ => Ok(body),
        }
    }

    fn corrupt(&self, flaw: &str) -> Failure {
        Failure::new(Reason::Corrupt, format!("{}: {flaw}", self.name))
    }
}

/// The part of an extent that is data of the run, at its place of the body.
fn shifted(extent: &Extent, offset: u64, bytes: u64) -> Extent {
    let left = bytes.saturating_sub(extent.body_offset);
    Extent {
        body_offset: offset + extent.body_offset,
        length: u32::try_from(left).map_or(extent.length, |left| left.min(extent.length)),
        ..*extent
    }
}
