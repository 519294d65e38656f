//! A file system that calls back around everything that makes something durable, or visible, by
//! itself.

use std::{
    io::{self, IoSlice},
    path::Path,
    sync::Arc,
};

use nokv_env::{DirEntry, File, FileLock, FileSystem, Metadata, OpenMode};

/// What is happening when the callback runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Moment {
    /// A sync, rename, link or removal is about to happen, or has just happened.
    Settling,
    /// Something was written.
    Written,
}

type Callback = Arc<dyn Fn(Moment) + Send + Sync>;

/// Wraps another file system; `callback` runs before and after each sync, rename, link and removal,
/// and after each write.
pub(crate) struct ObservedFileSystem {
    inner: Arc<dyn FileSystem>,
    callback: Callback,
}

impl ObservedFileSystem {
    pub(crate) fn new(inner: Arc<dyn FileSystem>, callback: Callback) -> Self {
        Self { inner, callback }
    }

    fn around<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        (self.callback)(Moment::Settling);
        let result = work();
        (self.callback)(Moment::Settling);
        result
    }
}

impl FileSystem for ObservedFileSystem {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let inner = self.inner.open(path, mode)?;
        Ok(Arc::new(ObservedFile {
            inner,
            callback: Arc::clone(&self.callback),
        }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.around(|| self.inner.remove(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.around(|| self.inner.rename(from, to))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.around(|| self.inner.link(from, to))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.inner.list(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.inner.create_dir_all(dir)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.remove_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.around(|| self.inner.sync_dir(dir))
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.inner.metadata(path)
    }

    fn mark_used(&self, path: &Path) -> io::Result<()> {
        self.inner.mark_used(path)
    }

    fn lock(&self, path: &Path) -> io::Result<FileLock> {
        self.inner.lock(path)
    }

    fn available_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.inner.available_bytes(dir)
    }
}

struct ObservedFile {
    inner: Arc<dyn File>,
    callback: Callback,
}

impl File for ObservedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let result = self.inner.write_at(bytes, offset);
        (self.callback)(Moment::Written);
        result
    }

    fn write_slices_at(&self, slices: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        let bytes: Vec<u8> = slices
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .collect();
        self.write_at(&bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        (self.callback)(Moment::Settling);
        let result = self.inner.sync_data();
        (self.callback)(Moment::Settling);
        result
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.inner.allocate(len)
    }
}
