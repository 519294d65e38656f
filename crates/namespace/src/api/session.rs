//! Upload sessions, and what becomes of blocks.

use nokv_types::SessionId;

/// An upload session: the durable promise that blocks under its id may belong to somebody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Session {
    /// Prefix of its blocks in the object store. Never reused.
    pub id: SessionId,
    /// Milliseconds since 1970 after which it counts as abandoned.
    pub expires_millis: u64,
    /// Whether it may still publish.
    pub state: SessionState,
}

/// Where a session is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionState {
    /// Publishes are accepted.
    Open,
    /// No publish can come any more: what it uploaded and nobody references is garbage.
    Closed,
}

/// Whom a lease of a read is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeaseKeeping {
    /// A reader in this process, which ends with it.
    InProcess,
    /// A reader elsewhere, which goes on when the store is opened again.
    AcrossRestarts,
}

/// What one round of [`crate::Namespace::reclaim`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reclaimed {
    /// Records of removed trees that were taken apart.
    pub entries: u64,
    /// Bodies whose references were dropped.
    pub bodies: u64,
    /// Bodies that wait because a retained version can still see them.
    pub retained: u64,
    /// Whether the limit stopped the round before the work was done.
    pub more: bool,
}
