//! The client: every call, typed.
#![expect(
    clippy::unimplemented,
    unused_variables,
    reason = "bodies follow file by file"
)]

use crate::{
    Access, ClientOptions, Endpoint, FileStream, GetOptions, GetReport, PutOptions, PutReport,
    Status, Walk, WriteOptions,
};
use bytes::Bytes;
use nokv_env::Env;
use nokv_namespace::{
    Changed, Follow, Mount, Node, Page, Parents, Publish, Published, Remove, Removed, RenameMode,
    Renamed, Session, SetAttributes, Usage,
};
use nokv_server::Collected;
use nokv_types::{Body, Failure, MountId, Name, NsPath, SessionId, Version};
use std::path::{Path, PathBuf};
use tokio::io::AsyncRead;

/// A handle on one mount of a store, at its newest state or at one version.
///
/// **Concurrency**: cheap to clone, clones share the connection or the open store. Needs a multi-threaded tokio
/// runtime. Every future may be dropped: a change under way then happens or does not.
/// **Guarantees**: the same answers and the same failures, whichever way the store is reached.
#[derive(Clone)]
pub struct Client;

impl Client {
    /// Opens the store, or connects to it.
    ///
    /// **Errors**: `Busy` when another process has the store open and has no socket; `NotFound` when there is no store
    /// and none may be created; `Unavailable` when nobody answers, or the object store does not.
    pub async fn connect(
        env: Env,
        endpoint: Endpoint,
        options: ClientOptions,
    ) -> Result<Self, Failure> {
        unimplemented!()
    }
    /// Closes the store if it is open in this process and this is the last clone; else does nothing.
    pub async fn close(self) -> Result<(), Failure> {
        unimplemented!()
    }
    /// How the store is reached.
    #[must_use]
    pub fn access(&self) -> &Access {
        unimplemented!()
    }
    /// The same client on another mount.
    #[must_use]
    pub fn with_mount(&self, mount: MountId) -> Self {
        unimplemented!()
    }
    /// The same client reading as of `version`. Changes still apply to the newest state.
    #[must_use]
    pub fn at(&self, version: Version) -> Self {
        unimplemented!()
    }

    /// The store and its server.
    pub async fn status(&self) -> Result<Status, Failure> {
        unimplemented!()
    }
    /// The mounts of the store.
    pub async fn mounts(&self) -> Result<Vec<Mount>, Failure> {
        unimplemented!()
    }
    /// Makes a mount. **Errors**: `AlreadyExists`, `InvalidName`.
    pub async fn create_mount(&self, name: &str) -> Result<Mount, Failure> {
        unimplemented!()
    }
    /// Runs a round of collection. `retention_ms` overrides the store's for this round.
    pub async fn collect(&self, retention_ms: Option<u64>) -> Result<Collected, Failure> {
        unimplemented!()
    }

    /// The node at a path.
    pub async fn lookup(&self, path: &NsPath, follow: Follow) -> Result<Node, Failure> {
        unimplemented!()
    }
    /// A page of a directory; continue with `at(page.version)` and `after: page.next`.
    pub async fn read_dir(
        &self,
        path: &NsPath,
        after: Option<&Name>,
        limit: usize,
    ) -> Result<Page, Failure> {
        unimplemented!()
    }
    /// A whole directory, all pages at one version.
    pub async fn read_dir_all(&self, path: &NsPath) -> Result<Page, Failure> {
        unimplemented!()
    }
    /// Everything below a directory (or the one file), at one version, depth first, parents before children, names
    /// ascending.
    pub fn walk(&self, path: &NsPath) -> Walk {
        unimplemented!()
    }
    /// The target of a symbolic link.
    pub async fn read_link(&self, path: &NsPath) -> Result<Bytes, Failure> {
        unimplemented!()
    }
    /// What a subtree holds.
    pub async fn usage(&self, path: &NsPath) -> Result<Usage, Failure> {
        unimplemented!()
    }

    /// Makes a directory.
    pub async fn make_dir(
        &self,
        path: &NsPath,
        mode: u32,
        parents: Parents,
    ) -> Result<Changed, Failure> {
        unimplemented!()
    }
    /// Makes a symbolic link.
    pub async fn symlink(&self, path: &NsPath, target: Bytes) -> Result<Changed, Failure> {
        unimplemented!()
    }
    /// Gives a file a second name.
    pub async fn link(&self, existing: &NsPath, path: &NsPath) -> Result<Changed, Failure> {
        unimplemented!()
    }
    /// Moves an entry.
    pub async fn rename(
        &self,
        from: &NsPath,
        to: &NsPath,
        mode: RenameMode,
    ) -> Result<Renamed, Failure> {
        unimplemented!()
    }
    /// Removes an entry.
    pub async fn remove(&self, path: &NsPath, remove: Remove) -> Result<Removed, Failure> {
        unimplemented!()
    }
    /// Changes attributes.
    pub async fn set_attributes(
        &self,
        path: &NsPath,
        follow: Follow,
        changes: SetAttributes,
    ) -> Result<Changed, Failure> {
        unimplemented!()
    }
    /// Makes all items visible, or none.
    pub async fn publish(&self, publish: Publish) -> Result<Vec<Published>, Failure> {
        unimplemented!()
    }

    /// Opens an upload session.
    pub async fn open_session(&self, ttl_ms: u64) -> Result<Session, Failure> {
        unimplemented!()
    }
    /// Prolongs it.
    pub async fn renew_session(&self, session: SessionId, ttl_ms: u64) -> Result<Session, Failure> {
        unimplemented!()
    }
    /// Ends it.
    pub async fn close_session(&self, session: SessionId) -> Result<(), Failure> {
        unimplemented!()
    }

    /// A file with where its bytes are.
    pub async fn body(&self, path: &NsPath) -> Result<(Node, Body), Failure> {
        unimplemented!()
    }
    /// Opens a file for reading: its node, and its bytes from `range` as a verified stream.
    pub async fn read(
        &self,
        path: &NsPath,
        range: std::ops::Range<u64>,
    ) -> Result<(Node, FileStream), Failure> {
        unimplemented!()
    }
    /// Publishes what `reader` gives as one file; visible whole when this returns.
    pub async fn write(
        &self,
        path: &NsPath,
        reader: impl AsyncRead + Unpin + Send,
        options: WriteOptions,
    ) -> Result<Published, Failure> {
        unimplemented!()
    }
    /// Publishes local files and directories. See [`PutOptions`].
    pub async fn put_tree(
        &self,
        locals: &[PathBuf],
        destination: &NsPath,
        options: PutOptions,
    ) -> Result<PutReport, Failure> {
        unimplemented!()
    }
    /// Writes a file or directory of the store to a local path. See [`GetOptions`].
    pub async fn get_tree(
        &self,
        path: &NsPath,
        local: &Path,
        options: GetOptions,
    ) -> Result<GetReport, Failure> {
        unimplemented!()
    }
}
