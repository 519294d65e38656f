//! An upload session that keeps itself alive.
//!
//! Invariants: it is renewed as long as this lives; when this is dropped without
//! [`UploadSession::close`] (an error, Ctrl-C) it is closed in the background, which
//! [`Client::close`] waits for, and expires at the latest; one that is to be resumed stays open
//! until it expires. It is closed only when no upload is
//! under way: what arrived after the sweep that follows would stay for ever.

use crate::Client;
use nokv_object::{UploadOptions, Uploader};
use nokv_types::{Failure, SessionId};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Life of a session unless renewed: a client that is cut off leaves its blocks to the collector
/// after it.
const TTL_MS: u32 = 300_000;
/// Renewals in the life of a session: two may fail before it is too late.
const RENEWALS_PER_TTL: u64 = 3;

/// For uploads under way, when a session ends before them: an object store that does not answer
/// holds nobody up longer.
const STOP_WAIT_MAX: Duration = Duration::from_secs(5);

/// An open upload session, for bodies that are published by their callers.
pub struct UploadSession {
    client: Client,
    id: SessionId,
    renewal: JoinHandle<()>,
    uploader: Option<Uploader>,
    at_drop: AtDrop,
}

/// What becomes of a session that was not closed when it is dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum AtDrop {
    /// It is closed in the background.
    Close,
    /// It stays open until it expires; also when it was closed already.
    Leave,
}

impl UploadSession {
    /// Opens a session. **Errors**: those of every call.
    pub async fn open(client: &Client) -> Result<Self, Failure> {
        let id = client.open_session(TTL_MS).await?.id;
        Ok(Self::keep(client, id, TTL_MS, AtDrop::Close))
    }

    /// Opens a session that stays open for so long when this is dropped, to be resumed.
    pub(crate) async fn open_for(client: &Client, ttl_ms: u32) -> Result<Self, Failure> {
        let id = client.open_session(ttl_ms).await?.id;
        Ok(Self::keep(client, id, ttl_ms, AtDrop::Leave))
    }

    /// Takes up a session that [`Self::open_for`] opened, in this process or another.
    ///
    /// **Errors**: `SessionExpired`.
    pub(crate) async fn resume(
        client: &Client,
        id: SessionId,
        ttl_ms: u32,
    ) -> Result<Self, Failure> {
        client.renew_session(id, ttl_ms).await?;
        Ok(Self::keep(client, id, ttl_ms, AtDrop::Leave))
    }

    fn keep(client: &Client, id: SessionId, ttl_ms: u32, at_drop: AtDrop) -> Self {
        let renewed = client.clone();
        let pause = Duration::from_millis(u64::from(ttl_ms) / RENEWALS_PER_TTL);
        let renewal = tokio::spawn(async move {
            loop {
                tokio::time::sleep(pause).await;
                if let Err(failure) = renewed.renew_session(id, ttl_ms).await {
                    tracing::warn!(session_id = id.get(), %failure, "could not renew an upload session");
                }
            }
        });
        Self {
            client: client.clone(),
            id,
            renewal,
            uploader: None,
            at_drop,
        }
    }

    /// Its id: what a publish of its blocks names.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// The one uploader of the session: ask for it once, and clone it.
    ///
    /// **Errors**: `Unavailable` when the object store can't be reached.
    pub async fn uploader(&mut self, options: UploadOptions) -> Result<Uploader, Failure> {
        let files = Arc::clone(&self.client.shared.env.files);
        let blocks = self.client.blocks().await?;
        let uploader = Uploader::new(files, blocks, self.id, options)?;
        self.uploader = Some(uploader.clone());
        Ok(uploader)
    }

    /// The same with memory that it shares with others.
    pub(crate) async fn uploader_with(
        &mut self,
        options: UploadOptions,
        memory: Arc<Semaphore>,
    ) -> Result<Uploader, Failure> {
        let files = Arc::clone(&self.client.shared.env.files);
        let blocks = self.client.blocks().await?;
        let uploader = Uploader::with_memory(files, blocks, self.id, options, memory)?;
        self.uploader = Some(uploader.clone());
        Ok(uploader)
    }

    /// Ends the session. A failure costs only that it ends later, by itself.
    pub async fn close(mut self) {
        self.at_drop = AtDrop::Leave;
        let uploader = self.uploader.take();
        end(&self.client, self.id, uploader).await;
    }
}

impl fmt::Debug for UploadSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadSession")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Closes a session whose uploads have ended; else it expires by itself.
async fn end(client: &Client, id: SessionId, uploader: Option<Uploader>) {
    if let Some(uploader) = uploader {
        let stop = uploader.stop();
        if tokio::time::timeout(STOP_WAIT_MAX, stop).await.is_err() {
            tracing::debug!(
                session_id = id.get(),
                "uploads that do not end: left to expire"
            );
            return;
        }
    }
    if let Err(failure) = client.close_session(id).await {
        tracing::debug!(session_id = id.get(), %failure, "could not close a session");
    }
}

impl Drop for UploadSession {
    fn drop(&mut self) {
        self.renewal.abort();
        if self.at_drop == AtDrop::Leave {
            return;
        }
        let (client, id) = (self.client.clone(), self.id);
        let uploader = self.uploader.take();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let shared = Arc::clone(&client.shared);
            let ending = async move { end(&client, id, uploader).await };
            let mut endings = shared.endings.lock();
            // Those that are through must not pile up in a client that lives long.
            while endings.try_join_next().is_some() {}
            endings.spawn_on(ending, &runtime);
        }
    }
}
