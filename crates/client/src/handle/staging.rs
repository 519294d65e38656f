//! Bytes on their way into an object, while reads and later writes go on.
//!
//! Invariant: the bytes stay here, readable, until their object is durable, and stay when that
//! fails: what was written is lost only with the process.

use super::sessions::{WriteSession, WriteSessions};
use bytes::Bytes;
use nokv_object::SubtreeHash;
use nokv_types::{Extent, Failure, Unit};
use parking_lot::Mutex;
use std::fmt;
use std::sync::{Arc, OnceLock};
use tokio::sync::{OwnedSemaphorePermit, watch};

/// How far it is.
#[derive(Clone)]
pub(crate) enum Progress {
    /// Not yet given to the uploader.
    Waiting(Bytes),
    /// Given to it; what shares an object waits for that to be full.
    Placed(Bytes),
    /// Durable.
    Stored(Unit, SubtreeHash),
    /// Not to be had; the bytes are to be staged again.
    Failed(Bytes, Failure),
}

/// Why bytes of a file could not be stored, until somebody is told.
pub(crate) type Trouble = Mutex<Option<Failure>>;

/// At most a block of bytes, immutable, being uploaded.
pub(crate) struct Staging {
    offset: u64,
    bytes: u32,
    progress: watch::Sender<Progress>,
    session: OnceLock<Arc<WriteSession>>,
}

impl Staging {
    /// Starts to upload the bytes at `offset` of a file; `memory` is their reservation.
    pub(crate) fn start(
        sessions: &Arc<WriteSessions>,
        trouble: &Arc<Trouble>,
        offset: u64,
        bytes: Bytes,
        memory: Option<OwnedSemaphorePermit>,
    ) -> Arc<Self> {
        let (progress, _) = watch::channel(Progress::Waiting(bytes.clone()));
        let staging = Arc::new(Self {
            offset,
            bytes: u32::try_from(bytes.len()).expect("a staging is at most a block"),
            progress,
            session: OnceLock::new(),
        });
        let (running, sessions) = (Arc::clone(&staging), Arc::clone(sessions));
        let trouble = Arc::clone(trouble);
        tokio::spawn(async move {
            let progress = match running.upload(&sessions, bytes.clone(), memory).await {
                Ok((unit, hash)) => Progress::Stored(unit, hash),
                Err(failure) => {
                    *trouble.lock() = Some(failure.clone());
                    Progress::Failed(bytes, failure)
                }
            };
            running.progress.send_replace(progress);
        });
        staging
    }

    async fn upload(
        &self,
        sessions: &Arc<WriteSessions>,
        bytes: Bytes,
        memory: Option<OwnedSemaphorePermit>,
    ) -> Result<(Unit, SubtreeHash), Failure> {
        let session = sessions.current().await?;
        let session = self.session.get_or_init(|| session);
        session.count(bytes.len() as u64);
        let placed = Progress::Placed(bytes.clone());
        let staged = session.uploader().upload_unit(bytes, self.offset, memory);
        let staged = staged.await?;
        self.progress.send_replace(placed);
        Ok(staged.durable().await?)
    }

    /// How far it is now.
    pub(crate) fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    /// The session whose uploader has it; unset while it waits for one.
    pub(crate) fn session(&self) -> Option<&Arc<WriteSession>> {
        self.session.get()
    }

    /// Waits until the uploader has it.
    pub(crate) async fn placed(&self) {
        let is_placed = |progress: &Progress| !matches!(progress, Progress::Waiting(_));
        self.wait(is_placed).await;
    }

    /// Waits until it is durable, or failed.
    pub(crate) async fn ended(&self) {
        let is_over =
            |progress: &Progress| matches!(progress, Progress::Stored(..) | Progress::Failed(..));
        self.wait(is_over).await;
    }

    async fn wait(&self, until: impl FnMut(&Progress) -> bool) {
        let mut receiver = self.progress.subscribe();
        // The sender lives in `self`, so the channel is open.
        drop(receiver.wait_for(until).await);
    }

    /// The whole of it.
    pub(crate) const fn len(&self) -> u32 {
        self.bytes
    }

    /// The hash of the bytes, if they are those of this offset and the object is durable.
    pub(crate) fn hash_at(&self, offset: u64) -> Option<SubtreeHash> {
        match *self.progress.borrow() {
            Progress::Stored(_, hash) if offset == self.offset => Some(hash),
            _ => None,
        }
    }

    /// An extent that shows `length` bytes from `skip` at `body_offset`, if the object is durable.
    pub(crate) fn extent(&self, body_offset: u64, skip: u32, length: u32) -> Option<Extent> {
        match *self.progress.borrow() {
            Progress::Stored(unit, _) => Some(Extent {
                body_offset,
                length,
                skip,
                unit,
            }),
            _ => None,
        }
    }
}

impl fmt::Debug for Staging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Staging")
            .field("offset", &self.offset)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}
