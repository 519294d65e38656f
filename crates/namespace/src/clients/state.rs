//! All sessions of a store, behind one lock that is held for moments.
//!
//! Who waits is woken after the lock is let go.

use super::done::Outcome;
use super::opens::{OpenKey, Opens};
use super::session::{Lapsed, Phase, Session, expired};
use crate::locks::{HeldLock, LockTable, WaitId};
use crate::{Asker, ClientSession, LostClaims};
use nokv_types::{ClientId, Failure, Reason};
use parking_lot::{Condvar, Mutex};
use rustc_hash::{FxHashMap, FxHashSet};
use std::time::Duration;

/// Most sessions of a store: about a KiB each, and a command each when they end.
const SESSIONS_MAX: usize = 100_000;
/// Called when one who waits is granted what he wants, or will never be.
pub(crate) type Wake = Box<dyn FnOnce(Result<(), Failure>) + Send>;

/// What came of asking for a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LockAnswer {
    Granted,
    Held(HeldLock),
    Waiting(Visit),
}

/// A request of one who waits: he may come several times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Visit {
    pub(super) id: WaitId,
    pub(super) number: u64,
}

/// All sessions.
pub(crate) struct Clients {
    pub(super) state: Mutex<State>,
    /// A node is no longer about to go.
    pub(super) decided: Condvar,
}

pub(super) struct Waiter {
    pub(super) client: ClientId,
    pub(super) number: u64,
    pub(super) visits: u64,
    pub(super) wake: Option<Wake>,
}

pub(super) struct State {
    pub(super) incarnation: u64,
    pub(super) sessions: FxHashMap<ClientId, Session>,
    /// Sessions of which it is not known what they have.
    pub(super) unknown: FxHashSet<ClientId>,
    pub(super) opens: Opens,
    pub(super) locks: LockTable,
    pub(super) waiters: FxHashMap<WaitId, Waiter>,
    pub(super) numbered: FxHashMap<(ClientId, u64), WaitId>,
    pub(super) lost: FxHashMap<ClientId, LostClaims>,
}

/// Sessions as they are on disk when a store is opened.
pub(crate) struct Stored {
    pub(crate) client: ClientId,
    pub(crate) label: String,
    pub(crate) ttl: Duration,
}

impl Clients {
    pub(crate) fn new(
        incarnation: u64,
        stored: Vec<Stored>,
        nameless: Vec<OpenKey>,
        now: Duration,
    ) -> Self {
        let mut state = State {
            incarnation,
            sessions: FxHashMap::default(),
            unknown: stored.iter().map(|stored| stored.client).collect(),
            opens: Opens::default(),
            locks: LockTable::default(),
            waiters: FxHashMap::default(),
            numbered: FxHashMap::default(),
            lost: FxHashMap::default(),
        };
        for Stored { client, label, ttl } in stored {
            let session = Session::new(label, ttl, now, Phase::Unannounced);
            state.sessions.insert(client, session);
        }
        for key in nameless {
            state.opens.set_nameless(key);
        }
        if !state.unknown.is_empty() {
            state.locks.freeze();
        }
        Self {
            state: Mutex::new(state),
            decided: Condvar::new(),
        }
    }

    /// Does something with the state, then wakes those who were granted.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut woken = Vec::new();
        let done = {
            let mut state = self.state.lock();
            let done = act(&mut state);
            state.tell_granted(&mut woken);
            done
        };
        for wake in woken {
            wake(Ok(()));
        }
        done
    }

    /// Whether one more session may be opened.
    pub(crate) fn admit(&self) -> Result<(), Failure> {
        match self.state.lock().sessions.len() {
            ..SESSIONS_MAX => Ok(()),
            _ => Err(Failure::new(
                Reason::Overloaded,
                format!("{SESSIONS_MAX} client sessions are open; close some"),
            )),
        }
    }

    /// Takes in a session that is on disk.
    pub(crate) fn begin(&self, stored: Stored, now: Duration) -> ClientSession {
        let Stored { client, label, ttl } = stored;
        let mut state = self.state.lock();
        let session = Session::new(label, ttl, now, Phase::Live);
        let described = session.describe(client, now, state.incarnation);
        state.sessions.insert(client, session);
        described
    }

    pub(crate) fn renew(&self, client: ClientId, now: Duration) -> Result<ClientSession, Failure> {
        let mut state = self.state.lock();
        let incarnation = state.incarnation;
        let session = state.session(client, now)?;
        session.renew(now);
        Ok(session.describe(client, now, incarnation))
    }

    /// All sessions, in order.
    pub(crate) fn list(&self, now: Duration) -> Vec<ClientSession> {
        let state = self.state.lock();
        let sessions = state.sessions.iter();
        let mut listed: Vec<_> = sessions
            .map(|(client, session)| session.describe(*client, now, state.incarnation))
            .collect();
        listed.sort_by_key(|session| session.id);
        listed
    }

    /// Stops a session; whether there is one. It keeps what it has until [`Self::end`].
    pub(crate) fn stop(&self, client: ClientId) -> Option<Lapsed> {
        let mut state = self.state.lock();
        let session = state.sessions.get_mut(&client)?;
        session.phase = Phase::Ending;
        Some(Lapsed(client))
    }

    /// Stops sessions whose time is over.
    pub(crate) fn stop_lapsed(&self, now: Duration) -> Vec<Lapsed> {
        let mut state = self.state.lock();
        let over = state.sessions.iter_mut();
        let over = over.filter(|(_, session)| session.is_over(now));
        let mut lapsed: Vec<_> = over
            .map(|(client, session)| {
                session.phase = Phase::Ending;
                Lapsed(*client)
            })
            .collect();
        lapsed.sort_unstable();
        lapsed
    }

    /// Takes everything from a session whose end is on disk; the nodes that are to be reclaimed.
    pub(crate) fn end(&self, Lapsed(client): Lapsed) -> Vec<OpenKey> {
        let mut ended = Vec::new();
        let closed = self.with(|state| {
            let Some(session) = state.sessions.remove(&client) else {
                return Vec::new();
            };
            let opens = session.opens.into_iter();
            let mut closed: Vec<_> = opens.filter(|key| state.opens.remove(*key)).collect();
            for id in state.locks.end_client(client) {
                ended.extend(state.forget_waiter(id).and_then(|waiter| waiter.wake));
            }
            state.lost.remove(&client);
            closed.extend(state.known(client));
            closed
        });
        for wake in ended {
            wake(Err(expired(client)));
        }
        closed
    }

    /// Gives up those who wait for a lock and have been away too long.
    pub(crate) fn sweep_waits(&self, now: Duration) {
        self.with(|state| {
            for id in state.locks.sweep(now) {
                state.forget_waiter(id);
            }
        });
    }
}

impl State {
    pub(super) fn session(
        &mut self,
        client: ClientId,
        now: Duration,
    ) -> Result<&mut Session, Failure> {
        let session = self.sessions.get_mut(&client);
        session
            .filter(|session| !session.is_over(now))
            .ok_or_else(|| expired(client))
    }

    /// A session that may do something.
    pub(super) fn live(
        &mut self,
        client: ClientId,
        now: Duration,
    ) -> Result<&mut Session, Failure> {
        let session = self.session(client, now)?;
        match session.phase {
            Phase::Live => Ok(session),
            Phase::Unannounced | Phase::Ending => Err(Failure::new(
                Reason::Unannounced,
                format!("client session {client} is from before the store was opened; announce it"),
            )),
        }
    }

    pub(super) fn note_open(&mut self, client: ClientId, key: OpenKey) {
        if let Some(session) = self.sessions.get_mut(&client)
            && session.opens.insert(key)
        {
            self.opens.add(key);
        }
    }

    pub(super) fn note_closed(&mut self, client: ClientId, key: OpenKey) -> bool {
        let session = self.sessions.get_mut(&client);
        let was_open = session.is_some_and(|session| session.opens.remove(&key));
        was_open && self.opens.remove(key)
    }

    /// It is known what a session has, or it is over. With the last one locks are granted again.
    pub(super) fn known(&mut self, client: ClientId) -> Vec<OpenKey> {
        if !self.unknown.remove(&client) || !self.unknown.is_empty() {
            return Vec::new();
        }
        self.locks.thaw();
        self.opens.closed(usize::MAX)
    }

    pub(super) fn add_waiter(&mut self, asker: Asker, id: WaitId, wake: Option<Wake>) {
        let (client, number) = (asker.client, asker.number);
        let waiter = Waiter {
            client,
            number,
            visits: 0,
            wake,
        };
        self.waiters.insert(id, waiter);
        if number != 0 {
            self.numbered.insert((client, number), id);
        }
    }

    pub(super) fn forget_waiter(&mut self, id: WaitId) -> Option<Waiter> {
        let waiter = self.waiters.remove(&id)?;
        self.numbered.remove(&(waiter.client, waiter.number));
        Some(waiter)
    }

    fn tell_granted(&mut self, woken: &mut Vec<Wake>) {
        for id in self.locks.granted() {
            let Some(waiter) = self.forget_waiter(id) else {
                continue;
            };
            if let Some(session) = self.sessions.get_mut(&waiter.client) {
                session.done.note(waiter.number, Outcome::Done);
            }
            woken.extend(waiter.wake);
        }
    }
}
