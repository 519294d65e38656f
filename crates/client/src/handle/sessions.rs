//! The upload sessions of written files, shared by all open files of a client.
//!
//! Invariants:
//! - bytes written and not yet durable are at most `dirty_bytes_max`, over all files;
//! - a session lives as long as bytes in it wait to be named by a flush; after
//!   [`SESSION_BYTES_MAX`] or a pause the next write opens another, so that what was written over
//!   before it was flushed is collected soon.

use crate::Client;
use crate::session::UploadSession;
use nokv_object::{UploadOptions, Uploader};
use nokv_types::{Failure, SessionId};
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex as AsyncMutex, Semaphore};

/// Bytes after which the next write opens another session: the garbage that an open one can hold.
const SESSION_BYTES_MAX: u64 = 1 << 30;
/// Without a write for so long the session is ended: an open one costs a renewal now and then, a
/// new one an fsync of the server.
const IDLE_PAUSE: Duration = Duration::from_secs(15);

/// One session and its uploader.
pub(crate) struct WriteSession {
    session: Mutex<Option<UploadSession>>,
    id: SessionId,
    uploader: Uploader,
    bytes: AtomicU64,
    /// Whether it was used since somebody last looked.
    is_fresh: AtomicBool,
    /// Whether it must not be used any more.
    is_over: AtomicBool,
}

impl WriteSession {
    pub(crate) const fn id(&self) -> SessionId {
        self.id
    }

    pub(crate) const fn uploader(&self) -> &Uploader {
        &self.uploader
    }

    /// Counts bytes that are staged in it.
    pub(crate) fn count(&self, bytes: u64) {
        self.is_fresh.store(true, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Lets nobody begin in it.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.uploader.flush();
    }

    fn is_usable(&self) -> bool {
        let is_full = self.bytes.load(Ordering::Relaxed) >= SESSION_BYTES_MAX;
        !is_full && !self.is_over.load(Ordering::Relaxed)
    }

    async fn close(self: Arc<Self>) {
        self.end();
        let session = self.session.lock().take();
        if let Some(session) = session {
            session.close().await;
        }
    }
}

/// Where writes stage.
pub(crate) struct WriteSessions {
    client: Client,
    options: UploadOptions,
    memory: Arc<Semaphore>,
    /// Bytes in memory that are not being staged.
    unstaged_bytes: AtomicU64,
    current: AsyncMutex<Option<Arc<WriteSession>>>,
}

impl WriteSessions {
    /// Sessions of the store of `client`, within these limits.
    pub(crate) fn new(client: Client, options: UploadOptions) -> Self {
        let memory = Arc::new(Semaphore::new(options.memory_bytes_max as usize));
        Self {
            client,
            options,
            memory,
            unstaged_bytes: AtomicU64::new(0),
            current: AsyncMutex::new(None),
        }
    }

    pub(crate) const fn options(&self) -> &UploadOptions {
        &self.options
    }

    /// One permit for each byte that may be dirty.
    pub(crate) const fn memory(&self) -> &Arc<Semaphore> {
        &self.memory
    }

    /// Notes how many bytes in memory a file has that are not being staged.
    pub(crate) fn note_unstaged(&self, before: u64, now: u64) {
        self.unstaged_bytes.fetch_add(now, Ordering::Relaxed);
        self.unstaged_bytes.fetch_sub(before, Ordering::Relaxed);
    }

    /// Whether so much is not being staged that waiting for what is would take long.
    pub(crate) fn is_pressed(&self) -> bool {
        let unstaged = self.unstaged_bytes.load(Ordering::Relaxed);
        unstaged > u64::from(self.options.memory_bytes_max / 2)
    }

    /// The session to stage in.
    pub(crate) async fn current(self: &Arc<Self>) -> Result<Arc<WriteSession>, Failure> {
        let mut current = self.current.lock().await;
        if let Some(session) = &*current {
            if session.is_usable() {
                return Ok(Arc::clone(session));
            }
            // What was packed in it must not wait for more.
            session.end();
        }
        let mut session = UploadSession::open(&self.client).await?;
        let memory = Arc::clone(&self.memory);
        let uploader = session.uploader_with(self.options, memory).await?;
        let opened = Arc::new(WriteSession {
            id: session.id(),
            session: Mutex::new(Some(session)),
            uploader,
            bytes: AtomicU64::new(0),
            is_fresh: AtomicBool::new(true),
            is_over: AtomicBool::new(false),
        });
        if current.replace(Arc::clone(&opened)).is_none() {
            tokio::spawn(tidy(Arc::clone(self)));
        }
        Ok(opened)
    }

    /// Sends what waits to share an object with more.
    pub(crate) async fn hurry(&self) {
        if let Some(session) = &*self.current.lock().await {
            session.uploader.flush();
        }
    }

    /// Ends the session if it was not used since this was last asked. Whether there is none now.
    async fn tidy(&self) -> bool {
        let mut current = self.current.lock().await;
        let is_idle = |session: &mut Arc<WriteSession>| {
            !session.is_fresh.swap(false, Ordering::Relaxed) && Arc::strong_count(session) == 1
        };
        if let Some(idle) = current.take_if(is_idle) {
            idle.close().await;
        }
        current.is_none()
    }

    /// Ends the session, unless somebody's bytes wait in it: then it ends with them.
    pub(crate) async fn close(&self) {
        let current = self.current.lock().await.take();
        if let Some(session) = current {
            session.end();
            if Arc::strong_count(&session) == 1 {
                session.close().await;
            }
        }
    }
}

/// Ends sessions that nobody uses, until there is none.
async fn tidy(sessions: Arc<WriteSessions>) {
    loop {
        tokio::time::sleep(IDLE_PAUSE).await;
        if sessions.tidy().await {
            return;
        }
    }
}

impl fmt::Debug for WriteSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WriteSessions")
    }
}
