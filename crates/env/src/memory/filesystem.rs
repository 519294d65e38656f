//! The trait over the tree and the inodes, with an optional space limit.
//!
//! One mutex guards all: tests want determinism, not speed.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
};

use parking_lot::Mutex;

use super::{
    inode::Inode,
    tree::{InodeNumber, Tree},
};
use crate::{
    AlreadyLocked, DirEntry, EntryKind, File, FileLock, FileSystem, Metadata, OpenMode,
    SeededRandom,
};

/// What a file system without a limit says is free.
const AVAILABLE_BYTES_UNLIMITED: u64 = 1 << 40;

/// A file system in memory that forgets, at [`MemoryFileSystem::crash`], what was not synced.
#[derive(Clone, Default)]
pub struct MemoryFileSystem {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    tree: Tree,
    inodes: BTreeMap<InodeNumber, Inode>,
    next_inode: InodeNumber,
    used_bytes: u64,
    limit_bytes: Option<u64>,
    locks: BTreeSet<PathBuf>,
    /// Nanoseconds since 1970: one for each change, so that an order of changes is one of times.
    now_ns: u64,
    times: BTreeMap<InodeNumber, Times>,
}

#[derive(Clone, Copy, Default)]
struct Times {
    written_ns: u64,
    used_ns: u64,
}

impl MemoryFileSystem {
    /// An empty file system without a space limit.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Refuses, with `StorageFull`, whatever would make the files longer than `limit_bytes`
    /// together; `None` takes the limit away.
    pub fn set_space_limit(&self, limit_bytes: Option<u64>) {
        self.state.lock().limit_bytes = limit_bytes;
    }

    /// The machine after a power cut now: what was synced, and a part, chosen by `seed`, of what
    /// was not. The present file system goes on unharmed, so one run gives many images.
    #[must_use]
    pub fn crash(&self, seed: u64) -> Self {
        let random = SeededRandom::new(seed);
        let state = self.state.lock();
        let tree = state.tree.crashed(&random);
        let named: BTreeSet<InodeNumber> = tree.files.values().copied().collect();
        let inodes: BTreeMap<InodeNumber, Inode> = state
            .inodes
            .iter()
            .filter(|(number, _)| named.contains(number))
            .map(|(number, inode)| (*number, inode.crashed(&random)))
            .collect();
        let used_bytes = inodes.values().map(|inode| inode.len() as u64).sum();
        Self {
            state: Arc::new(Mutex::new(State {
                tree,
                inodes,
                next_inode: state.next_inode,
                used_bytes,
                limit_bytes: state.limit_bytes,
                locks: BTreeSet::new(),
                now_ns: state.now_ns,
                times: state.times.clone(),
            })),
        }
    }

    /// Takes what was written to a file since its last sync for synced, without keeping it: it is
    /// read until the next crash, and no sync saves it any more.
    pub fn drop_unsynced(&self, path: &Path) {
        let mut state = self.state.lock();
        if let Ok(number) = state.number(path)
            && let Ok(inode) = state.inode(number)
        {
            inode.drop_unsynced();
        }
    }

    /// The sum of the lengths of all files.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.state.lock().used_bytes
    }
}

impl State {
    fn number(&self, path: &Path) -> io::Result<InodeNumber> {
        match self.tree.files.get(path) {
            Some(number) => Ok(*number),
            None if self.is_dir(path) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn is_dir(&self, path: &Path) -> bool {
        path.parent().is_none() || path.as_os_str().is_empty() || self.tree.dirs.contains(path)
    }

    fn need_parent(&self, path: &Path) -> io::Result<()> {
        match path.parent() {
            Some(parent) if !self.is_dir(parent) => Err(io::ErrorKind::NotFound.into()),
            _ => Ok(()),
        }
    }

    fn inode(&mut self, number: InodeNumber) -> io::Result<&mut Inode> {
        self.inodes
            .get_mut(&number)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn written(&mut self, number: InodeNumber) {
        self.now_ns += 1;
        self.times.entry(number).or_default().written_ns = self.now_ns;
    }

    fn grow(&mut self, bytes: u64) -> io::Result<()> {
        let used = self.used_bytes + bytes;
        if bytes > 0 && self.limit_bytes.is_some_and(|limit| used > limit) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.used_bytes = used;
        Ok(())
    }

    fn set_len(&mut self, number: InodeNumber, len: usize) -> io::Result<()> {
        let before = self.inode(number)?.len();
        self.grow(len.saturating_sub(before) as u64)?;
        self.used_bytes -= before.saturating_sub(len) as u64;
        self.inode(number)?.set_len(len);
        self.written(number);
        Ok(())
    }

    fn make(&mut self, path: &Path) -> io::Result<InodeNumber> {
        self.need_parent(path)?;
        let number = self.next_inode;
        self.next_inode += 1;
        self.inodes.insert(number, Inode::default());
        self.tree.bind(path, number);
        self.written(number);
        Ok(number)
    }

    /// Counts a file that lost its last name as free space (its bytes stay for open handles and
    /// crashes).
    fn released(&mut self, number: InodeNumber) {
        if !self.tree.files.values().any(|other| *other == number) {
            let len = self.inodes.get(&number).map_or(0, Inode::len);
            self.used_bytes = self.used_bytes.saturating_sub(len as u64);
        }
    }
}

impl FileSystem for MemoryFileSystem {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut state = self.state.lock();
        let found = state.number(path);
        let number = match (mode, found) {
            (OpenMode::CreateNew, Ok(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
            (OpenMode::Create, Ok(number)) => {
                state.set_len(number, 0)?;
                number
            }
            (_, Ok(number)) => number,
            (OpenMode::Create | OpenMode::CreateNew | OpenMode::OpenOrCreate, Err(error))
                if error.kind() == io::ErrorKind::NotFound =>
            {
                state.make(path)?
            }
            (_, Err(error)) => return Err(error),
        };
        let writable = mode != OpenMode::Read;
        Ok(Arc::new(MemoryFile {
            state: Arc::clone(&self.state),
            number,
            writable,
        }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let number = state.number(path)?;
        state.tree.unbind(path);
        state.released(number);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.need_parent(to)?;
        if state.is_dir(from) {
            state.tree.rename_dir(from, to);
            return Ok(());
        }
        let number = state.number(from)?;
        let replaced = state
            .tree
            .files
            .get(to)
            .copied()
            .filter(|other| *other != number);
        state.tree.rename(from, to, number);
        if let Some(replaced) = replaced {
            state.released(replaced);
        }
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.need_parent(to)?;
        let number = state.number(from)?;
        if state.tree.files.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.tree.bind(to, number);
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let state = self.state.lock();
        if !state.is_dir(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let entry = |path: &Path, kind, size| {
            let name = path.file_name()?.to_string_lossy().into_owned();
            (path.parent() == Some(dir)).then_some(DirEntry { name, kind, size })
        };
        let files = state.tree.files.iter().filter_map(|(path, number)| {
            let size = state.inodes.get(number).map_or(0, Inode::len) as u64;
            entry(path, EntryKind::File, size)
        });
        let dirs = state
            .tree
            .dirs
            .iter()
            .filter_map(|path| entry(path, EntryKind::Directory, 0));
        let mut entries: Vec<DirEntry> = files.chain(dirs).collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        for ancestor in dir.ancestors() {
            if state.tree.files.contains_key(ancestor) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            state.tree.dirs.insert(ancestor.to_owned());
        }
        Ok(())
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        if !self.list(dir)?.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        self.state.lock().tree.dirs.remove(dir);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        if !state.is_dir(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.tree.sync(dir);
        Ok(())
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        let mut state = self.state.lock();
        if state.is_dir(path) {
            return Ok(Metadata {
                kind: EntryKind::Directory,
                size: 0,
                allocated_bytes: 0,
                written_ns: 0,
                used_ns: 0,
            });
        }
        let number = state.number(path)?;
        let size = state.inode(number)?.len() as u64;
        let times = state.times.get(&number).copied().unwrap_or_default();
        Ok(Metadata {
            kind: EntryKind::File,
            size,
            allocated_bytes: size,
            written_ns: times.written_ns,
            used_ns: times.used_ns,
        })
    }

    fn mark_used(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.is_dir(path) {
            return Ok(());
        }
        let number = state.number(path)?;
        state.now_ns += 1;
        let now_ns = state.now_ns;
        state.times.entry(number).or_default().used_ns = now_ns;
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<FileLock> {
        let mut state = self.state.lock();
        if state.number(path).is_err() {
            state.make(path)?;
        }
        if !state.locks.insert(path.to_owned()) {
            return Err(AlreadyLocked.into());
        }
        let guard = LockGuard {
            state: Arc::downgrade(&self.state),
            path: path.to_owned(),
        };
        Ok(FileLock::new(Box::new(guard)))
    }

    fn available_bytes(&self, _dir: &Path) -> io::Result<u64> {
        let state = self.state.lock();
        let limit = state.limit_bytes.unwrap_or(AVAILABLE_BYTES_UNLIMITED);
        Ok(limit.saturating_sub(state.used_bytes))
    }
}

struct LockGuard {
    state: Weak<Mutex<State>>,
    path: PathBuf,
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        if let Some(state) = self.state.upgrade() {
            state.lock().locks.remove(&self.path);
        }
    }
}

struct MemoryFile {
    state: Arc<Mutex<State>>,
    number: InodeNumber,
    writable: bool,
}

impl MemoryFile {
    fn need_writable(&self) -> io::Result<()> {
        if self.writable {
            Ok(())
        } else {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }

    fn position(offset: u64) -> io::Result<usize> {
        usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput.into())
    }
}

impl File for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let offset = Self::position(offset)?;
        Ok(self.state.lock().inode(self.number)?.read(buffer, offset))
    }

    fn read_ready_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        self.read_at(buffer, offset).map(Some)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.need_writable()?;
        let offset = Self::position(offset)?;
        let mut state = self.state.lock();
        let growth = state.inode(self.number)?.growth(offset, bytes.len());
        state.grow(growth as u64)?;
        state.inode(self.number)?.write(bytes, offset);
        state.written(self.number);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.state.lock().inode(self.number)?.sync();
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().inode(self.number)?.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.need_writable()?;
        let len = Self::position(len)?;
        self.state.lock().set_len(self.number, len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.need_writable()?;
        let len = Self::position(len)?;
        let mut state = self.state.lock();
        if state.inode(self.number)?.len() < len {
            state.set_len(self.number, len)?;
        }
        Ok(())
    }
}
