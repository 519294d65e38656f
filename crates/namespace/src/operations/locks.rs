//! Advisory locks of files.

use crate::clients::{LockAnswer, Outcome, Visit};
use crate::failure::invalid;
use crate::{
    Asker, HeldLock, LockFamily, LockOutcome, LockPlace, LockRange, Namespace, WantedLock,
};
use nokv_types::{ClientId, Failure};

/// Waiting for a lock: from [`Namespace::wait_for_lock`].
///
/// Dropping it keeps the place of a numbered request for five seconds, and ends the waiting of one
/// that has no number.
pub struct LockWait {
    namespace: Namespace,
    visit: Visit,
}

/// What came of asking for a lock with the will to wait.
pub enum LockOrWait {
    /// It is held now.
    Granted,
    /// The callback will be called, unless this is dropped before.
    Waiting(LockWait),
}

impl Namespace {
    /// Takes a lock, if that can be done now. What the owner had of these bytes before gets the new
    /// kind.
    ///
    /// **Guarantees**: it is held until it is given back or the session ends, also when the store
    /// is opened anew, provided that the session is announced then. A whole-file lock of
    /// another kind is given back first, and lost when the new one can't be had, as with
    /// flock(2). **Errors**: `SessionExpired`, `Unannounced`; `Unavailable` while the locks of
    /// sessions from before the store was opened are not known; `NotFound` for the node;
    /// `TooLarge`.
    pub fn try_lock(&self, asker: Asker, wanted: &WantedLock) -> Result<LockOutcome, Failure> {
        self.check_lock(wanted)?;
        let parts = wanted.parts(asker.client);
        let clients = &self.inner.clients;
        let answer = clients.lock(asker, parts, None, self.monotonic())?;
        Ok(match answer {
            LockAnswer::Granted => LockOutcome::Granted,
            LockAnswer::Held(held) => LockOutcome::Held(held),
            LockAnswer::Waiting(_) => LockOutcome::Waiting,
        })
    }

    /// Takes a lock, or waits for it: the first who waits is the first who gets it. `wake` is
    /// called once, from whichever thread lets the lock be had, or with the failure that ends
    /// the session.
    ///
    /// **Errors**: as [`Self::try_lock`]; `Deadlock` when those who hold the lock wait for the
    /// caller (of [`LockFamily::Range`] only).
    pub fn wait_for_lock(
        &self,
        asker: Asker,
        wanted: &WantedLock,
        wake: impl FnOnce(Result<(), Failure>) + Send + 'static,
    ) -> Result<LockOrWait, Failure> {
        self.check_lock(wanted)?;
        let parts = wanted.parts(asker.client);
        let clients = &self.inner.clients;
        match clients.lock(asker, parts, Some(Box::new(wake)), self.monotonic())? {
            LockAnswer::Waiting(visit) => Ok(LockOrWait::Waiting(LockWait {
                namespace: self.clone(),
                visit,
            })),
            LockAnswer::Granted | LockAnswer::Held(_) => Ok(LockOrWait::Granted),
        }
    }

    /// Gives up the waiting of a numbered request. `Granted` when it was granted before: the lock
    /// is held then.
    pub fn give_up_lock(&self, asker: Asker) -> Result<LockOutcome, Failure> {
        let outcome = self.inner.clients.give_up(asker, self.monotonic())?;
        Ok(match outcome {
            Some(Outcome::Done) => LockOutcome::Granted,
            Some(Outcome::Held(held)) => LockOutcome::Held(held),
            Some(Outcome::GivenUp) | None => LockOutcome::Waiting,
        })
    }

    /// Gives back what an owner has of these bytes; nothing is no failure.
    ///
    /// **Errors**: `SessionExpired`, `Unannounced`.
    pub fn unlock(&self, asker: Asker, place: &LockPlace, range: LockRange) -> Result<(), Failure> {
        let clients = &self.inner.clients;
        clients.unlock(asker, place.key(), (place.owner, range), self.monotonic())
    }

    /// The first lock that is in the way of this one, as `F_GETLK`.
    ///
    /// **Errors**: as [`Self::try_lock`].
    pub fn test_lock(
        &self,
        client: ClientId,
        wanted: &WantedLock,
    ) -> Result<Option<HeldLock>, Failure> {
        let (key, lock) = wanted.parts(client);
        self.inner.clients.test(key, &lock, self.monotonic())
    }

    fn check_lock(&self, wanted: &WantedLock) -> Result<(), Failure> {
        let place = wanted.place;
        if place.family == LockFamily::Whole && wanted.range != LockRange::ALL {
            return Err(invalid("a lock of a whole file is of all its bytes"));
        }
        let reader = self.newest_reader();
        match self.spot_of(&reader, (place.branch, place.node))? {
            Some(_) => Ok(()),
            None => Err(crate::walk::missing(&format!("node {}", place.node))),
        }
    }
}

impl LockWait {
    /// Ends this request; false when the callback was called before.
    #[must_use]
    pub fn leave(&self) -> bool {
        let now = self.namespace.monotonic();
        self.namespace.inner.clients.leave(self.visit, now)
    }
}

impl Drop for LockWait {
    fn drop(&mut self) {
        let now = self.namespace.monotonic();
        self.namespace.inner.clients.leave(self.visit, now);
    }
}
