//! The end of client sessions: looks every half second whose time is over.
//!
//! Invariants: it runs as long as the store is open, whatever other background work does; it stops
//! when told, and with it all waiting for locks; it holds the store only while it works.

use super::store::{Inner, on_blocking_thread};
use parking_lot::Mutex;
use std::sync::Weak;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Between two looks: so much longer than its time to live may a session last.
const PAUSE: Duration = Duration::from_millis(500);

/// The task, until stopped.
pub(super) struct Leases {
    stop: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Default for Leases {
    fn default() -> Self {
        let (stop, _) = watch::channel(false);
        Self {
            stop,
            task: Mutex::new(None),
        }
    }
}

impl Leases {
    pub(super) fn start(&self, store: Weak<Inner>) {
        let mut stopped = self.stop.subscribe();
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = stopped.changed() => return,
                    () = tokio::time::sleep(PAUSE) => {}
                }
                let Some(inner) = store.upgrade() else { return };
                let namespace = inner.namespace.clone();
                drop(inner);
                match on_blocking_thread(move || namespace.expire_clients()).await {
                    Ok(0) => {}
                    Ok(count) => tracing::info!(count, "client sessions are over"),
                    Err(failure) => {
                        tracing::warn!(%failure, "client sessions could not be ended; tried again");
                    }
                }
            }
        });
        *self.task.lock() = Some(task);
    }

    /// When all waiting is to end.
    pub(super) async fn stopped(&self) {
        let mut stopped = self.stop.subscribe();
        // It fails only when the sender is gone, and that is this.
        drop(stopped.wait_for(|stopped| *stopped).await);
    }

    /// Ends all waiting.
    pub(super) fn end_waiting(&self) {
        self.stop.send_replace(true);
    }

    /// Stops it and waits until it has.
    pub(super) async fn stop(&self) {
        self.end_waiting();
        let task = self.task.lock().take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the task that ends client sessions panicked");
        }
    }
}
