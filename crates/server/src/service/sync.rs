//! One fsync for all that wait.
//!
//! Invariant: who waits is released by a sync that began after it came, or by a failure.

use nokv_types::{Failure, Reason};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Lets many tasks share the syncs of a store.
#[derive(Clone)]
pub(super) struct SyncGroup {
    shared: Arc<Shared>,
}

struct Shared {
    sync: Box<dyn Fn() -> Result<(), Failure> + Send + Sync>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    /// Bounded by the requests in flight, of which each waits at most once.
    waiting: Vec<oneshot::Sender<Result<(), Failure>>>,
    is_running: bool,
}

impl SyncGroup {
    /// A group over `sync`, which blocks until everything applied before its call is on disk.
    pub(super) fn new(sync: impl Fn() -> Result<(), Failure> + Send + Sync + 'static) -> Self {
        let shared = Shared {
            sync: Box::new(sync),
            queue: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Waits until everything applied so far is on disk.
    ///
    /// **Errors**: `OutcomeUnknown`.
    pub(super) async fn wait(&self) -> Result<(), Failure> {
        let (sender, receiver) = oneshot::channel();
        let must_start = {
            let mut queue = self.shared.queue.lock();
            queue.waiting.push(sender);
            !std::mem::replace(&mut queue.is_running, true)
        };
        if must_start {
            let shared = Arc::clone(&self.shared);
            tokio::task::spawn_blocking(move || shared.run());
        }
        receiver.await.unwrap_or_else(|_| Err(unknown()))
    }
}

impl Shared {
    /// Syncs until nobody waits.
    fn run(&self) {
        loop {
            let waiting = {
                let mut queue = self.queue.lock();
                if queue.waiting.is_empty() {
                    queue.is_running = false;
                    return;
                }
                std::mem::take(&mut queue.waiting)
            };
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (self.sync)()));
            let result = result.unwrap_or_else(|_| Err(unknown()));
            for sender in waiting {
                // A caller that has gone away does not care.
                drop(sender.send(result.clone()));
            }
        }
    }
}

fn unknown() -> Failure {
    Failure::new(
        Reason::OutcomeUnknown,
        "the change was applied, its sync failed; repeat with the same request id",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_sync_covers_what_came_before_it_and_many_share_one() {
        let (applied, synced, count) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicU64::new(0)),
        );
        let group = SyncGroup::new({
            let (applied, synced, count) = (applied.clone(), synced.clone(), count.clone());
            move || {
                let covered = applied.load(Ordering::SeqCst);
                std::thread::yield_now();
                synced.fetch_max(covered, Ordering::SeqCst);
                count.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
        });
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..64 {
            let (group, applied, synced) = (group.clone(), applied.clone(), synced.clone());
            tasks.spawn(async move {
                for _ in 0..50 {
                    let mine = applied.fetch_add(1, Ordering::SeqCst) + 1;
                    group.wait().await.expect("synced");
                    assert!(synced.load(Ordering::SeqCst) >= mine);
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.expect("no assertion failed");
        }
        assert!(
            count.load(Ordering::SeqCst) < 64 * 50,
            "nobody shared a sync"
        );
    }

    #[tokio::test]
    async fn a_failed_or_panicking_sync_releases_all_with_a_failure() {
        let group = SyncGroup::new(|| panic!("the disk is on fire"));
        let failure = group.wait().await.expect_err("failed");
        assert_eq!(failure.reason(), Reason::OutcomeUnknown);
        assert!(group.wait().await.is_err(), "and it goes on");
    }
}
