//! The file system of the operating system.
//!
//! Invariants:
//! - reads and writes are `pread` and `pwrite`: no cursor, no memory map (a map turns an I/O error
//!   into a signal);
//! - `sync_data` is `fdatasync`, `sync_dir` is `fsync` of the directory, `lock` is `flock`
//!   (released by the kernel when the process dies).

use std::{
    fs,
    io::{self, IoSlice, IoSliceMut},
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt},
    path::Path,
    sync::Arc,
};

use rustix::fs::{
    AtFlags, CWD, FallocateFlags, FlockOperation, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT,
};
use rustix::io::{Errno, ReadWriteFlags};

use crate::{AlreadyLocked, DirEntry, EntryKind, File, FileLock, FileSystem, Metadata, OpenMode};

/// Most slices that one `pwritev` takes (`IOV_MAX` of Linux).
const SLICES_MAX: usize = 1024;

/// Files on disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFileSystem(());

impl RealFileSystem {
    /// The file system of this machine.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }
}

impl FileSystem for RealFileSystem {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => {}
            OpenMode::ReadWrite => {
                options.write(true);
            }
            OpenMode::Create => {
                options.write(true).create(true).truncate(true);
            }
            OpenMode::CreateNew => {
                options.write(true).create_new(true);
            }
            OpenMode::OpenOrCreate => {
                options.write(true).create(true).truncate(false);
            }
        }
        Ok(Arc::new(RealFile(options.open(path)?)))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the place that the ban points to"
    )]
    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the place that the ban points to"
    )]
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                // Removed between the listing and the look at it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let kind = kind_of(metadata.file_type());
            let size = if kind == EntryKind::File {
                metadata.len()
            } else {
                0
            };
            let name = entry.file_name().to_string_lossy().into_owned();
            entries.push(DirEntry { name, kind, size });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn create_private_dir(&self, dir: &Path) -> io::Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        fs::remove_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        open_plain(dir)?.sync_all()
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        let metadata = fs::metadata(path)?;
        let kind = kind_of(metadata.file_type());
        let size = if kind == EntryKind::File {
            metadata.len()
        } else {
            0
        };
        Ok(Metadata {
            kind,
            size,
            allocated_bytes: metadata.blocks().saturating_mul(512),
            written_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            used_ns: nanoseconds(metadata.atime(), metadata.atime_nsec()),
        })
    }

    fn mark_used(&self, path: &Path) -> io::Result<()> {
        let times = Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_NOW,
            },
            last_modification: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
        };
        Ok(rustix::fs::utimensat(CWD, path, &times, AtFlags::empty())?)
    }

    fn lock(&self, path: &Path) -> io::Result<FileLock> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(FileLock::new(Box::new(Locked(file)))),
            Err(Errno::WOULDBLOCK) => Err(AlreadyLocked.into()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn available_bytes(&self, dir: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

/// A file that is locked until this is dropped.
///
/// Closing it would not do: the lock is the open file's, and a process that is being started has a
/// copy of every descriptor until it runs its own program (flock(2), fork(2)).
struct Locked(fs::File);

impl Drop for Locked {
    fn drop(&mut self) {
        // If that fails, closing it, which comes next, frees it where there is no copy.
        rustix::fs::flock(&self.0, FlockOperation::Unlock).ok();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the place that the ban points to"
)]
fn open_plain(path: &Path) -> io::Result<fs::File> {
    fs::File::open(path)
}

/// A time of the system, which may lie before 1970 or after 2554.
fn nanoseconds(seconds: i64, nanoseconds: i64) -> u64 {
    let since = |count| u64::try_from(count).unwrap_or(0);
    since(seconds)
        .saturating_mul(1_000_000_000)
        .saturating_add(since(nanoseconds))
}

fn kind_of(file_type: fs::FileType) -> EntryKind {
    if file_type.is_file() {
        EntryKind::File
    } else if file_type.is_dir() {
        EntryKind::Directory
    } else {
        EntryKind::Other
    }
}

struct RealFile(fs::File);

impl File for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match self.0.read_at(buffer, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn read_ready_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        let mut slices = [IoSliceMut::new(buffer)];
        let got = rustix::io::preadv2(&self.0, &mut slices, offset, ReadWriteFlags::NOWAIT);
        match got {
            Ok(count) => Ok(Some(count)),
            Err(Errno::AGAIN | Errno::INTR | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn write_slices_at(&self, slices: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        let mut position = offset;
        for chunk in slices.chunks(SLICES_MAX) {
            let total: usize = chunk.iter().map(|slice| slice.len()).sum();
            let mut written = match rustix::io::pwritev(&self.0, chunk, position) {
                Ok(count) => count,
                Err(Errno::INTR) => 0,
                Err(errno) => return Err(errno.into()),
            };
            if written < total {
                // A short write is rare (full disk, signal): finish slice by slice, which names the
                // error.
                let mut start = 0;
                for slice in chunk {
                    let end = start + slice.len();
                    if let Some(rest) = slice.get(written.saturating_sub(start)..)
                        && written < end
                    {
                        self.0.write_all_at(rest, position + written as u64)?;
                        written = end;
                    }
                    start = end;
                }
            }
            position += total as u64;
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        loop {
            match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), 0, len) {
                Err(Errno::INTR) => {}
                result => return Ok(result?),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::IoSlice, os::unix::fs::MetadataExt, path::Path};

    use rustix::fs::FlockOperation;

    use super::Locked;
    use crate::{EntryKind, FileSystem, OpenMode, RealFileSystem, is_already_locked};

    #[test]
    fn a_lock_is_free_though_a_starting_process_has_a_copy_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = tempfile::NamedTempFile::new_in(&dir).unwrap();
        let (file, path) = file.into_parts();
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
        let copy = file.try_clone().unwrap();
        drop(Locked(file));
        assert!(RealFileSystem::new().lock(&path).is_ok());
        drop(copy);
    }

    #[test]
    fn files_names_and_locks_work_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let files = RealFileSystem::new();
        let sub = dir.path().join("x/y");
        files.create_dir_all(&sub).unwrap();
        let path = sub.join("a");
        let file = files.open(&path, OpenMode::CreateNew).unwrap();
        file.write_slices_at(
            &[IoSlice::new(b"he"), IoSlice::new(b""), IoSlice::new(b"llo")],
            2,
        )
        .unwrap();
        file.sync_data().unwrap();
        let mut buffer = [9; 8];
        assert_eq!(file.read_at(&mut buffer, 0).unwrap(), 7);
        assert_eq!(&buffer[..7], b"\0\0hello");
        assert!(file.read_exact_at(&mut buffer, 0).is_err());
        assert!(files.open(&path, OpenMode::CreateNew).is_err());
        files.link(&path, &sub.join("b")).unwrap();
        files.rename(&sub.join("b"), &sub.join("c")).unwrap();
        files.sync_dir(&sub).unwrap();
        let names: Vec<_> = files.list(&sub).unwrap();
        assert_eq!(names.len(), 2);
        assert_eq!(
            (names[1].name.as_str(), names[1].kind, names[1].size),
            ("c", EntryKind::File, 7)
        );
        let before = files.metadata(&sub.join("c")).unwrap();
        assert!(before.written_ns > 1_700_000_000_000_000_000);
        files.mark_used(&sub.join("c")).unwrap();
        let after = files.metadata(&sub.join("c")).unwrap();
        assert!(after.used_ns >= before.used_ns && after.written_ns == before.written_ns);
        assert!(files.mark_used(&sub.join("none")).is_err());
        if let Some(count) = file.read_ready_at(&mut buffer, 2).unwrap() {
            assert_eq!(&buffer[..count], &b"hello"[..count]);
        }
        let private = dir.path().join("private");
        files.create_private_dir(&private).unwrap();
        let mode = fs::metadata(&private).unwrap().mode();
        assert_eq!(mode & 0o777, 0o700);
        let lock = files.lock(&sub.join("LOCK")).unwrap();
        assert!(is_already_locked(
            &files.lock(&sub.join("LOCK")).unwrap_err()
        ));
        drop(lock);
        files.lock(&sub.join("LOCK")).unwrap();
        assert!(files.available_bytes(dir.path()).unwrap() > 0);
        assert!(!files.exists(Path::new("/nonexistent/x")).unwrap());
    }
}
