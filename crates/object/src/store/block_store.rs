//! The trait between bodies and whatever holds their blocks.
//!
//! Invariants that every implementation keeps:
//! - an object is visible whole or not at all, and durable when `put` returns `Ok`;
//! - ids are never reused, so an object never changes: a repeated `put` brings the same bytes;
//! - deleting what is not there is a success, so a delete can be repeated after a crash.

use crate::Error;
use async_trait::async_trait;
use bytes::Bytes;
use nokv_types::{BlockId, SessionId};
use std::{fmt, ops::Range};

/// One object of a session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BlockEntry {
    /// The object, or what an interrupted `put` left of it.
    pub block: BlockId,
    /// Its length.
    pub bytes: u64,
}

/// A place for immutable objects.
///
/// **Errors** of all methods: [`Error::Unavailable`] when the same call may succeed later (the
/// caller, or [`crate::RetryingBlocks`], repeats), anything else when it will not.
/// **Concurrency**: every method may be called from many tasks at once; futures may be dropped at
/// any point, and then the operation may or may not happen.
#[async_trait]
pub trait BlockStore: Send + Sync + fmt::Debug {
    /// Stores an object. **Guarantees**: durable, whole and visible on `Ok`; after an error it may
    /// be visible, whole, too.
    async fn put(&self, block: BlockId, bytes: Bytes) -> Result<(), Error>;

    /// Reads a range of an object. **Shape**: `range` is not empty; fewer bytes than asked for
    /// (possibly none) when the object ends before the range does, which the caller must take
    /// for damage.
    ///
    /// **Errors**: [`Error::MissingBlock`] when there is no such object.
    async fn get_range(&self, block: BlockId, range: Range<u32>) -> Result<Bytes, Error>;

    /// Deletes objects, all of them or, after an error, any of them. What is not there counts as
    /// deleted.
    async fn delete_many(&self, blocks: &[BlockId]) -> Result<(), Error>;

    /// All objects of a session in ascending order, leftovers of interrupted puts included (they
    /// can be deleted, not read).
    async fn list_session(&self, session: SessionId) -> Result<Vec<BlockEntry>, Error>;

    /// All sessions that have objects, in ascending order.
    async fn list_sessions(&self) -> Result<Vec<SessionId>, Error>;

    /// Removes what is left of a session besides its objects, which must be gone (a local folder
    /// has an empty directory); nothing happens when some are there.
    async fn forget_session(&self, _session: SessionId) -> Result<(), Error> {
        Ok(())
    }

    /// Proves, by writing, reading, listing and deleting a small object, that all the rest can
    /// work.
    ///
    /// **Errors**: one line that names the store and says what to do.
    async fn probe(&self) -> Result<(), Error>;

    /// Where a block is, for a person who wants to look at it. Never contains a credential.
    fn place(&self, block: BlockId) -> String;
}

/// The error for an object that is not there; the reader fills in which body wanted it.
pub(super) fn missing(store: &dyn BlockStore, block: BlockId) -> Error {
    Error::MissingBlock {
        body: "a body".to_owned(),
        block,
        place: store.place(block),
    }
}
