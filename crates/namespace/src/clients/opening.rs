//! What sessions have open, and what must not go meanwhile.

use super::done::Outcome;
use super::opens::{OpenKey, key_of};
use super::state::Clients;
use crate::Asker;
use crate::spot::Spot;
use nokv_types::{ClientId, Failure};
use std::time::Duration;

impl Clients {
    /// Notes that a session has a node open. Waits while a command may take it away; that it is
    /// there must be looked at afterwards. False when this request was done before.
    pub(crate) fn open(&self, asker: Asker, key: OpenKey, now: Duration) -> Result<bool, Failure> {
        let mut state = self.state.lock();
        loop {
            let session = state.live(asker.client, now)?;
            if session
                .done
                .look(asker.number, asker.answered_below)?
                .is_some()
            {
                return Ok(false);
            }
            session.has_room()?;
            if !state.opens.is_going(key) {
                break;
            }
            self.decided.wait(&mut state);
        }
        state.note_open(asker.client, key);
        let session = state.live(asker.client, now)?;
        session.done.note(asker.number, Outcome::Done);
        Ok(true)
    }

    /// Notes that a session has a node open that a command is about to make.
    pub(crate) fn open_new(
        &self,
        client: ClientId,
        key: OpenKey,
        now: Duration,
    ) -> Result<(), Failure> {
        let mut state = self.state.lock();
        state.live(client, now)?.has_room()?;
        state.note_open(client, key);
        Ok(())
    }

    /// The node turned out not to be there.
    pub(crate) fn not_opened(&self, client: ClientId, key: OpenKey) {
        self.state.lock().note_closed(client, key);
    }

    /// A session closes a node; whether it is to be reclaimed now. Closing what is not open
    /// succeeds.
    pub(crate) fn close(&self, asker: Asker, key: OpenKey, now: Duration) -> Result<bool, Failure> {
        let mut state = self.state.lock();
        let session = state.live(asker.client, now)?;
        if session
            .done
            .look(asker.number, asker.answered_below)?
            .is_some()
        {
            return Ok(false);
        }
        session.done.note(asker.number, Outcome::Done);
        Ok(state.note_closed(asker.client, key) && state.unknown.is_empty())
    }

    /// Announces that commands may take nodes away.
    pub(crate) const fn going(&self) -> Going<'_> {
        Going {
            clients: self,
            keys: Vec::new(),
        }
    }

    /// These have no name any more; those of them that nobody has open.
    pub(crate) fn set_nameless(&self, keys: &[OpenKey]) -> Vec<OpenKey> {
        let mut state = self.state.lock();
        for key in keys {
            state.opens.set_nameless(*key);
        }
        if !state.unknown.is_empty() {
            return Vec::new();
        }
        let closed = keys.iter().filter(|key| !state.opens.is_open(**key));
        closed.copied().collect()
    }

    /// This one has a name again, or is gone.
    pub(crate) fn forget_nameless(&self, key: OpenKey) {
        self.state.lock().opens.forget_nameless(key);
    }

    /// Up to `limit` nodes without a name that nobody has open.
    pub(crate) fn closed(&self, limit: usize) -> Vec<OpenKey> {
        let state = self.state.lock();
        match state.unknown.is_empty() {
            true => state.opens.closed(limit),
            false => Vec::new(),
        }
    }
}

/// Nodes that a command under way may take away.
pub(crate) struct Going<'a> {
    clients: &'a Clients,
    keys: Vec<OpenKey>,
}

impl<'a> Going<'a> {
    /// What was announced so far, as a guard of its own.
    pub(crate) fn take(&mut self) -> Going<'a> {
        Going {
            clients: self.clients,
            keys: std::mem::take(&mut self.keys),
        }
    }

    /// Whether somebody may have the node open. The answer holds as long as this lives: who opens
    /// it from now on waits.
    pub(crate) fn may_be_open(&mut self, spot: Spot) -> bool {
        let key = key_of(spot);
        let mut state = self.clients.state.lock();
        state.opens.going(key);
        self.keys.push(key);
        state.opens.is_open(key) || !state.unknown.is_empty()
    }
}

impl Drop for Going<'_> {
    fn drop(&mut self) {
        if self.keys.is_empty() {
            return;
        }
        let mut state = self.clients.state.lock();
        for key in &self.keys {
            state.opens.gone(*key);
        }
        drop(state);
        self.clients.decided.notify_all();
    }
}
