//! Blocks as files of a local folder: `file://`.
//!
//! Invariants:
//! - an object appears under its name by `rename` after its bytes are synced, so no reader and no
//!   crash ever sees a part of one; `put` returns after the directory is synced too;
//! - a removal is synced before it is reported, or a power cut would bring back objects that nobody
//!   remembers;
//! - what an interrupted `put` leaves is `NAME.partial` beside its object: listed, deletable, never
//!   read.
//!
//! The `object_store` crate has a local backend; it is not used here because this one runs over
//! `nokv-env` (so that crashes and full disks can be injected), creates directories durably, and
//! shares one directory sync between all puts that wait for one. No operation has a time-out: a put
//! given up while its thread still writes could collide with its own repetition.

use super::key::{self, PARTIAL};
use crate::{BlockEntry, BlockStore, Error, blocking};
use async_trait::async_trait;
use bytes::Bytes;
use nokv_env::{EntryKind, Env, FileSystem, OpenMode, Random};
use nokv_types::{BlockId, SessionId};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap},
    fmt, io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Session directories remembered as made and synced; beyond it they are forgotten and synced
/// again, which costs three directory syncs.
const DIRECTORIES_MAX: usize = 1024;
/// Times that a put makes its directory anew because a collector removed it in between: once is
/// plenty, since only sessions that are over are collected.
const DIRECTORY_ATTEMPTS_MAX: u32 = 3;
/// Free space below which a folder counts as full when it is probed: one pack.
const FREE_BYTES_MIN: u64 = crate::PACK_BYTES_MAX as u64;

/// An object store in a local folder.
#[derive(Clone)]
pub struct FolderBlocks {
    inner: Arc<Inner>,
}

struct Inner {
    files: Arc<dyn FileSystem>,
    random: Arc<dyn Random>,
    root: PathBuf,
    directories: Mutex<HashMap<SessionId, Arc<DirectorySync>>>,
}

/// Lets many puts into one directory share its syncs.
#[derive(Default)]
struct DirectorySync {
    /// Renames done.
    renamed: AtomicU64,
    /// Renames known to be durable.
    synced: Mutex<u64>,
}

impl FolderBlocks {
    /// The store in `root`, which [`BlockStore::probe`] or the first put makes if absent.
    #[must_use]
    pub fn new(env: &Env, root: PathBuf) -> Self {
        let inner = Inner {
            files: Arc::clone(&env.files),
            random: Arc::clone(&env.random),
            root,
            directories: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let inner = Arc::clone(&self.inner);
        blocking(move || work(&inner)).await
    }
}

impl fmt::Debug for FolderBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file://{}", self.inner.root.display())
    }
}

#[async_trait]
impl BlockStore for FolderBlocks {
    async fn put(&self, block: BlockId, bytes: Bytes) -> Result<(), Error> {
        self.run(move |inner| inner.put(block, &bytes)).await
    }

    async fn get_range(&self, block: BlockId, range: Range<u32>) -> Result<Bytes, Error> {
        self.run(move |inner| match inner.get_range(block, range)? {
            Some(bytes) => Ok(bytes),
            None => {
                let place = inner.place(block);
                Err(Error::MissingBlock {
                    body: "a body".to_owned(),
                    block,
                    place,
                })
            }
        })
        .await
    }

    async fn delete_many(&self, blocks: &[BlockId]) -> Result<(), Error> {
        let mut sessions: BTreeMap<SessionId, Vec<BlockId>> = BTreeMap::new();
        for block in blocks {
            sessions.entry(block.session).or_default().push(*block);
        }
        self.run(move |inner| {
            sessions
                .iter()
                .try_for_each(|(session, blocks)| inner.delete(*session, blocks))
        })
        .await
    }

    async fn list_session(&self, session: SessionId) -> Result<Vec<BlockEntry>, Error> {
        self.run(move |inner| inner.list_session(session)).await
    }

    async fn list_sessions(&self) -> Result<Vec<SessionId>, Error> {
        self.run(Inner::list_sessions).await
    }

    async fn forget_session(&self, session: SessionId) -> Result<(), Error> {
        self.run(move |inner| inner.remove_directory_if_empty(session))
            .await
    }

    async fn probe(&self) -> Result<(), Error> {
        self.run(Inner::probe).await
    }

    fn place(&self, block: BlockId) -> String {
        self.inner.place(block)
    }
}

impl Inner {
    fn session_dir(&self, session: SessionId) -> PathBuf {
        self.root.join(key::session_prefix(session))
    }

    fn path(&self, block: BlockId) -> PathBuf {
        self.root.join(key::block_key(block))
    }

    fn place(&self, block: BlockId) -> String {
        self.path(block).display().to_string()
    }

    fn put(&self, block: BlockId, bytes: &[u8]) -> Result<(), Error> {
        let path = self.path(block);
        let partial = partial_path(&path);
        for attempt in 1.. {
            let directory = self.directory(block.session)?;
            match self.write(&partial, bytes) {
                Ok(()) => {
                    self.files
                        .rename(&partial, &path)
                        .map_err(|error| Error::from_io("write", &path, &error))?;
                    let dir = self.session_dir(block.session);
                    return directory
                        .sync(&*self.files, &dir)
                        .map_err(|error| Error::from_io("sync", &dir, &error));
                }
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound
                        && attempt < DIRECTORY_ATTEMPTS_MAX =>
                {
                    self.directories.lock().remove(&block.session);
                }
                Err(error) => {
                    ignore_absent(self.files.remove(&partial)).ok();
                    return Err(Error::from_io("write", &partial, &error));
                }
            }
        }
        unreachable!("the loop has no bound but its attempts")
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let file = self.files.open(path, OpenMode::Create)?;
        file.write_at(bytes, 0)?;
        file.sync_data()
    }

    /// The directory of a session, made durably.
    fn directory(&self, session: SessionId) -> Result<Arc<DirectorySync>, Error> {
        if let Some(directory) = self.directories.lock().get(&session) {
            return Ok(Arc::clone(directory));
        }
        let dir = self.session_dir(session);
        let made = || -> io::Result<()> {
            self.files.create_dir_all(&dir)?;
            // The names of the new directories are in the directories above, up to the root.
            let above = dir.ancestors().skip(1).take(3);
            above
                .into_iter()
                .try_for_each(|parent| self.files.sync_dir(parent))
        };
        made().map_err(|error| Error::from_io("create", &dir, &error))?;
        let mut directories = self.directories.lock();
        if directories.len() >= DIRECTORIES_MAX {
            directories.clear();
        }
        Ok(Arc::clone(directories.entry(session).or_default()))
    }

    fn get_range(&self, block: BlockId, range: Range<u32>) -> Result<Option<Bytes>, Error> {
        let path = self.path(block);
        let failed = |error: io::Error| Error::from_io("read", &path, &error);
        let file = match self.files.open(&path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut buffer = vec![0; range.len()];
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match file
                .read_at(rest, u64::from(range.start) + filled as u64)
                .map_err(failed)?
            {
                0 => break,
                count => filled += count,
            }
        }
        buffer.truncate(filled);
        Ok(Some(buffer.into()))
    }

    fn delete(&self, session: SessionId, blocks: &[BlockId]) -> Result<(), Error> {
        let dir = self.session_dir(session);
        for block in blocks {
            let path = self.path(*block);
            for path in [partial_path(&path), path] {
                ignore_absent(self.files.remove(&path))
                    .map_err(|error| Error::from_io("remove", &path, &error))?;
            }
        }
        ignore_absent(self.files.sync_dir(&dir))
            .map_err(|error| Error::from_io("sync", &dir, &error))?;
        self.remove_directory_if_empty(session)
    }

    fn remove_directory_if_empty(&self, session: SessionId) -> Result<(), Error> {
        let dir = self.session_dir(session);
        match self.files.remove_dir(&dir) {
            Ok(()) => {
                self.directories.lock().remove(&session);
                Ok(())
            }
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty => Ok(()),
                _ => Err(Error::from_io("remove", &dir, &error)),
            },
        }
    }

    fn list_session(&self, session: SessionId) -> Result<Vec<BlockEntry>, Error> {
        let mut entries: BTreeMap<BlockId, u64> = BTreeMap::new();
        for entry in self.list(&self.session_dir(session))? {
            let name = entry.name.strip_suffix(PARTIAL).unwrap_or(&entry.name);
            if let Some(sequence) = key::parse_sequence(name) {
                *entries.entry(BlockId { session, sequence }).or_default() += entry.size;
            }
        }
        Ok(entries
            .into_iter()
            .map(|(block, bytes)| BlockEntry { block, bytes })
            .collect())
    }

    fn list_sessions(&self) -> Result<Vec<SessionId>, Error> {
        let blocks = self.root.join(key::BLOCKS);
        let mut sessions = Vec::new();
        for spread in self.list(&blocks)? {
            if spread.kind == EntryKind::Directory {
                let names = self.list(&blocks.join(&spread.name))?;
                sessions.extend(
                    names
                        .iter()
                        .filter_map(|entry| key::parse_session(&entry.name)),
                );
            }
        }
        sessions.sort_unstable();
        Ok(sessions)
    }

    fn list(&self, dir: &Path) -> Result<Vec<nokv_env::DirEntry>, Error> {
        match self.files.list(dir) {
            Ok(entries) => Ok(entries),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(Error::from_io("list", dir, &error)),
        }
    }

    fn probe(&self) -> Result<(), Error> {
        let path = self
            .root
            .join(format!("probe-{:016x}", self.random.next_u64()));
        let failed = |action: &str, error: &io::Error| Error::from_io(action, &self.root, error);
        self.files
            .create_dir_all(&self.root)
            .map_err(|error| failed("create", &error))?;
        let free = self
            .files
            .available_bytes(&self.root)
            .map_err(|error| failed("use", &error))?;
        if free < FREE_BYTES_MIN {
            return Err(Error::NoSpace(format!(
                "can't use {}: only {free} bytes are free; free some, or choose another folder",
                self.root.display()
            )));
        }
        let content: &[u8] = b"NoKV was here";
        let written = self.write(&path, content);
        let read_back = written.and_then(|()| {
            let mut buffer = vec![0; content.len()];
            self.files
                .open(&path, OpenMode::Read)?
                .read_exact_at(&mut buffer, 0)?;
            Ok(buffer == content)
        });
        let removed = ignore_absent(self.files.remove(&path));
        if !read_back.map_err(|error| failed("write to", &error))? {
            let root = self.root.display();
            return Err(Error::Io(format!(
                "{root} gives back other bytes than it got: check the disk"
            )));
        }
        removed.map_err(|error| failed("remove from", &error))
    }
}

impl DirectorySync {
    /// Makes a rename that has just been done durable, with a sync that others may share.
    fn sync(&self, files: &dyn FileSystem, dir: &Path) -> io::Result<()> {
        let mine = self.renamed.fetch_add(1, Ordering::SeqCst) + 1;
        let mut synced = self.synced.lock();
        if *synced >= mine {
            return Ok(());
        }
        // Every rename counted by now happened before this sync begins.
        let covered = self.renamed.load(Ordering::SeqCst);
        files.sync_dir(dir)?;
        *synced = covered;
        Ok(())
    }
}

/// What a removal may say when somebody else was faster.
fn ignore_absent(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn partial_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(PARTIAL);
    name.into()
}
