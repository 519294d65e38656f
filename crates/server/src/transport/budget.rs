//! Bytes in memory, over all connections.
//!
//! Invariant: large requests and answers hold their share from before their memory is taken until
//! they are done with it. Nobody waits for a share while holding one that only the waiting could
//! free: an answer's share is asked for by a task of its own, and a peer that stalls is dropped.

use super::limits::{BUDGET_BYTES, LARGE_BYTES};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of one permit, so that the whole fits the semaphore's count and a share fits 32 bits.
const UNIT_BYTES: usize = 1 << 10;

/// A share of the budget, until dropped.
pub(super) type Share = OwnedSemaphorePermit;

/// The budget of a server.
#[derive(Clone)]
pub(super) struct Budget(Arc<Semaphore>);

impl Budget {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(BUDGET_BYTES / UNIT_BYTES)))
    }

    /// Waits for a share of `bytes`, at most the whole; `None` at once when so few bytes need none.
    pub(super) async fn share(&self, bytes: usize) -> Option<Share> {
        if bytes < LARGE_BYTES {
            return None;
        }
        let units = bytes.min(BUDGET_BYTES).div_ceil(UNIT_BYTES);
        let units = u32::try_from(units).expect("the whole budget is some hundred thousand units");
        let share = Arc::clone(&self.0).acquire_many_owned(units).await;
        Some(share.expect("the semaphore is never closed"))
    }
}
