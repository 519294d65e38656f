//! The handle of a store's namespaces.
#![expect(
    clippy::unimplemented,
    unused_variables,
    reason = "bodies follow file by file"
)]

use crate::Parents;
use crate::{
    Changed, Context, Follow, Mount, Node, Options, Page, Place, Publish, Published, Reclaimed,
    Remove, Removed, RenameMode, Renamed, Session, SetAttributes, Target, Usage, View,
};
use bytes::Bytes;
use nokv_env::Env;
use nokv_types::{BlockId, Body, Failure, MountId, Name, SessionId, Version};
use std::path::Path;

/// All namespaces of a store.
///
/// **Concurrency**: every method may be called from any thread and blocks while it works; cloning shares.
#[derive(Clone)]
pub struct Namespace;

impl Namespace {
    /// Opens the store in `dir` (made when missing): engine, log, mounts. A new store gets a mount named `default`.
    ///
    /// **Errors**: `Busy` when another process has it open; `Corrupt` with file, offset, expected, got; `Io`.
    pub fn open(env: Env, dir: &Path, options: Options) -> Result<Self, Failure> {
        unimplemented!()
    }

    /// Flushes and closes. Later calls on clones fail with `Unavailable`.
    pub fn close(&self) -> Result<(), Failure> {
        unimplemented!()
    }

    /// The newest applied version: a view at it stays readable for the retention time.
    #[must_use]
    pub fn read_version(&self) -> Version {
        unimplemented!()
    }

    /// The mounts, in order of their ids.
    #[must_use]
    pub fn mounts(&self) -> Vec<Mount> {
        unimplemented!()
    }

    /// The mount with this name. **Errors**: `NotFound`.
    pub fn mount(&self, name: &str) -> Result<Mount, Failure> {
        unimplemented!()
    }

    /// Makes a mount: a name and an empty root directory (mode 0755) of `context`'s owner.
    ///
    /// **Errors**: `AlreadyExists`, `InvalidName`.
    pub fn register_mount(&self, context: &Context, name: &str) -> Result<Mount, Failure> {
        unimplemented!()
    }

    /// The node that `target` leads to, with attributes.
    ///
    /// **Errors**: `NotFound`, `NotDirectory` (both name the component), `SymlinkLoop`, `Compacted`.
    pub fn lookup<'a>(
        &self,
        view: &View,
        target: impl Into<Target<'a>>,
        follow: Follow,
    ) -> Result<Node, Failure> {
        unimplemented!()
    }

    /// Up to `limit` (at most `PAGE_ENTRIES_MAX`) entries of a directory after name `after`, with
    /// attributes. Follows a symbolic link to the directory.
    ///
    /// **Errors**: as [`Self::lookup`]; `NotDirectory`; `TooLarge` for a limit over the maximum.
    pub fn read_dir_plus<'a>(
        &self,
        view: &View,
        directory: impl Into<Target<'a>>,
        after: Option<&Name>,
        limit: usize,
    ) -> Result<Page, Failure> {
        unimplemented!()
    }

    /// The target of a symbolic link. **Errors**: as [`Self::lookup`]; `InvalidArgument` when it is none.
    pub fn read_link<'a>(
        &self,
        view: &View,
        target: impl Into<Target<'a>>,
    ) -> Result<Bytes, Failure> {
        unimplemented!()
    }

    /// A file with the extents of its body; what a reader needs to fetch it. Follows a symbolic link.
    ///
    /// **Errors**: as [`Self::lookup`]; `IsDirectory`; `NotPermitted` for a special file.
    pub fn body<'a>(
        &self,
        view: &View,
        target: impl Into<Target<'a>>,
    ) -> Result<(Node, Body), Failure> {
        unimplemented!()
    }

    /// What a subtree holds; reads all of it. Does not follow symbolic links.
    ///
    /// **Errors**: as [`Self::lookup`].
    pub fn usage<'a>(&self, view: &View, target: impl Into<Target<'a>>) -> Result<Usage, Failure> {
        unimplemented!()
    }

    /// Makes a directory. With [`Parents::Create`] an existing directory is success, as `mkdir -p`.
    ///
    /// **Errors**: `AlreadyExists`, `NotFound` or `NotDirectory` (naming the parent), `InvalidArgument` (mode).
    pub fn make_dir<'a>(
        &self,
        context: &Context,
        place: impl Into<Place<'a>>,
        mode: u32,
        parents: Parents,
    ) -> Result<Changed, Failure> {
        unimplemented!()
    }

    /// Makes a symbolic link to `target`, 1..=4095 bytes without NUL.
    ///
    /// **Errors**: as [`Self::make_dir`]; `InvalidArgument` (empty, NUL), `TooLarge`.
    pub fn symlink<'a>(
        &self,
        context: &Context,
        place: impl Into<Place<'a>>,
        target: Bytes,
    ) -> Result<Changed, Failure> {
        unimplemented!()
    }

    /// Gives a node that is not a directory one more name. Does not follow a symbolic link.
    ///
    /// **Errors**: as [`Self::make_dir`]; `NotPermitted` for a directory.
    pub fn link<'a>(
        &self,
        context: &Context,
        existing: impl Into<Target<'a>>,
        place: impl Into<Place<'a>>,
    ) -> Result<Changed, Failure> {
        unimplemented!()
    }

    /// Moves an entry. A directory moves with all that is below, in one command.
    ///
    /// **Errors**: `NotFound`; `AlreadyExists`; `NotEmpty`, `IsDirectory`, `NotDirectory` as rename(2);
    /// `InvalidArgument` for a directory into itself or below; `NotPermitted` for the root.
    pub fn rename<'a>(
        &self,
        context: &Context,
        from: impl Into<Place<'a>>,
        to: impl Into<Place<'a>>,
        mode: RenameMode,
    ) -> Result<Renamed, Failure> {
        unimplemented!()
    }

    /// Removes an entry.
    ///
    /// **Errors**: `NotFound`; `IsDirectory`, `NotDirectory`, `NotEmpty` by `remove`; `NotPermitted` for the root.
    pub fn remove<'a>(
        &self,
        context: &Context,
        place: impl Into<Place<'a>>,
        remove: Remove,
    ) -> Result<Removed, Failure> {
        unimplemented!()
    }

    /// Changes attributes. Follows symbolic links as told.
    ///
    /// **Errors**: as [`Self::lookup`]; `InvalidArgument` (mode); `IsDirectory` for the size of a
    /// directory; `StaleGeneration`.
    pub fn set_attributes<'a>(
        &self,
        context: &Context,
        target: impl Into<Target<'a>>,
        follow: Follow,
        changes: SetAttributes,
    ) -> Result<Changed, Failure> {
        unimplemented!()
    }

    /// Makes all items visible in one command, or none.
    ///
    /// **Errors**: `SessionExpired`; `AlreadyExists`, `StaleGeneration`, `NotFound` by [`crate::Expect`];
    /// `IsDirectory`, `NotDirectory`; `InvalidArgument` (a path twice, a mode, no session for new blocks);
    /// `MissingBlock` (a block of another session that no body references); `TooLarge`. Each names the path.
    pub fn publish(&self, context: &Context, publish: Publish) -> Result<Vec<Published>, Failure> {
        unimplemented!()
    }

    /// Opens an upload session, on disk before it returns: the first block may be uploaded after.
    pub fn open_session(&self, ttl_ms: u64) -> Result<Session, Failure> {
        unimplemented!()
    }

    /// Lets a session live until now plus `ttl_ms`; never shortens. **Errors**: `SessionExpired`.
    pub fn renew_session(&self, session: SessionId, ttl_ms: u64) -> Result<Session, Failure> {
        unimplemented!()
    }

    /// Ends a session: no publish of it can succeed after, and no upload may be under way. What
    /// it uploaded and nobody references becomes garbage at once. Idempotent.
    pub fn close_session(&self, session: SessionId) -> Result<(), Failure> {
        unimplemented!()
    }

    /// Closes sessions past their expiry, then names up to `limit` closed ones whose blocks are to be swept:
    /// list the objects of the session, keep those that [`Self::is_referenced`], delete the others, then
    /// [`Self::finish_session`].
    pub fn expired_sessions(&self, limit: usize) -> Result<Vec<SessionId>, Failure> {
        unimplemented!()
    }

    /// For each block whether any body, live or retained, needs it.
    pub fn is_referenced(&self, blocks: &[BlockId]) -> Result<Vec<bool>, Failure> {
        unimplemented!()
    }

    /// Forgets a closed session after its sweep. Idempotent. **Errors**: `Conflict` when it is still open.
    pub fn finish_session(&self, session: SessionId) -> Result<(), Failure> {
        unimplemented!()
    }

    /// One bounded round of background work: takes removed trees apart, drops the references of
    /// bodies that no retained version can see, ages the log. `limit` bounds the records touched.
    /// Objects that lose their last reference become *doomed*.
    pub fn reclaim(&self, limit: usize) -> Result<Reclaimed, Failure> {
        unimplemented!()
    }

    /// The same with another retention for this round: 0 takes all that only the past can see.
    pub fn reclaim_within(&self, limit: usize, retention_ms: u64) -> Result<Reclaimed, Failure> {
        unimplemented!()
    }

    /// Up to `limit` objects that nobody references and that nobody can reference again: delete them
    /// from the object store (deleting twice is harmless, ids are never reused), then
    /// [`Self::forget_doomed`]. Objects of sessions that are not finished are left to their sweep.
    pub fn doomed(&self, limit: usize) -> Result<Vec<BlockId>, Failure> {
        unimplemented!()
    }

    /// Forgets doomed objects after their deletion. Idempotent.
    pub fn forget_doomed(&self, blocks: &[BlockId]) -> Result<(), Failure> {
        unimplemented!()
    }

    /// The id of the mount named `default`.
    #[must_use]
    pub fn default_mount(&self) -> MountId {
        unimplemented!()
    }
}
