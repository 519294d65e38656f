//! The files that a client has open, and opening one.
//!
//! Invariant: in the present, a node of a branch is open once, however many handles it has.

use super::file_handle::FileHandle;
use super::open_file::OpenFile;
use super::options::{Creation, OpenOptions, Truncation};
use super::sessions::WriteSessions;
use crate::Client;
use nokv_namespace::{Node, Target};
use nokv_object::ReadOptions;
use nokv_types::{Body, BranchId, Failure, MountId, NodeId, NodeKind, NsPath, Reason};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

/// Which file.
type Key = (MountId, BranchId, NodeId);

/// The open files of a client.
#[derive(Default, Debug)]
pub(crate) struct OpenFiles {
    files: Mutex<HashMap<Key, Weak<OpenFile>>>,
    sessions: Mutex<Weak<WriteSessions>>,
}

impl OpenFiles {
    /// Sessions for a file of `client`: those of the other open files, if there are any.
    fn sessions(&self, client: &Client) -> Arc<WriteSessions> {
        let mut slot = self.sessions.lock();
        if let Some(sessions) = slot.upgrade() {
            return sessions;
        }
        let options = client.shared.options.upload;
        let sessions = Arc::new(WriteSessions::new(client.clone(), options));
        *slot = Arc::downgrade(&sessions);
        sessions
    }

    fn find(&self, key: Key) -> Option<Arc<OpenFile>> {
        self.files.lock().get(&key).and_then(Weak::upgrade)
    }

    /// The file that is open under this key: this one, unless somebody was faster.
    fn enter(&self, key: Key, file: OpenFile) -> Arc<OpenFile> {
        let mut files = self.files.lock();
        if let Some(open) = files.get(&key).and_then(Weak::upgrade) {
            return open;
        }
        if files.len() == files.capacity() {
            files.retain(|_, file| file.strong_count() > 0);
        }
        let file = Arc::new(file);
        files.insert(key, Arc::downgrade(&file));
        file
    }

    fn all(&self) -> Vec<Arc<OpenFile>> {
        self.files
            .lock()
            .values()
            .filter_map(Weak::upgrade)
            .collect()
    }

    /// Ends the sessions of files that were written.
    pub(crate) async fn close(&self) {
        let sessions = self.sessions.lock().upgrade();
        if let Some(sessions) = sessions {
            sessions.close().await;
        }
    }
}

/// Open files.
impl Client {
    /// Opens a file; a symbolic link at the end is followed.
    ///
    /// **Errors**: `NotFound`, `IsDirectory`, `AlreadyExists` by [`Creation`]; as
    /// [`Client::body`].
    pub async fn open(&self, path: &NsPath, options: OpenOptions) -> Result<FileHandle, Failure> {
        let mode = match options.creation {
            Creation::Never => None,
            Creation::IfMissing(mode) => {
                match self.open_target(Target::Path(path), options).await {
                    Err(failure) if failure.reason() == Reason::NotFound => Some(mode),
                    done => return done,
                }
            }
            Creation::Always(mode) => Some(mode),
        };
        let Some(mode) = mode else {
            return self.open_target(Target::Path(path), options).await;
        };
        match self.make_node(path, NodeKind::File, mode).await {
            Ok(made) => self.open_found(made.node, Body::empty(), options).await,
            Err(failure)
                if failure.reason() == Reason::AlreadyExists
                    && matches!(options.creation, Creation::IfMissing(_)) =>
            {
                self.open_target(Target::Path(path), options).await
            }
            Err(failure) => Err(failure),
        }
    }

    /// Opens a file by its node: one that has lost its last name too, as long as it is held.
    ///
    /// **Errors**: `NotFound`, `IsDirectory`.
    pub async fn open_node(
        &self,
        node: NodeId,
        options: OpenOptions,
    ) -> Result<FileHandle, Failure> {
        self.open_target(Target::Node(node), options).await
    }

    async fn open_target(
        &self,
        target: Target<'_>,
        options: OpenOptions,
    ) -> Result<FileHandle, Failure> {
        let found = self.bodies_of(&[target]).await?.into_iter().next();
        let nothing = || Err(Failure::new(Reason::Io, "the server planned nothing"));
        let (node, body) = found.unwrap_or_else(nothing)?;
        self.open_found(node, body, options).await
    }

    async fn open_found(
        &self,
        node: Node,
        body: Body,
        options: OpenOptions,
    ) -> Result<FileHandle, Failure> {
        let files = &self.shared.open_files;
        let client = self.in_branch(node.branch);
        let key = (self.view.mount, node.branch, node.id);
        let reader = self.reader(ReadOptions::default()).await?;
        let sessions = files.sessions(self);
        let open = files.find(key).filter(|_| !self.is_past());
        let file = match open {
            Some(open) => {
                open.learn(node, body);
                open
            }
            None => {
                let file = OpenFile::new(client, sessions, reader, node, body);
                match self.is_past() {
                    true => Arc::new(file),
                    false => files.enter(key, file),
                }
            }
        };
        if options.truncation == Truncation::Empty {
            file.set_len(0)?;
        }
        Ok(FileHandle::new(file))
    }

    /// Has every open file upload what it has in memory.
    pub(crate) fn stage_open_files(&self) {
        for file in self.shared.open_files.all() {
            file.state.lock().stage_all(&file.sessions);
        }
    }

    /// Whether this client reads a version of the past.
    pub(crate) fn is_past(&self) -> bool {
        self.view.at.is_some() || self.snapshot.is_some()
    }

    /// Whether changes are durable when they are acknowledged.
    pub(crate) fn is_synced(&self) -> bool {
        self.caller.durability == nokv_namespace::Durability::Synced
    }
}
