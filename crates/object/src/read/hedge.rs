//! A second request for a read that takes too long: the first good answer counts.
//!
//! Object stores answer most requests soon and some very late, for reasons of one connection or one
//! machine; asking again reaches another.
//!
//! Invariants:
//! - no second request before enough answers of that size are known, nor before the wait that all
//!   but one in twenty of them took;
//! - second requests are at most one in ten of the first: a store that is slow as a whole is not
//!   asked twice as much;
//! - an error counts only when no answer is left to come.
//!
//! Source: Dean and Barroso, "The Tail at Scale", CACM 2013.

use crate::{BlockStore, Error};
use bytes::Bytes;
use nokv_types::BlockId;
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    ops::Range,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use tokio::time::Instant;

/// Answers remembered of each class of sizes.
const SAMPLES_MAX: usize = 128;
/// Answers that must be known before the first second request.
const SAMPLES_MIN: usize = 32;
/// Classes of sizes: to 64 KiB, 512 KiB, 4 MiB, and above. Within one, waiting depends on the store
/// more than on the bytes.
const CLASSES: usize = 4;
/// First requests that earn a second one.
const REQUESTS_PER_HEDGE: u32 = 10;
/// Earned requests that are kept: a burst of slow answers may use so many.
const EARNED_MAX: u32 = 16;

/// When to ask a second time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HedgeOptions {
    /// The shortest wait before a second request, whatever the store's answers took so far.
    pub wait_min: Duration,
}

impl Default for HedgeOptions {
    fn default() -> Self {
        Self {
            // Below this a second request gains less than it costs.
            wait_min: Duration::from_millis(5),
        }
    }
}

/// What is known of a store's answers.
pub(super) struct Hedge {
    options: HedgeOptions,
    classes: [Mutex<VecDeque<Duration>>; CLASSES],
    /// Second requests that may be sent, times [`REQUESTS_PER_HEDGE`].
    earned: AtomicU32,
}

impl Hedge {
    pub(super) fn new(options: HedgeOptions) -> Self {
        Self {
            options,
            classes: Default::default(),
            earned: AtomicU32::new(0),
        }
    }

    /// The object's bytes in a range, from whichever request brings them first.
    pub(super) async fn get(
        &self,
        store: &dyn BlockStore,
        block: BlockId,
        range: &Range<u32>,
    ) -> Result<Bytes, Error> {
        let class = class_of(range.len());
        let begun = Instant::now();
        self.earn();
        let first = store.get_range(block, range.clone());
        let Some(wait) = self.wait(class) else {
            return self.note(class, begun, first.await);
        };
        tokio::pin!(first);
        tokio::select! {
            biased;
            got = &mut first => return self.note(class, begun, got),
            () = tokio::time::sleep(wait) => {}
        }
        if !self.spend() {
            return self.note(class, begun, first.await);
        }
        tracing::debug!(%block, ?wait, "asking a second time for a slow read");
        let second_begun = Instant::now();
        let second = store.get_range(block, range.clone());
        tokio::pin!(second);
        tokio::select! {
            got = &mut first => match got {
                Ok(bytes) => self.note(class, begun, Ok(bytes)),
                Err(_) => self.note(class, second_begun, second.await),
            },
            got = &mut second => match got {
                Ok(bytes) => {
                    // The first took at least so long: without it slow answers would go unseen.
                    self.note(class, begun, Ok(()))?;
                    Ok(bytes)
                }
                Err(_) => self.note(class, begun, first.await),
            },
        }
    }

    /// How long a first request is waited for; `None` while too little is known.
    fn wait(&self, class: usize) -> Option<Duration> {
        let samples = self.classes.get(class)?.lock();
        if samples.len() < SAMPLES_MIN {
            return None;
        }
        let mut sorted: Vec<Duration> = samples.iter().copied().collect();
        drop(samples);
        let rank = sorted.len() * 19 / 20;
        let (_, nth, _) = sorted.select_nth_unstable(rank);
        Some((*nth).max(self.options.wait_min))
    }

    /// Remembers how long a good answer took.
    fn note<T>(&self, class: usize, begun: Instant, got: Result<T, Error>) -> Result<T, Error> {
        if got.is_ok()
            && let Some(samples) = self.classes.get(class)
        {
            let mut samples = samples.lock();
            if samples.len() >= SAMPLES_MAX {
                samples.pop_front();
            }
            samples.push_back(begun.elapsed());
        }
        got
    }

    fn earn(&self) {
        let most = EARNED_MAX * REQUESTS_PER_HEDGE;
        if self.earned.load(Ordering::Relaxed) < most {
            self.earned.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn spend(&self) -> bool {
        let less = |earned: u32| earned.checked_sub(REQUESTS_PER_HEDGE);
        let spent = self
            .earned
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        spent.is_ok()
    }
}

fn class_of(bytes: usize) -> usize {
    match bytes {
        0..=0x1_0000 => 0,
        0x1_0001..=0x8_0000 => 1,
        0x8_0001..=0x40_0000 => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BlockEntry, MemoryBlocks};
    use async_trait::async_trait;
    use nokv_types::SessionId;
    use std::sync::Arc;

    const BLOCK: BlockId = BlockId {
        session: SessionId::new(1),
        sequence: 0,
    };

    /// Answers at once, but for the calls that a rule says hang for ever.
    #[derive(Debug)]
    struct Hanging {
        store: Arc<MemoryBlocks>,
        calls: AtomicU32,
        hangs: fn(u32) -> bool,
    }

    #[async_trait]
    impl BlockStore for Hanging {
        async fn put(&self, block: BlockId, bytes: Bytes) -> Result<(), Error> {
            self.store.put(block, bytes).await
        }

        async fn get_range(&self, block: BlockId, range: Range<u32>) -> Result<Bytes, Error> {
            if (self.hangs)(self.calls.fetch_add(1, Ordering::Relaxed)) {
                std::future::pending::<()>().await;
            }
            self.store.get_range(block, range).await
        }

        async fn delete_many(&self, blocks: &[BlockId]) -> Result<(), Error> {
            self.store.delete_many(blocks).await
        }

        async fn list_session(&self, session: SessionId) -> Result<Vec<BlockEntry>, Error> {
            self.store.list_session(session).await
        }

        async fn list_sessions(&self) -> Result<Vec<SessionId>, Error> {
            self.store.list_sessions().await
        }

        async fn probe(&self) -> Result<(), Error> {
            self.store.probe().await
        }

        fn place(&self, block: BlockId) -> String {
            self.store.place(block)
        }
    }

    async fn hanging(hangs: fn(u32) -> bool) -> Hanging {
        let store = Arc::new(MemoryBlocks::new());
        let bytes = Bytes::from_static(b"0123456789");
        store.put(BLOCK, bytes).await.expect("stored");
        Hanging {
            store,
            calls: AtomicU32::new(0),
            hangs,
        }
    }

    fn hedge() -> Hedge {
        Hedge::new(HedgeOptions {
            wait_min: Duration::from_micros(10),
        })
    }

    #[tokio::test]
    async fn a_read_that_hangs_is_answered_by_the_second_request() {
        let (store, hedge) = (hanging(|call| call >= 100 && call % 20 == 0).await, hedge());
        for _ in 0..400 {
            let got = hedge.get(&store, BLOCK, &(2..5)).await.expect("an answer");
            assert_eq!(got, b"234"[..]);
        }
        assert!(
            store.calls.load(Ordering::Relaxed) > 400,
            "some were asked twice"
        );
    }

    #[tokio::test]
    async fn second_requests_are_few() {
        let (store, hedge) = (hanging(|_| false).await, hedge());
        for _ in 0..1_000 {
            hedge.earn();
        }
        let bursts = (0..1_000).filter(|_| hedge.spend()).count();
        assert_eq!(bursts, EARNED_MAX as usize);
        for _ in 0..500 {
            hedge.get(&store, BLOCK, &(0..9)).await.expect("an answer");
        }
        let calls = store.calls.load(Ordering::Relaxed);
        assert!(calls <= 500 + 500 / REQUESTS_PER_HEDGE, "{calls} calls");
    }

    #[tokio::test]
    async fn nothing_is_asked_twice_before_enough_is_known() {
        let (store, hedge) = (hanging(|_| false).await, hedge());
        for _ in 0..SAMPLES_MIN {
            assert_eq!(hedge.wait(0), None);
            hedge.get(&store, BLOCK, &(0..9)).await.expect("an answer");
        }
        assert!(hedge.wait(0).is_some());
        assert_eq!(store.calls.load(Ordering::Relaxed) as usize, SAMPLES_MIN);
    }
}
