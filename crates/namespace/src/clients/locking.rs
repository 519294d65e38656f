//! What sessions have locked, and what they wait for.

use super::done::Outcome;
use super::state::{Clients, LockAnswer, State, Visit, Wake};
use crate::Asker;
use crate::locks::{Asked, HeldLock, LockKey, LockOwner, LockRange, Request, WaitId};
use nokv_types::{Failure, Reason};
use std::time::Duration;

/// How long one who waits for a lock keeps his place between two requests: several times what a
/// network takes, and so long a client that is dead holds up others at most.
const AWAY_MAX: Duration = Duration::from_secs(5);

impl Clients {
    /// Asks for a lock, or goes on waiting for one.
    pub(crate) fn lock(
        &self,
        asker: Asker,
        (key, wanted): (LockKey, HeldLock),
        wake: Option<Wake>,
        now: Duration,
    ) -> Result<LockAnswer, Failure> {
        self.with(|state| state.lock(asker, (key, wanted), wake, now))
    }

    /// The request of one who waits is over: he keeps his place for a while if he can come back.
    /// False when he was woken meanwhile.
    pub(crate) fn leave(&self, visit: Visit, now: Duration) -> bool {
        self.with(|state| {
            let id = visit.id;
            let Some(waiter) = state.waiters.get_mut(&id) else {
                return false;
            };
            if waiter.visits != visit.number {
                // He came back by another request meanwhile.
                return true;
            }
            waiter.wake = None;
            if waiter.number == 0 {
                state.locks.end_wait(id);
                state.forget_waiter(id);
            } else {
                state.locks.leave(id, now + AWAY_MAX);
            }
            true
        })
    }

    /// Ends the waiting of a numbered request; what it was answered, if it was.
    pub(crate) fn give_up(&self, asker: Asker, now: Duration) -> Result<Option<Outcome>, Failure> {
        self.with(|state| {
            let session = state.live(asker.client, now)?;
            if let Some(outcome) = session.done.look(asker.number, asker.answered_below)? {
                return Ok(Some(outcome));
            }
            session.done.note(asker.number, Outcome::GivenUp);
            if let Some(id) = state.numbered.get(&(asker.client, asker.number)).copied() {
                state.locks.end_wait(id);
                state.forget_waiter(id);
            }
            Ok(None)
        })
    }

    pub(crate) fn unlock(
        &self,
        asker: Asker,
        key: LockKey,
        (owner, range): (u64, LockRange),
        now: Duration,
    ) -> Result<(), Failure> {
        self.with(|state| {
            let session = state.live(asker.client, now)?;
            if session
                .done
                .look(asker.number, asker.answered_below)?
                .is_some()
            {
                return Ok(());
            }
            session.done.note(asker.number, Outcome::Done);
            let (client, number) = (asker.client, owner);
            state
                .locks
                .give_back(key, LockOwner { client, number }, range);
            Ok(())
        })
    }

    /// What is in the way of a lock.
    pub(crate) fn test(
        &self,
        key: LockKey,
        wanted: &HeldLock,
        now: Duration,
    ) -> Result<Option<HeldLock>, Failure> {
        let mut state = self.state.lock();
        state.live(wanted.owner.client, now)?;
        if !state.unknown.is_empty() {
            return Err(frozen());
        }
        Ok(state.locks.test(key, wanted))
    }
}

impl State {
    fn lock(
        &mut self,
        asker: Asker,
        (key, wanted): (LockKey, HeldLock),
        wake: Option<Wake>,
        now: Duration,
    ) -> Result<LockAnswer, Failure> {
        let session = self.live(asker.client, now)?;
        match session.done.look(asker.number, asker.answered_below)? {
            None => {}
            Some(Outcome::Done) => return Ok(LockAnswer::Granted),
            Some(Outcome::Held(held)) => return Ok(LockAnswer::Held(held)),
            Some(Outcome::GivenUp) => return Err(given_up()),
        }
        if let Some(id) = self.numbered.get(&(asker.client, asker.number)).copied() {
            return Ok(self.wait_on(asker, id, wake));
        }
        let request = match wake {
            None => Request::Once,
            Some(_) => Request::Waits,
        };
        let outcome = match self.locks.ask(key, wanted, request) {
            Asked::Granted => Outcome::Done,
            Asked::Held(held) => Outcome::Held(held),
            Asked::Waiting(id) => {
                self.add_waiter(asker, id, wake);
                return Ok(LockAnswer::Waiting(Visit { id, number: 0 }));
            }
            Asked::Deadlock => return Err(deadlock(wanted.owner)),
            Asked::Frozen => return Err(frozen()),
            Asked::Full => return Err(full()),
        };
        self.live(asker.client, now)?
            .done
            .note(asker.number, outcome);
        Ok(match outcome {
            Outcome::Held(held) => LockAnswer::Held(held),
            Outcome::Done | Outcome::GivenUp => LockAnswer::Granted,
        })
    }

    /// Goes on waiting at the place that was kept.
    fn wait_on(&mut self, asker: Asker, id: WaitId, wake: Option<Wake>) -> LockAnswer {
        let mut number = 0;
        if let Some(waiter) = self.waiters.get_mut(&id) {
            waiter.wake = wake;
            waiter.visits += 1;
            number = waiter.visits;
        }
        self.locks.come_back(id);
        let mut granted = self.locks.granted();
        let is_granted = granted.contains(&id);
        granted.retain(|other| *other != id);
        self.locks.put_back_granted(granted);
        if !is_granted {
            return LockAnswer::Waiting(Visit { id, number });
        }
        self.forget_waiter(id);
        if let Some(session) = self.sessions.get_mut(&asker.client) {
            session.done.note(asker.number, Outcome::Done);
        }
        LockAnswer::Granted
    }
}

fn given_up() -> Failure {
    Failure::new(Reason::Conflict, "this request for a lock was given up")
}

fn deadlock(owner: LockOwner) -> Failure {
    Failure::new(
        Reason::Deadlock,
        format!(
            "waiting would never end: who holds the lock waits for owner {} of session {}",
            owner.number, owner.client
        ),
    )
}

pub(super) fn frozen() -> Failure {
    Failure::new(
        Reason::Unavailable,
        "the store was opened anew and does not know all locks yet; try again soon",
    )
}

fn full() -> Failure {
    Failure::new(
        Reason::TooLarge,
        "too many locks, of this file or of the store; give some back",
    )
}
