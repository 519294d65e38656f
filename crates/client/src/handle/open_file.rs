//! A file that is open in this process: one for all handles of a node.
//!
//! Invariant: all handles see each other's writes at once; flushes are one at a time.

use super::options::FlushOptions;
use super::sessions::WriteSessions;
use super::staging::{Progress, Staging};
use super::state::{Base, Source, State};
use crate::{Client, EDITS_MAX, Node};
use bytes::{Bytes, BytesMut};
use nokv_namespace::Target;
use nokv_object::{BodyReader, OpenBody, READ_BYTES_MAX};
use nokv_types::{BODY_BYTES_MAX, Body, Failure, Layout, NodeId, Reason};
use parking_lot::Mutex;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex as AsyncMutex, OwnedSemaphorePermit};

/// Pieces of a layer after which a write waits for a flush: that is one command.
const PIECES_MAX: usize = EDITS_MAX / 4;
/// How often a read looks for a newer generation when blocks of the one it has are gone.
const READ_ATTEMPTS_MAX: usize = 3;
/// How long a write waits for memory before what waits to share an object is sent as it is.
const HURRY_PAUSE: Duration = Duration::from_millis(5);
/// Zeros that a read returns at once without allocating for each.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// An open file.
pub(crate) struct OpenFile {
    pub(super) client: Client,
    pub(super) node: NodeId,
    pub(super) sessions: Arc<WriteSessions>,
    pub(super) reader: BodyReader,
    pub(super) state: Mutex<State>,
    pub(super) flushing: AsyncMutex<()>,
    /// Appends of this process, one after the other.
    appending: AsyncMutex<()>,
}

impl OpenFile {
    /// The file with this base; `client` is of the branch in which the node was found.
    pub(crate) fn new(
        client: Client,
        sessions: Arc<WriteSessions>,
        reader: BodyReader,
        node: Node,
        body: Body,
    ) -> Self {
        let block_bytes = sessions.options().block_bytes;
        let id = node.id;
        let body = reader.open(body);
        let base = Arc::new(Base { node, body });
        Self {
            client,
            node: id,
            sessions,
            reader,
            state: Mutex::new(State::new(base, block_bytes)),
            flushing: AsyncMutex::new(()),
            appending: AsyncMutex::new(()),
        }
    }

    pub(crate) fn size(&self) -> u64 {
        self.state.lock().size()
    }

    /// The newest generation, unless edits wait that rest on the one that is here.
    pub(crate) async fn refresh(&self) -> Result<Arc<Base>, Failure> {
        let base = self.fetch().await?;
        let mut state = self.state.lock();
        if base.node.generation > state.base.node.generation && !state.is_taken() {
            state.base = Arc::clone(&base);
        }
        Ok(Arc::clone(&state.base))
    }

    /// Takes in a generation that somebody has just read.
    pub(crate) fn learn(&self, node: Node, body: Body) {
        let mut state = self.state.lock();
        if node.generation > state.base.node.generation && !state.is_taken() {
            let body = self.reader.open(body);
            state.base = Arc::new(Base { node, body });
        }
    }

    /// The newest generation of the store.
    pub(super) async fn fetch(&self) -> Result<Arc<Base>, Failure> {
        let found = self.client.bodies_of(&[Target::Node(self.node)]).await?;
        let (node, body) = found
            .into_iter()
            .next()
            .unwrap_or_else(|| Err(Failure::new(Reason::Io, "the server planned nothing")))?;
        let body = self.reader.open(body);
        Ok(Arc::new(Base { node, body }))
    }

    /// Up to `length` bytes from `offset`, fewer only where the file ends.
    pub(crate) async fn read_at(&self, offset: u64, length: u32) -> Result<Bytes, Failure> {
        let length = u64::from(length);
        if length > READ_BYTES_MAX {
            return Err(Failure::new(
                Reason::TooLarge,
                format!("a read of {length} bytes is over {READ_BYTES_MAX}; read it in parts"),
            ));
        }
        for attempt in 1.. {
            let (parts, base) = {
                let state = self.state.lock();
                let end = offset.saturating_add(length).min(state.size());
                if offset >= end {
                    return Ok(Bytes::new());
                }
                (state.look(offset..end), Arc::clone(&state.base))
            };
            match self.gather(parts, &base.body).await {
                Err(failure) if attempt < READ_ATTEMPTS_MAX && is_gone(&failure) => {
                    // Another writer's generation took its place, and the old one was collected.
                    let newer = self.refresh().await?;
                    if newer.node.generation == base.node.generation {
                        return Err(failure);
                    }
                }
                done => return done,
            }
        }
        unreachable!("the loop has no bound but its attempts")
    }

    async fn gather(
        &self,
        parts: Vec<(Range<u64>, Source)>,
        base: &OpenBody,
    ) -> Result<Bytes, Failure> {
        let mut pieces = Vec::with_capacity(parts.len());
        for (range, source) in parts {
            pieces.push(self.fetch_part(range, source, base).await?);
        }
        if let [one] = pieces.as_mut_slice() {
            return Ok(std::mem::take(one));
        }
        let mut whole = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
        pieces
            .iter()
            .for_each(|piece| whole.extend_from_slice(piece));
        Ok(whole.freeze())
    }

    async fn fetch_part(
        &self,
        range: Range<u64>,
        source: Source,
        base: &OpenBody,
    ) -> Result<Bytes, Failure> {
        let length = u32::try_from(range.end - range.start).expect("a read is small");
        match source {
            Source::Bytes(bytes) => Ok(bytes),
            Source::Zeros => Ok(ZEROS.get(..length as usize).map_or_else(
                || BytesMut::zeroed(length as usize).freeze(),
                Bytes::from_static,
            )),
            Source::Staged { staging, skip } => self.read_staged(&staging, skip, length).await,
            Source::Base => {
                let bytes = base.read_at(range.start, length).await?;
                if bytes.len() == length as usize {
                    return Ok(bytes);
                }
                Err(Failure::new(Reason::Io, "a body is shorter than its size"))
            }
        }
    }

    /// Bytes that were staged.
    pub(super) async fn read_staged(
        &self,
        staging: &Staging,
        skip: u32,
        length: u32,
    ) -> Result<Bytes, Failure> {
        match staging.progress() {
            Progress::Waiting(bytes) | Progress::Placed(bytes) | Progress::Failed(bytes, _) => {
                Ok(bytes.slice(skip as usize..(skip + length) as usize))
            }
            Progress::Stored(..) => {
                let extents = staging.extent(0, skip, length).into_iter().collect();
                let body = Body::new(u64::from(length), None, Layout::Extents(extents))?;
                Ok(self.reader.read_range(&body, 0..body.size()).await?)
            }
        }
    }

    /// Writes bytes.
    ///
    /// **Errors**: why bytes written before could not be stored (they are kept, a flush tries
    /// again); `TooLarge`.
    pub(crate) async fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Failure> {
        let end = checked_end(offset, bytes.len())?;
        if self.client.is_past() {
            return Err(read_only());
        }
        self.state.lock().note_write(&(offset..end));
        self.write(offset, bytes).await
    }

    /// Writes bytes at the end. Returns where that was.
    pub(crate) async fn append(&self, bytes: &[u8]) -> Result<u64, Failure> {
        if self.client.is_past() {
            return Err(read_only());
        }
        let _one = self.appending.lock().await;
        let offset = {
            let mut state = self.state.lock();
            let offset = state.size();
            state.note_append(offset);
            offset
        };
        checked_end(offset, bytes.len())?;
        self.write(offset, bytes).await?;
        Ok(offset)
    }

    async fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Failure> {
        if let Some(failure) = self.state.lock().take_trouble() {
            return Err(failure);
        }
        let block_bytes = u64::from(self.sessions.options().block_bytes);
        let (mut offset, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            let window_left = block_bytes - offset % block_bytes;
            let length =
                usize::try_from(window_left).map_or(rest.len(), |left| left.min(rest.len()));
            let (part, others) = rest.split_at(length);
            let memory = self.reserve(length).await;
            let count = {
                let mut state = self.state.lock();
                state.write(&self.sessions, offset, part, memory);
                state.piece_count()
            };
            if count >= PIECES_MAX {
                self.flush(FlushOptions::default()).await?;
            }
            offset += length as u64;
            rest = others;
        }
        Ok(())
    }

    /// Waits until so many bytes may be in memory.
    async fn reserve(&self, bytes: usize) -> OwnedSemaphorePermit {
        let bytes = u32::try_from(bytes).expect("at most a block");
        let memory = Arc::clone(self.sessions.memory());
        if let Ok(permit) = Arc::clone(&memory).try_acquire_many_owned(bytes) {
            return permit;
        }
        if self.sessions.is_pressed() {
            self.client.stage_open_files();
            self.state.lock().stage_all(&self.sessions);
        }
        let mut permit = std::pin::pin!(memory.acquire_many_owned(bytes));
        loop {
            // What was staged just now reaches its shared object a little later.
            tokio::select! {
                permit = &mut permit => return permit.expect("the semaphore is never closed"),
                () = tokio::time::sleep(HURRY_PAUSE) => self.sessions.hurry().await,
            }
        }
    }

    pub(crate) fn zero(&self, range: Range<u64>) -> Result<(), Failure> {
        if self.client.is_past() {
            return Err(read_only());
        }
        self.state.lock().zero(&self.sessions, range);
        Ok(())
    }

    pub(crate) fn set_len(&self, size: u64) -> Result<(), Failure> {
        checked_end(size, 0)?;
        if self.client.is_past() {
            return Err(read_only());
        }
        self.state.lock().resize(&self.sessions, size);
        Ok(())
    }
}

impl fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenFile")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

/// Where bytes that begin at `offset` end. **Errors**: `TooLarge`.
fn checked_end(offset: u64, bytes: usize) -> Result<u64, Failure> {
    let end = offset.checked_add(bytes as u64);
    end.filter(|end| *end <= BODY_BYTES_MAX).ok_or_else(|| {
        Failure::new(
            Reason::TooLarge,
            format!("{bytes} bytes at {offset} end behind {BODY_BYTES_MAX}, the largest file"),
        )
    })
}

fn is_gone(failure: &Failure) -> bool {
    matches!(failure.reason(), Reason::MissingBlock | Reason::NotFound)
}

fn read_only() -> Failure {
    let advice = "this is the past, which does not change; open the file in the present";
    Failure::new(Reason::NotPermitted, advice)
}
