//! Patience around a store: repeats what may succeed later.
//!
//! Every operation of a [`BlockStore`] is idempotent (ids are never reused, absent counts as
//! deleted), so all may be repeated, also when an acknowledgement was lost. Invariants:
//! - only [`Error::Unavailable`] is repeated, at most until the deadline of the whole call;
//! - waits double from `wait_ms_min` to `wait_ms_max`, each drawn evenly between half and all of
//!   it, so that clients that failed together do not come back together;
//! - a budget per class of operation keeps a store that is down from being flooded: each repetition
//!   takes a token, each success gives a tenth back; without tokens the error is returned at once.
//!
//! This is the only place that repeats: the `object_store` crate's own retries are off, so they
//! can't multiply.

use crate::{BlockEntry, BlockStore, Error};
use async_trait::async_trait;
use bytes::Bytes;
use nokv_env::Random;
use nokv_types::{BlockId, SessionId};
use std::{
    fmt,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// Tenths of a token in a full budget: 100 repetitions in a row over all callers.
const BUDGET_TENTHS_MAX: u32 = 1_000;
/// Tenths that a repetition takes.
const RETRY_TENTHS: u32 = 10;

/// How long and how often to try.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetryOptions {
    /// After this no repetition is begun.
    pub deadline: Duration,
    /// The first wait.
    pub wait_min: Duration,
    /// The longest wait.
    pub wait_max: Duration,
    /// Attempts in all, the first included.
    pub attempts_max: u32,
}

impl Default for RetryOptions {
    fn default() -> Self {
        Self {
            // Longer than a restart of a server or a failover takes, shorter than a person waits.
            deadline: Duration::from_secs(60),
            wait_min: Duration::from_millis(50),
            wait_max: Duration::from_secs(5),
            attempts_max: 20,
        }
    }
}

/// A store that repeats what another could not do at once.
pub struct RetryingBlocks {
    store: Arc<dyn BlockStore>,
    random: Arc<dyn Random>,
    options: RetryOptions,
    reads: Budget,
    writes: Budget,
    lists: Budget,
}

/// Tokens for repetitions.
struct Budget(AtomicU32);

impl Budget {
    const fn full() -> Self {
        Self(AtomicU32::new(BUDGET_TENTHS_MAX))
    }

    fn take(&self) -> bool {
        let less = |tenths: u32| tenths.checked_sub(RETRY_TENTHS);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
    }

    fn give_back(&self) {
        if self.0.load(Ordering::Relaxed) < BUDGET_TENTHS_MAX {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl RetryingBlocks {
    /// Patience around `store`; `random` spreads the waits.
    #[must_use]
    pub fn new(store: Arc<dyn BlockStore>, random: Arc<dyn Random>, options: RetryOptions) -> Self {
        let (reads, writes, lists) = (Budget::full(), Budget::full(), Budget::full());
        Self {
            store,
            random,
            options,
            reads,
            writes,
            lists,
        }
    }

    async fn repeat<T, F>(
        &self,
        budget: &Budget,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let deadline = Instant::now() + self.options.deadline;
        let mut wait = self.options.wait_min;
        for tried in 1.. {
            let error = match attempt().await {
                Ok(value) => {
                    budget.give_back();
                    return Ok(value);
                }
                Err(error) => error,
            };
            let pause = self.jitter(wait);
            if !error.is_retryable()
                || tried >= self.options.attempts_max
                || Instant::now() + pause > deadline
                || !budget.take()
            {
                return Err(error);
            }
            tracing::debug!(%error, tried, "repeating an operation on the object store");
            tokio::time::sleep(pause).await;
            wait = (wait * 2).min(self.options.wait_max);
        }
        unreachable!("the loop has no bound but its attempts")
    }

    /// Between half of a wait and all of it.
    fn jitter(&self, wait: Duration) -> Duration {
        let half = u64::try_from(wait.as_micros() / 2).unwrap_or(u64::MAX / 2);
        Duration::from_micros(half + self.random.next_u64() % (half + 1))
    }
}

impl fmt::Debug for RetryingBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.store, f)
    }
}

#[async_trait]
impl BlockStore for RetryingBlocks {
    async fn put(&self, block: BlockId, bytes: Bytes) -> Result<(), Error> {
        self.repeat(&self.writes, || self.store.put(block, bytes.clone()))
            .await
    }

    async fn get_range(&self, block: BlockId, range: Range<u32>) -> Result<Bytes, Error> {
        self.repeat(&self.reads, || self.store.get_range(block, range.clone()))
            .await
    }

    async fn delete_many(&self, blocks: &[BlockId]) -> Result<(), Error> {
        self.repeat(&self.writes, || self.store.delete_many(blocks))
            .await
    }

    async fn list_session(&self, session: SessionId) -> Result<Vec<BlockEntry>, Error> {
        self.repeat(&self.lists, || self.store.list_session(session))
            .await
    }

    async fn list_sessions(&self) -> Result<Vec<SessionId>, Error> {
        self.repeat(&self.lists, || self.store.list_sessions())
            .await
    }

    async fn forget_session(&self, session: SessionId) -> Result<(), Error> {
        self.repeat(&self.writes, || self.store.forget_session(session))
            .await
    }

    /// Not repeated: whoever starts a store wants to know now.
    async fn probe(&self) -> Result<(), Error> {
        self.store.probe().await
    }

    fn place(&self, block: BlockId) -> String {
        self.store.place(block)
    }
}
