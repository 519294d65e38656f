//! Sessions under which the mount stores blocks.
//!
//! Invariant: a flush holds its session until its change is made, so a session is closed only when
//! nothing of it can still be published; a session lives at most [`SESSION_MILLIS`], so that what
//! failed flushes left behind is collected.

use crate::core::Core;
use nokv_client::{UploadOptions, UploadSession, Uploader};
use nokv_types::{Failure, SessionId};
use std::sync::Arc;

/// How long a session is given to new flushes.
const SESSION_MILLIS: u64 = 600_000;

/// The current session.
pub(crate) struct Uploads {
    current: tokio::sync::Mutex<Option<Arc<Upload>>>,
}

/// A session in use.
pub(super) struct Upload {
    /// Closed when the last flush lets go.
    session: UploadSession,
    pub(super) uploader: Uploader,
    began_at: u64,
}

impl Upload {
    pub(super) const fn session(&self) -> SessionId {
        self.session.id()
    }
}

impl Uploads {
    pub(crate) fn new() -> Self {
        Self {
            current: tokio::sync::Mutex::new(None),
        }
    }

    /// A session to store blocks under.
    pub(super) async fn upload(&self, core: &Core) -> Result<Arc<Upload>, Failure> {
        let mut current = self.current.lock().await;
        let now = core.monotonic_millis();
        if let Some(upload) = &*current
            && now.saturating_sub(upload.began_at) < SESSION_MILLIS
        {
            return Ok(Arc::clone(upload));
        }
        let mut session = UploadSession::open(&core.client).await?;
        let uploader = session.uploader(UploadOptions::default()).await?;
        let upload = Arc::new(Upload {
            session,
            uploader,
            began_at: now,
        });
        *current = Some(Arc::clone(&upload));
        Ok(upload)
    }

    /// Gives the current session up: it has expired, or the mount ends.
    pub(crate) async fn end(&self) {
        *self.current.lock().await = None;
    }
}
