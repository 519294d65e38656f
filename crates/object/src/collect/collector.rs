//! The collector: one round after another, one at a time.
//!
//! Invariants: a phase that fails does not keep the others from their turn; a round that is dropped
//! at any point leaves nothing that the next does not repair.

use super::{
    compact::{Compaction, Urgency},
    ledger::Ledger,
    options::CollectOptions,
    orphans::OrphanLook,
    report::Report,
};
use crate::{BlockStore, Error, blocking};
use nokv_env::Clock;
use nokv_namespace::Namespace;
use nokv_types::{BlockId, Failure, SessionId};
use std::{fmt, sync::Arc};
use tokio::sync::Mutex;

/// Deletes what nobody can see any more.
///
/// **Concurrency**: cheap to clone; clones share the state, and rounds wait for each other. Beside
/// it the store is used as always. A second collector over the same store does no harm, only double
/// work. Needs a tokio runtime.
#[derive(Clone)]
pub struct Collector {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    ledger: Arc<dyn Ledger>,
    pub(super) blocks: Arc<dyn BlockStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) options: CollectOptions,
    state: Mutex<State>,
}

/// What rounds tell later rounds. Losing it loses places in lists and the ages of orphans, nothing
/// else.
#[derive(Default)]
pub(super) struct State {
    /// The last session of a lap that was broken off.
    pub(super) swept_after: Option<SessionId>,
    /// The last object of a lap that was broken off.
    pub(super) doomed_after: Option<BlockId>,
    pub(super) compaction: Compaction,
    pub(super) orphans: OrphanLook,
}

/// A round under way.
pub(super) struct Round<'a> {
    pub(super) inner: &'a Inner,
    pub(super) state: &'a mut State,
    pub(super) report: Report,
    /// Objects that may still be deleted.
    pub(super) objects_left: usize,
    /// Calls that the object store refused.
    pub(super) refusals: u32,
    /// The last of them that nothing succeeded after.
    pub(super) outages: u32,
}

impl Collector {
    /// A collector of a store. `blocks` should repeat what may succeed later
    /// ([`crate::RetryingBlocks`]); `clock` is the namespace's.
    #[must_use]
    pub fn new(
        namespace: Namespace,
        blocks: Arc<dyn BlockStore>,
        clock: Arc<dyn Clock>,
        options: CollectOptions,
    ) -> Self {
        Self::over(Arc::new(namespace), blocks, clock, options)
    }

    pub(crate) fn over(
        ledger: Arc<dyn Ledger>,
        blocks: Arc<dyn BlockStore>,
        clock: Arc<dyn Clock>,
        options: CollectOptions,
    ) -> Self {
        let state = Mutex::default();
        Self {
            inner: Arc::new(Inner {
                ledger,
                blocks,
                clock,
                options,
                state,
            }),
        }
    }

    /// One round: sweeps sessions that are over, drops references of bodies that only the past can
    /// see, deletes objects without references, empties objects that are mostly dead, looks for
    /// orphans.
    ///
    /// **Guarantees**: bounded by the options; what is referenced, or belongs to an open session,
    /// is never deleted. May be dropped at any point.
    /// **Errors**: [`Error::Namespace`], after all phases had their turn. What the object store
    /// refuses is no error of the round: it is in [`Report::first_error`], and the rest goes
    /// on.
    pub async fn round(&self) -> Result<Report, Error> {
        self.run(None).await
    }

    /// The same with another retention for this round: 0 takes all that only the past can see.
    ///
    /// **Errors**: as [`Self::round`].
    pub async fn round_within(&self, retention_ms: u64) -> Result<Report, Error> {
        self.run(Some(retention_ms)).await
    }

    async fn run(&self, retention_ms: Option<u64>) -> Result<Report, Error> {
        let mut state = self.inner.state.lock().await;
        let mut round = Round {
            inner: &self.inner,
            objects_left: self.inner.options.objects_max,
            state: &mut state,
            report: Report::default(),
            refusals: 0,
            outages: 0,
        };
        // Sweeping comes first: doomed objects wait until their session is finished.
        let swept = round.sweep_sessions().await;
        let reclaimed = round.reclaim(retention_ms).await;
        let deleted = round.delete_doomed().await;
        let urgency = match retention_ms {
            None => Urgency::Routine,
            Some(_) => Urgency::Asked,
        };
        let compacted = round.compact(urgency).await;
        let looked = round.look_for_orphans().await;
        swept
            .and(reclaimed)
            .and(deleted)
            .and(compacted)
            .and(looked)?;
        Ok(round.report)
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector")
            .field("blocks", &self.inner.blocks)
            .field("options", &self.inner.options)
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// Asks the namespace, on a thread that may block.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Ledger) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Error> {
        let ledger = Arc::clone(&self.ledger);
        blocking(move || question(&*ledger).map_err(Error::from)).await
    }
}

impl Round<'_> {
    /// Drops the references of bodies that no retained version sees.
    async fn reclaim(&mut self, retention_ms: Option<u64>) -> Result<(), Error> {
        let step_records_max = self.inner.options.step_records_max;
        for _ in 0..self.inner.options.steps_max {
            let step = self
                .inner
                .ask(move |ledger| ledger.reclaim(step_records_max, retention_ms));
            let reclaimed = step.await?;
            self.report.reclaimed_entries += reclaimed.entries;
            self.report.reclaimed_bodies += reclaimed.bodies;
            self.report.retained_bodies = reclaimed.retained;
            if !reclaimed.more {
                return Ok(());
            }
        }
        self.report.more = true;
        Ok(())
    }
}
