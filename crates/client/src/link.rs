//! One connection to a server: requests out, answers back by id.
//!
//! Two tasks own the socket: one writes what callers have encoded, as much as is there in one go;
//! one reads answers and hands each to its caller.
//!
//! Invariants:
//! - every call ends: with its answer, or with word of whether its request can have reached the
//!   server;
//! - a caller that goes away leaves nothing behind; its answer is dropped when it comes;
//! - after any error the link is broken for good, and whoever comes next dials anew.

use bytes::{Bytes, BytesMut};
use nokv_proto::{Frame, PREFACE, decode_frame, encode_frame, v1};
use nokv_types::{Failure, Reason};
use parking_lot::Mutex;
use prost::Message;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Encoded requests that wait for the writer: callers beyond it wait their turn.
const QUEUE_FRAMES_MAX: usize = 256;
/// Frames that the writer joins in one write.
const JOINED_FRAMES_MAX: usize = 64;
/// Bytes above which a frame is written alone instead of being copied to others.
const JOINED_BYTES_MAX: usize = 64 << 10;
/// Room that a read gets.
const READ_BYTES: usize = 64 << 10;

/// How a call over a link failed.
#[derive(Debug)]
pub(crate) enum LinkError {
    /// The request never left.
    NotSent(Failure),
    /// The request may have arrived.
    Lost(Failure),
}

/// A live connection.
pub(crate) struct Link {
    queue: mpsc::Sender<Bytes>,
    waiting: Arc<Waiting>,
    next_id: AtomicU64,
    tasks: [JoinHandle<()>; 2],
}

/// Who waits for which answer; `None` once the link is broken.
struct Waiting(Mutex<Option<HashMap<u64, oneshot::Sender<v1::Response>>>>);

impl Link {
    /// Starts to speak over a fresh socket.
    ///
    /// **Errors**: `Unsupported` when the other side speaks something else, `Unavailable` when it
    /// goes away.
    pub(crate) async fn start<S>(mut socket: S, peer: &str) -> Result<Self, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        greet(&mut socket, peer).await?;
        let (reader, writer) = tokio::io::split(socket);
        let waiting = Arc::new(Waiting(Mutex::new(Some(HashMap::new()))));
        let (queue, frames) = mpsc::channel(QUEUE_FRAMES_MAX);
        let write = tokio::spawn(write_frames(writer, frames, Arc::clone(&waiting)));
        let read = tokio::spawn(read_frames(reader, Arc::clone(&waiting)));
        let next_id = AtomicU64::new(1);
        Ok(Self {
            queue,
            waiting,
            next_id,
            tasks: [write, read],
        })
    }

    /// Whether calls can still be made.
    pub(crate) fn is_alive(&self) -> bool {
        self.waiting.0.lock().is_some()
    }

    /// Sends a request and waits for its answer.
    pub(crate) async fn call(&self, request: &v1::Request) -> Result<v1::Response, LinkError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mut frame = BytesMut::new();
        if let Err(error) = encode_frame(id, request, &mut frame) {
            return Ok(Failure::new(Reason::TooLarge, error.to_string()).into());
        }
        let (sender, answer) = oneshot::channel();
        match &mut *self.waiting.0.lock() {
            Some(waiting) => drop(waiting.insert(id, sender)),
            None => return Err(LinkError::NotSent(broken())),
        }
        let _entry = Entry {
            waiting: &self.waiting,
            id,
        };
        if self.queue.send(frame.freeze()).await.is_err() {
            return Err(LinkError::NotSent(broken()));
        }
        answer.await.map_err(|_| LinkError::Lost(broken()))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Takes a caller off the list when it goes.
struct Entry<'a> {
    waiting: &'a Waiting,
    id: u64,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        if let Some(waiting) = &mut *self.waiting.0.lock() {
            waiting.remove(&self.id);
        }
    }
}

impl Waiting {
    /// The link is broken: everybody learns it.
    fn end(&self) {
        drop(self.0.lock().take());
    }
}

fn broken() -> Failure {
    Failure::new(
        Reason::Unavailable,
        "the connection to the server broke; is it still running?",
    )
}

async fn greet<S>(socket: &mut S, peer: &str) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let gone = |error: io::Error| {
        Failure::new(
            Reason::Unavailable,
            format!("{peer} closed the connection: {error}"),
        )
    };
    socket.write_all(&PREFACE).await.map_err(gone)?;
    let mut theirs = [0; PREFACE.len()];
    socket.read_exact(&mut theirs).await.map_err(gone)?;
    let ([name @ .., version], [own_name @ .., own_version]) = (theirs, PREFACE);
    if name != own_name {
        return Err(Failure::new(
            Reason::Unsupported,
            format!("{peer} is no NoKV server; check the address"),
        ));
    }
    if version != own_version {
        return Err(Failure::new(
            Reason::Unsupported,
            format!(
                "{peer} speaks version {version} of the protocol, this program {own_version}; use the same version of both"
            ),
        ));
    }
    Ok(())
}

async fn write_frames(
    mut socket: impl AsyncWrite + Unpin,
    mut frames: mpsc::Receiver<Bytes>,
    waiting: Arc<Waiting>,
) {
    let mut ready = Vec::with_capacity(JOINED_FRAMES_MAX);
    let mut joined = BytesMut::new();
    while frames.recv_many(&mut ready, JOINED_FRAMES_MAX).await > 0 {
        let written = write_ready(&mut socket, &mut ready, &mut joined).await;
        if let Err(error) = written {
            tracing::debug!(%error, "could not write to the server");
            break;
        }
    }
    waiting.end();
}

async fn write_ready(
    socket: &mut (impl AsyncWrite + Unpin),
    ready: &mut Vec<Bytes>,
    joined: &mut BytesMut,
) -> io::Result<()> {
    if let [only] = ready.as_slice() {
        socket.write_all(only).await?;
        ready.clear();
        return Ok(());
    }
    for frame in ready.drain(..) {
        if joined.len() + frame.len() > JOINED_BYTES_MAX && !joined.is_empty() {
            socket.write_all(joined).await?;
            joined.clear();
        }
        if frame.len() > JOINED_BYTES_MAX {
            socket.write_all(&frame).await?;
        } else {
            joined.extend_from_slice(&frame);
        }
    }
    socket.write_all(joined).await?;
    joined.clear();
    Ok(())
}

async fn read_frames(mut socket: impl AsyncRead + Unpin, waiting: Arc<Waiting>) {
    let mut input = BytesMut::new();
    loop {
        match decode_frame(&mut input) {
            Ok(Some(frame)) => {
                if !hand_over(frame, &waiting) {
                    break;
                }
                continue;
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "the server sent a frame that can't be read");
                break;
            }
        }
        input.reserve(READ_BYTES);
        match socket.read_buf(&mut input).await {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "could not read from the server");
                break;
            }
        }
    }
    waiting.end();
}

/// Gives an answer to its caller; whether the link can go on.
fn hand_over(frame: Frame, waiting: &Waiting) -> bool {
    let Ok(response) = v1::Response::decode(frame.message) else {
        tracing::warn!("the server sent an answer that can't be decoded");
        return false;
    };
    let mut waiting = waiting.0.lock();
    let Some(waiting) = &mut *waiting else {
        return false;
    };
    if let Some(caller) = waiting.remove(&frame.id) {
        // A caller that has gone away does not care.
        drop(caller.send(response));
    }
    true
}
