//! What sessions say that they had before the store was opened anew.

use super::opens::OpenKey;
use super::session::Phase;
use super::state::Clients;
use crate::{Announcement, LostClaims};
use nokv_types::{ClientId, Failure, Reason};
use std::time::Duration;

impl Clients {
    /// Takes in what a session had. The nodes must be looked at afterwards.
    ///
    /// False when the session is known already: nothing is done.
    pub(crate) fn claim(
        &self,
        (client, incarnation): (ClientId, u64),
        claims: &Announcement,
        now: Duration,
    ) -> Result<bool, Failure> {
        let mut state = self.state.lock();
        if incarnation != state.incarnation {
            return Err(Failure::new(
                Reason::Unannounced,
                "the store was opened anew since; renew the session and announce it again",
            ));
        }
        let session = state.session(client, now)?;
        if session.phase == Phase::Live {
            return Ok(false);
        }
        for key in &claims.opens {
            state.session(client, now)?.has_room()?;
            state.note_open(client, *key);
        }
        for claim in &claims.locks {
            let (key, lock) = claim.parts(client);
            if !state.locks.restore(key, lock) {
                state.lost.entry(client).or_default().locks.push(*claim);
            }
        }
        Ok(true)
    }

    /// A node that a session says it has open is gone.
    pub(crate) fn lose(&self, client: ClientId, key: OpenKey) {
        let mut state = self.state.lock();
        state.note_closed(client, key);
        state.lost.entry(client).or_default().opens.push(key);
    }

    /// A session has said all; nodes that are to be reclaimed now.
    pub(crate) fn announced(&self, client: ClientId) -> Vec<OpenKey> {
        self.with(|state| {
            if let Some(session) = state.sessions.get_mut(&client)
                && session.phase == Phase::Unannounced
            {
                session.phase = Phase::Live;
            }
            state.known(client)
        })
    }

    /// What a session has lost.
    pub(crate) fn lost(&self, client: ClientId) -> LostClaims {
        let state = self.state.lock();
        state.lost.get(&client).cloned().unwrap_or_default()
    }
}
