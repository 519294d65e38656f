//! Local directories, held open so that nothing is written outside of the target.
//!
//! Invariants:
//! - below the target every directory is reached by one name from its parent's handle, and a
//!   symbolic link in its place is refused: no link that lies there leads a write elsewhere, not
//!   even one that appears meanwhile;
//! - nothing stands under its final name before it is complete.

use super::local_walk::local_failure;
use super::options::Existing;
use nokv_types::{Failure, Reason, TimeNanos};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, Timespec, Timestamps};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// An open local directory.
pub(super) struct LocalDir {
    handle: OwnedFd,
    path: PathBuf,
}

impl LocalDir {
    /// Opens the directory at `path`, following links: it is what the caller named.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        let handle = rustix::fs::openat(CWD, path, flags, Mode::empty());
        let handle = handle.map_err(|error| local_failure("open", path, &error.into()))?;
        Ok(Self {
            handle,
            path: path.to_owned(),
        })
    }

    /// Opens the directory `name` in this one, making it when missing.
    pub(super) fn enter(&self, name: &[u8]) -> Result<Self, Failure> {
        let path = self.child(name);
        let failed = |error: rustix::io::Errno| local_failure("make", &path, &error.into());
        match rustix::fs::mkdirat(&self.handle, OsStr::from_bytes(name), Mode::RWXU) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(failed(error)),
        }
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        match rustix::fs::openat(&self.handle, OsStr::from_bytes(name), flags, Mode::empty()) {
            Ok(handle) => Ok(Self { handle, path }),
            Err(rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR) => Err(Failure::new(
                Reason::NotDirectory,
                format!(
                    "{} is in the way: a directory goes there; remove it",
                    path.display()
                ),
            )),
            Err(error) => Err(failed(error)),
        }
    }

    /// The path of `name` in this directory, for people.
    pub(super) fn child(&self, name: &[u8]) -> PathBuf {
        self.path.join(OsStr::from_bytes(name))
    }

    /// A path of `name` in this directory that no rename or link above changes, as long as this is
    /// open.
    pub(super) fn stable_path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.handle.as_raw_fd()))
    }

    /// Makes a symbolic link.
    pub(super) fn make_link(&self, name: &str, target: &[u8]) -> Result<(), Failure> {
        rustix::fs::symlinkat(OsStr::from_bytes(target), &self.handle, name)
            .map_err(|error| local_failure("make", &self.path.join(name), &error.into()))
    }

    /// Gives the file `temporary` its permissions and time. A link has no permissions of its own.
    pub(super) fn dress(
        &self,
        temporary: &str,
        mode: Option<u32>,
        mtime: TimeNanos,
    ) -> Result<(), Failure> {
        let dress = || -> rustix::io::Result<()> {
            if let Some(mode) = mode {
                let mode = Mode::from_raw_mode(mode & 0o7777);
                rustix::fs::chmodat(&self.handle, temporary, mode, AtFlags::empty())?;
            }
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::utimensat(&self.handle, temporary, &times(mtime), flags)
        };
        dress().map_err(|error| local_failure("set up", &self.path.join(temporary), &error.into()))
    }

    /// Gives `temporary` its final name.
    pub(super) fn settle(
        &self,
        temporary: &str,
        name: &[u8],
        existing: Existing,
    ) -> Result<(), Failure> {
        let flags = match existing {
            Existing::Replace => RenameFlags::empty(),
            Existing::Refuse => RenameFlags::NOREPLACE,
        };
        let (handle, name) = (&self.handle, OsStr::from_bytes(name));
        let renamed = match existing {
            Existing::Replace => rustix::fs::renameat(handle, temporary, handle, name),
            Existing::Refuse => rustix::fs::renameat_with(handle, temporary, handle, name, flags),
        };
        renamed.map_err(|error| local_failure("write", &self.path.join(name), &error.into()))
    }

    /// Removes what a transfer that did not end left.
    pub(super) fn remove(&self, temporary: &str) {
        match rustix::fs::unlinkat(&self.handle, temporary, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(error) => tracing::debug!(%error, "could not remove a temporary file"),
        }
    }

    /// Gives the directory itself its permissions and time, when nothing more is written in it.
    pub(super) fn dress_self(&self, mode: u32, mtime: TimeNanos) -> Result<(), Failure> {
        rustix::fs::fchmod(&self.handle, Mode::from_raw_mode(mode & 0o7777))
            .and_then(|()| rustix::fs::futimens(&self.handle, &times(mtime)))
            .map_err(|error| local_failure("set up", &self.path, &io::Error::from(error)))
    }
}

/// Both times of a file as of its last change.
fn times(mtime: TimeNanos) -> Timestamps {
    const NANOS: i64 = 1_000_000_000;
    let time = Timespec {
        tv_sec: mtime.get().div_euclid(NANOS),
        tv_nsec: mtime.get().rem_euclid(NANOS),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}
