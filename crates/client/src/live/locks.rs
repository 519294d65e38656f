//! Locking files.

use super::LiveSession;
use super::opens::finished;
use super::session::Live;
use super::state::State;
use nokv_namespace::{HeldLock, LockOutcome, LockPlace, LockRange, WantedLock};
use nokv_proto::v1::{self, request::Method, response::Result as Answer};
use nokv_server::wire;
use nokv_types::Failure;
use std::sync::Arc;

/// How long one request waits: well below the deadline of a call.
const WAIT_MS: u32 = 5_000;

impl LiveSession {
    /// Takes a lock, if that can be done now; else tells what is in the way. What the owner had of
    /// these bytes before gets the new kind.
    ///
    /// **Errors**: `SessionExpired`; `NotFound` for the node; `Unavailable` for a while after a
    /// restart of the server; `TooLarge`.
    pub async fn try_lock(&self, wanted: WantedLock) -> Result<Option<HeldLock>, Failure> {
        let live = Arc::clone(&self.live);
        finished(tokio::spawn(async move { live.try_lock(&wanted).await }).await)
    }

    /// Takes a lock, waiting for it as long as it takes: the first who waits gets it first.
    /// Dropping the future gives up; should the lock have been granted at that moment, it is
    /// given back.
    ///
    /// **Errors**: as [`Self::try_lock`]; `Deadlock` when those who hold the lock wait for this
    /// one.
    pub async fn lock(&self, wanted: WantedLock) -> Result<(), Failure> {
        let mut waiting = Waiting::new(&self.live, wanted);
        let outcome = waiting.live.wait_for_lock(waiting.number, &wanted).await;
        waiting.is_over = true;
        outcome
    }

    /// Gives back what an owner has of these bytes; nothing is no failure.
    pub async fn unlock(&self, place: LockPlace, range: LockRange) -> Result<(), Failure> {
        let live = Arc::clone(&self.live);
        finished(tokio::spawn(async move { live.unlock(place, range).await }).await)
    }

    /// The first lock that is in the way of this one, as `F_GETLK`.
    pub async fn test_lock(&self, wanted: &WantedLock) -> Result<Option<HeldLock>, Failure> {
        let live = &self.live;
        let method = |asker: v1::Asker| {
            Method::TestLock(v1::TestLockRequest {
                client: asker.client,
                lock: Some(wire::lock_to_wire(wanted)),
            })
        };
        let pick = |answer| match answer {
            Answer::TestLock(answer) => Some(answer),
            _ => None,
        };
        let tested = live.call(method, pick, |_, _| {}).await?;
        tested.held.map(wire::held_lock).transpose()
    }
}

impl Live {
    async fn try_lock(&self, wanted: &WantedLock) -> Result<Option<HeldLock>, Failure> {
        let number = self.state.lock().begin();
        let outcome = self.ask_for_lock(number, wanted, 0).await;
        self.state.lock().finish(number);
        match outcome? {
            LockOutcome::Granted | LockOutcome::Waiting => Ok(None),
            LockOutcome::Held(held) => Ok(Some(held)),
        }
    }

    async fn wait_for_lock(&self, number: u64, wanted: &WantedLock) -> Result<(), Failure> {
        loop {
            let outcome = self.ask_for_lock(number, wanted, WAIT_MS).await?;
            if outcome == LockOutcome::Granted {
                return Ok(());
            }
        }
    }

    async fn ask_for_lock(
        &self,
        number: u64,
        wanted: &WantedLock,
        wait_ms: u32,
    ) -> Result<LockOutcome, Failure> {
        let method = |asker| {
            Method::Lock(v1::LockRequest {
                asker: Some(asker),
                lock: Some(wire::lock_to_wire(wanted)),
                wait_ms,
            })
        };
        let pick = |answer| match answer {
            Answer::Lock(answer) => Some(answer),
            _ => None,
        };
        let keep = |state: &mut State, answer: &v1::LockResponse| {
            if answer.outcome() == v1::LockOutcome::Granted {
                state.add_lock(self.id, wanted);
            }
        };
        let answer = self.call_numbered(number, &method, pick, keep).await?;
        wire::lock_outcome(answer)
    }

    async fn unlock(&self, place: LockPlace, range: LockRange) -> Result<(), Failure> {
        self.state.lock().remove_lock(self.id, &place, range);
        let lock = WantedLock {
            place,
            process: 0,
            kind: nokv_namespace::LockKind::Shared,
            range,
        };
        let method = |asker| {
            Method::Unlock(v1::UnlockRequest {
                asker: Some(asker),
                lock: Some(wire::lock_to_wire(&lock)),
            })
        };
        let pick = |answer| match answer {
            Answer::Unlock(answer) => Some(answer),
            _ => None,
        };
        self.call(method, pick, |_, _| {}).await.map(drop)
    }

    /// Ends a request that waits.
    async fn give_up(&self, number: u64, wanted: WantedLock) -> Result<(), Failure> {
        let method = |asker| Method::GiveUpLock(v1::GiveUpLockRequest { asker: Some(asker) });
        let pick = |answer| match answer {
            Answer::Lock(answer) => Some(answer),
            _ => None,
        };
        let answer = self.call_numbered(number, &method, pick, |_, _| {}).await?;
        match answer.outcome() {
            v1::LockOutcome::Granted => self.unlock(wanted.place, wanted.range).await,
            _ => Ok(()),
        }
    }
}

/// A request that waits; gives up when it is dropped before its end.
struct Waiting {
    live: Arc<Live>,
    number: u64,
    wanted: WantedLock,
    is_over: bool,
}

impl Waiting {
    fn new(live: &Arc<Live>, wanted: WantedLock) -> Self {
        Self {
            live: Arc::clone(live),
            number: live.state.lock().begin(),
            wanted,
            is_over: false,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let (live, number, wanted) = (Arc::clone(&self.live), self.number, self.wanted);
        if self.is_over {
            live.state.lock().finish(number);
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(failure) = live.give_up(number, wanted).await {
                    tracing::debug!(%failure, "could not give up waiting for a lock");
                }
                live.state.lock().finish(number);
            });
        }
    }
}
