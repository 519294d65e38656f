//! Background work of an open store: reclaims what removed trees leave, ages the log, collects objects.
//!
//! Invariants: it stops when told, between two bounded steps; a failed round is logged once and tried again at the next
//! turn; it holds the store only while it works, so a store that is dropped is not kept open.

use super::store::{Inner, on_blocking_thread};
use crate::Collected;
use nokv_types::Failure;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Records that one step of reclaiming touches: some milliseconds of the log.
const STEP_RECORDS_MAX: usize = 2_000;
/// Steps of one round; what is left waits for the next, so that stopping never waits long.
const ROUND_STEPS_MAX: usize = 500;

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
    /// One round: reclaims in bounded steps, then deletes what nothing needs.
    pub(super) async fn collect(
        self: &Arc<Self>,
        retention_ms: Option<u64>,
    ) -> Result<Collected, Failure> {
        let mut collected = Collected::default();
        for _ in 0..ROUND_STEPS_MAX {
            let namespace = self.namespace.clone();
            let step = on_blocking_thread(move || match retention_ms {
                Some(retention_ms) => namespace.reclaim_within(STEP_RECORDS_MAX, retention_ms),
                None => namespace.reclaim(STEP_RECORDS_MAX),
            });
            let reclaimed = step.await?;
            collected.body_count += reclaimed.bodies;
            if !reclaimed.more {
                break;
            }
        }
        Ok(collected)
    }
}
