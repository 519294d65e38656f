//! What a collector asks of the namespace: the seam where tests put a namespace that lies or dies.

use nokv_namespace::{Namespace, ObjectUse, Reclaimed, ReferenceCursor, ReferencePage, Relocation};
use nokv_types::{BlockId, Failure, SessionId};

/// The collection side of a [`Namespace`], whose methods these are; see there. All block.
pub(crate) trait Ledger: Send + Sync {
    fn expired_sessions(
        &self,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<SessionId>, Failure>;
    fn session_is_known(&self, session: SessionId) -> Result<bool, Failure>;
    fn session_was_given(&self, session: SessionId) -> Result<bool, Failure>;
    fn is_referenced(&self, blocks: &[BlockId]) -> Result<Vec<bool>, Failure>;
    fn finish_session(&self, session: SessionId) -> Result<(), Failure>;
    /// `retention_ms` of `None` is the namespace's own.
    fn reclaim(&self, limit: usize, retention_ms: Option<u64>) -> Result<Reclaimed, Failure>;
    fn doomed(&self, after: Option<BlockId>, limit: usize) -> Result<Vec<BlockId>, Failure>;
    fn forget_doomed(&self, blocks: &[BlockId]) -> Result<(), Failure>;
    fn sync(&self) -> Result<(), Failure>;
    fn objects(&self, after: Option<BlockId>, limit: usize) -> Result<Vec<ObjectUse>, Failure>;
    fn references(
        &self,
        from: Option<&ReferenceCursor>,
        limit: usize,
    ) -> Result<ReferencePage, Failure>;
    fn open_session(&self, ttl_ms: u64) -> Result<SessionId, Failure>;
    fn close_session(&self, session: SessionId) -> Result<(), Failure>;
    fn relocate(&self, session: SessionId, moves: &[Relocation]) -> Result<u64, Failure>;
}

impl Ledger for Namespace {
    fn expired_sessions(
        &self,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<SessionId>, Failure> {
        Self::expired_sessions(self, after, limit)
    }

    fn session_is_known(&self, session: SessionId) -> Result<bool, Failure> {
        Self::session_is_known(self, session)
    }

    fn session_was_given(&self, session: SessionId) -> Result<bool, Failure> {
        Self::session_was_given(self, session)
    }

    fn is_referenced(&self, blocks: &[BlockId]) -> Result<Vec<bool>, Failure> {
        Self::is_referenced(self, blocks)
    }

    fn finish_session(&self, session: SessionId) -> Result<(), Failure> {
        Self::finish_session(self, session)
    }

    fn reclaim(&self, limit: usize, retention_ms: Option<u64>) -> Result<Reclaimed, Failure> {
        match retention_ms {
            Some(retention_ms) => self.reclaim_within(limit, retention_ms),
            None => Self::reclaim(self, limit),
        }
    }

    fn doomed(&self, after: Option<BlockId>, limit: usize) -> Result<Vec<BlockId>, Failure> {
        Self::doomed(self, after, limit)
    }

    fn forget_doomed(&self, blocks: &[BlockId]) -> Result<(), Failure> {
        Self::forget_doomed(self, blocks)
    }

    fn sync(&self) -> Result<(), Failure> {
        Self::sync(self)
    }

    fn objects(&self, after: Option<BlockId>, limit: usize) -> Result<Vec<ObjectUse>, Failure> {
        Self::objects(self, after, limit)
    }

    fn references(
        &self,
        from: Option<&ReferenceCursor>,
        limit: usize,
    ) -> Result<ReferencePage, Failure> {
        Self::references(self, from, limit)
    }

    fn open_session(&self, ttl_ms: u64) -> Result<SessionId, Failure> {
        Ok(Self::open_session(self, ttl_ms)?.id)
    }

    fn close_session(&self, session: SessionId) -> Result<(), Failure> {
        Self::close_session(self, session)
    }

    fn relocate(&self, session: SessionId, moves: &[Relocation]) -> Result<u64, Failure> {
        Self::relocate(self, session, moves)
    }
}
