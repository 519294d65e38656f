//! Sessions that are over: what they uploaded and nobody references goes.
//!
//! Invariant: a session is forgotten only after its listing held nothing that should go; until then
//! no object of it is named as doomed, so sweep and doom never race.

use super::{collector::Round, delete::Deleted};
use crate::Error;
use nokv_types::SessionId;

impl Round<'_> {
    pub(super) async fn sweep_sessions(&mut self) -> Result<(), Error> {
        let limit = self
            .inner
            .options
            .sessions_max
            .saturating_add(self.state.sessions.len());
        let mut sessions = self
            .inner
            .ask(move |ledger| ledger.expired_sessions(limit))
            .await?;
        self.report.more |= sessions.len() >= limit;
        self.state.sessions.sort(&mut sessions);
        let mut outcome = Ok(());
        for session in sessions {
            if self.is_over() {
                self.report.more = true;
                break;
            }
            match self.sweep(session).await {
                Ok(Deleted::All) => {
                    self.report.swept_sessions += 1;
                    self.state.sessions.succeeded(&session);
                    continue;
                }
                Ok(Deleted::Some) => {}
                Err(error @ Error::Namespace(_)) => {
                    self.refusals += 1;
                    outcome = outcome.and(Err(error));
                }
                Err(error) => self.refused(error),
            }
            self.report.failed_sessions += 1;
            self.report.more = true;
            self.state.sessions.failed(session);
        }
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
