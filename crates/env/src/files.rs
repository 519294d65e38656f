//! The traits of files and file systems.
//!
//! They are the part of POSIX that a store needs, made positional (no cursors) and shareable
//! (`&self`), with `std::io::Error` throughout, because callers branch on its kind.
//!
//! Invariants:
//! - `rename` is atomic and replaces; `link` and `CreateNew` never replace;
//! - a name is durable after `sync_dir` of its directory, bytes after `sync_data` or `sync_all` of
//!   their file.

use std::{
    any::Any,
    fmt,
    io::{self, IoSlice},
    path::Path,
    sync::Arc,
};

/// How a file is opened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OpenMode {
    /// It must exist; for reading.
    Read,
    /// It must exist; for reading and writing.
    ReadWrite,
    /// Made if absent, emptied if present; for reading and writing.
    Create,
    /// It must not exist (`AlreadyExists` otherwise); for reading and writing.
    CreateNew,
    /// Made if absent, left as it is if present; for reading and writing.
    OpenOrCreate,
}

/// What a directory entry is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, socket, device or pipe.
    Other,
}

/// One entry of a directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DirEntry {
    /// The name within the directory; bytes that are no UTF-8 are replaced.
    pub name: String,
    /// What it is; symbolic links are not followed.
    pub kind: EntryKind,
    /// Length of a file, 0 for anything else.
    pub size: u64,
}

/// What a path leads to; symbolic links are followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Metadata {
    /// What it is.
    pub kind: EntryKind,
    /// Length of a file, 0 for anything else.
    pub size: u64,
    /// Bytes that it occupies on the device.
    pub allocated_bytes: u64,
    /// When its bytes changed, in nanoseconds since 1970.
    pub written_ns: u64,
    /// When it was last marked as used ([`FileSystem::mark_used`]), or read where the system keeps
    /// count of that; in nanoseconds since 1970.
    pub used_ns: u64,
}

/// An open file.
///
/// **Concurrency**: every method may be called from any thread at the same time.
pub trait File: Send + Sync {
    /// Reads at `offset` into `buffer`; maybe fewer bytes than asked, none only at the end of the
    /// file.
    ///
    /// # Errors
    /// Whatever the device says.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Reads as [`File::read_at`] if that needs no waiting for the device; `None` where it would,
    /// or where nobody can tell.
    ///
    /// # Errors
    /// As [`File::read_at`].
    fn read_ready_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        let _ = (buffer, offset);
        Ok(None)
    }

    /// Writes all of `bytes` at `offset`, extending the file when needed. After an error any part
    /// of it may have been written.
    ///
    /// # Errors
    /// `StorageFull` when there is no space; whatever the device says.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Writes the slices one after another at `offset`, in as few system calls as possible.
    ///
    /// # Errors
    /// As [`File::write_at`].
    fn write_slices_at(&self, slices: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        let mut position = offset;
        for slice in slices {
            self.write_at(slice, position)?;
            position += slice.len() as u64;
        }
        Ok(())
    }

    /// Makes the bytes, and the length needed to find them, survive a power cut.
    ///
    /// # Errors
    /// After an error nothing is known about what was written since the last success: the kernel
    /// may have dropped the pages. Retrying proves nothing.
    fn sync_data(&self) -> io::Result<()>;

    /// [`File::sync_data`], and times and permissions too.
    ///
    /// # Errors
    /// As [`File::sync_data`].
    fn sync_all(&self) -> io::Result<()>;

    /// The length in bytes.
    ///
    /// # Errors
    /// Whatever the device says.
    fn len(&self) -> io::Result<u64>;

    /// Whether the length is 0.
    ///
    /// # Errors
    /// As [`File::len`].
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Cuts or extends (with zeros) to `len`.
    ///
    /// # Errors
    /// Whatever the device says.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Reserves space for the first `len` bytes and makes the file at least that long; new bytes
    /// read as zero.
    ///
    /// # Errors
    /// `StorageFull`; `Unsupported` where the file system can't.
    fn allocate(&self, len: u64) -> io::Result<()>;

    /// Reads until `buffer` is full or the file ends; the number of bytes.
    ///
    /// # Errors
    /// Whatever the device says.
    fn read_full_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.read_at(rest, offset + filled as u64)? {
                0 => break,
                count => filled += count,
            }
        }
        Ok(filled)
    }

    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file ends before.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if self.read_full_at(buffer, offset)? < buffer.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

/// A tree of directories and files.
pub trait FileSystem: Send + Sync {
    /// Opens or makes a file.
    ///
    /// # Errors
    /// `NotFound`, `AlreadyExists` (for [`OpenMode::CreateNew`]), `PermissionDenied`,
    /// `StorageFull`.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>>;

    /// Removes a file's name; open handles keep its bytes.
    ///
    /// # Errors
    /// `NotFound`, `IsADirectory`.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Gives a file or directory another name in one step, replacing a file of that name.
    ///
    /// # Errors
    /// `NotFound`; `CrossesDevices`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file a second name.
    ///
    /// # Errors
    /// `NotFound`; `AlreadyExists`; `CrossesDevices`; `Unsupported`.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// The entries of a directory, by name.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory`.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;

    /// Makes a directory and those above it; no error when it is there.
    ///
    /// # Errors
    /// `AlreadyExists` when a file has the name; `PermissionDenied`.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// As [`FileSystem::create_dir_all`], and what is made can be entered by its owner only, where
    /// the system knows owners.
    ///
    /// # Errors
    /// As [`FileSystem::create_dir_all`].
    fn create_private_dir(&self, dir: &Path) -> io::Result<()> {
        self.create_dir_all(dir)
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// `NotFound`, `DirectoryNotEmpty`.
    fn remove_dir(&self, dir: &Path) -> io::Result<()>;

    /// Makes the entries of a directory (creations, renames, removals) survive a power cut.
    ///
    /// # Errors
    /// As [`File::sync_data`].
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// What is there.
    ///
    /// # Errors
    /// `NotFound`.
    fn metadata(&self, path: &Path) -> io::Result<Metadata>;

    /// Whether something is there.
    ///
    /// # Errors
    /// Whatever the device says, other than `NotFound`.
    fn exists(&self, path: &Path) -> io::Result<bool> {
        match self.metadata(path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Says that a file was used now: [`Metadata::used_ns`] becomes the present.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`.
    fn mark_used(&self, path: &Path) -> io::Result<()>;

    /// Takes the exclusive lock of a file, made if absent, without waiting; dropping the lock, or
    /// the death of the process, releases it.
    ///
    /// # Errors
    /// [`AlreadyLocked`] (see [`is_already_locked`]) when somebody has it, in this process or
    /// another.
    fn lock(&self, path: &Path) -> io::Result<FileLock>;

    /// Bytes that an unprivileged writer can still use where `dir` is.
    ///
    /// # Errors
    /// `NotFound`.
    fn available_bytes(&self, dir: &Path) -> io::Result<u64>;
}

/// An exclusive lock, held until dropped.
pub struct FileLock(#[expect(dead_code, reason = "held for its Drop")] Box<dyn Any + Send + Sync>);

impl FileLock {
    /// A lock that is released when `guard` is dropped; for implementations of [`FileSystem`].
    #[must_use]
    pub fn new(guard: Box<dyn Any + Send + Sync>) -> Self {
        Self(guard)
    }
}

impl fmt::Debug for FileLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileLock")
    }
}

/// The lock is held by somebody else.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the lock is held by another process or handle")]
pub struct AlreadyLocked;

impl From<AlreadyLocked> for io::Error {
    fn from(error: AlreadyLocked) -> Self {
        Self::new(io::ErrorKind::WouldBlock, error)
    }
}

/// Whether an error of [`FileSystem::lock`] says that somebody else holds it.
#[must_use]
pub fn is_already_locked(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(|inner| inner.is::<AlreadyLocked>())
}
