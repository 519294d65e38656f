//! Sessions that are over: what they uploaded and nobody references goes.
//!
//! Invariant: a session is forgotten only after its listing held nothing that should go; until then
//! no object of it is named as doomed, so sweep and doom never race.

use super::{collector::Round, delete::Deleted, lap::Lap};
use crate::Error;
use nokv_types::SessionId;

/// Sessions asked for at once.
const PAGE_SESSIONS_MAX: usize = 1_000;

impl Round<'_> {
    pub(super) async fn sweep_sessions(&mut self) -> Result<(), Error> {
        let mut lap = Lap::from(self.state.swept_after);
        let mut left = self.inner.options.sessions_max;
        let mut outcome = Ok(());
        while !lap.is_over() {
            let (after, limit) = (lap.after(), left.min(PAGE_SESSIONS_MAX));
            let mut sessions = self
                .inner
                .ask(move |ledger| ledger.expired_sessions(after, limit))
                .await?;
            lap.note(&mut sessions, limit);
            left = left.saturating_sub(sessions.len());
            for session in sessions {
                if self.is_over() {
                    break;
                }
                outcome = outcome.and(self.sweep_one(session).await);
                self.state.swept_after = Some(session);
            }
            if !lap.is_over() && (left == 0 || self.is_over()) {
                self.report.more = true;
                return outcome;
            }
        }
        if self.is_over() {
            self.report.more = true;
        } else {
            self.state.swept_after = None;
        }
        outcome
    }

    /// Sweeps one session. **Errors**: only the namespace's.
    async fn sweep_one(&mut self, session: SessionId) -> Result<(), Error> {
        let outcome = match self.sweep(session).await {
            Ok(Deleted::All) => {
                self.report.swept_sessions += 1;
                return Ok(());
            }
            Ok(Deleted::Some) => Ok(()),
            Err(error @ Error::Namespace(_)) => {
                self.refusals += 1;
                Err(error)
            }
            Err(error) => {
                self.refused(error);
                Ok(())
            }
        };
        self.report.failed_sessions += 1;
        self.report.more = true;
        outcome
    }

    async fn sweep(&mut self, session: SessionId) -> Result<Deleted, Error> {
        let entries = self.inner.blocks.list_session(session).await?;
        self.outages = 0;
        if self.delete_unreferenced(&entries).await? == Deleted::Some {
            return Ok(Deleted::Some);
        }
        self.inner.blocks.forget_session(session).await?;
        self.inner
            .ask(move |ledger| ledger.finish_session(session))
            .await?;
        Ok(Deleted::All)
    }
}
