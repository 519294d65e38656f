//! Background work of an open store: rounds of the collector, which reclaims, ages the log and
//! deletes objects.
//!
//! Invariants: it stops when told, between two bounded steps; a failed round is logged once and
//! tried again at the next turn; it holds the store only while it works, so a store that is dropped
//! is not kept open.

use super::store::Inner;
use crate::Collected;
use nokv_types::Failure;
use std::sync::Weak;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The task, until stopped.
pub(super) struct Maintenance {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Maintenance {
    /// Starts a round every `interval_ms`, the first after one interval.
    pub(super) fn start(store: Weak<Inner>, interval_ms: u64) -> Self {
        let (stop, mut stopped) = watch::channel(false);
        let interval = Duration::from_millis(interval_ms.max(1));
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = stopped.changed() => return,
                    () = tokio::time::sleep(interval) => {}
                }
                let Some(inner) = store.upgrade() else { return };
                tokio::select! {
                    _ = stopped.changed() => return,
                    collected = inner.collect(None) => report(&collected),
                }
            }
        });
        Self { stop, task }
    }

    /// Stops it and waits until it has.
    pub(super) async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "background work panicked");
        }
    }
}

fn report(collected: &Result<Collected, Failure>) {
    match collected {
        Ok(collected) if *collected == Collected::default() => {}
        Ok(collected) => tracing::info!(
            session_count = collected.session_count,
            body_count = collected.body_count,
            object_count = collected.object_count,
            failed_count = collected.failed_count,
            "collected"
        ),
        Err(failure) => tracing::warn!(%failure, "collection failed, it goes on at the next turn"),
    }
}

impl Inner {
    /// Collects what nothing can see any more. Goes on as long as a round leaves work and gets some
    /// done.
    pub(super) async fn collect(&self, retention_ms: Option<u64>) -> Result<Collected, Failure> {
        let mut collected = Collected::default();
        loop {
            let report = match retention_ms {
                Some(retention_ms) => self.collector.round_within(retention_ms).await?,
                None => self.collector.round().await?,
            };
            if let Some(error) = &report.first_error {
                tracing::warn!(%error, "the object store refused a part of the collection");
            }
            collected.session_count += report.swept_sessions;
            collected.body_count += report.reclaimed_bodies;
            collected.object_count += report.deleted_objects;
            collected.failed_count = report.failed_objects + report.failed_sessions;
            let has_done = report.swept_sessions
                + report.reclaimed_entries
                + report.reclaimed_bodies
                + report.deleted_objects;
            if !report.more || has_done == 0 {
                return Ok(collected);
            }
        }
    }
}
