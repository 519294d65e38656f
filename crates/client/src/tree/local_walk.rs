//! A local tree, read on a thread of its own, ahead of the uploads.
//!
//! Invariants: a directory comes before what is in it and again, as ended, after all of it; names
//! are bytes as they are; a symbolic link is an item, never followed (but for the starting point
//! itself, as `cp -r` does not either); what is none of file, directory, link is reported, not
//! read; the channel bounds what is ahead.

use super::options::Skipped;
use nokv_types::{Failure, Name, NsPath, Reason, TimeNanos};
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;

/// Entries that the walk is ahead of the uploads.
pub(crate) const AHEAD_ENTRIES_MAX: usize = 4_096;

/// One thing that the walk found.
#[derive(Clone, Debug)]
pub(crate) struct LocalEntry {
    /// Where it is.
    pub(crate) local: PathBuf,
    /// Where it goes.
    pub(crate) path: NsPath,
    /// Permission bits.
    pub(crate) mode: u32,
    /// Last change.
    pub(crate) mtime: TimeNanos,
    /// Last change of the inode.
    pub(crate) ctime: TimeNanos,
    /// The inode.
    pub(crate) inode: u64,
    /// What it is.
    pub(crate) what: What,
}

/// What an entry is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum What {
    /// A directory, before what is in it.
    Directory,
    /// The same, after what is in it.
    DirectoryEnd,
    /// A file of this size.
    File(u64),
    /// A symbolic link to this.
    Symlink(Vec<u8>),
}

/// What goes through the channel.
#[derive(Debug)]
pub(crate) enum Found {
    /// To be published.
    Entry(LocalEntry),
    /// Left out.
    Skipped(Skipped),
}

/// The receiver has gone: nobody wants the rest.
struct Gone;

/// Walks `roots`, each a local path and where it goes, into the channel. A root that can't be read
/// is the last item.
pub(crate) fn walk_local(
    roots: Vec<(PathBuf, NsPath)>,
    sender: &mpsc::Sender<Result<Found, Failure>>,
) {
    for (local, path) in roots {
        let metadata = match fs::symlink_metadata(&local) {
            Ok(metadata) => metadata,
            Err(error) => {
                // The receiver may have gone; then nobody cares.
                drop(sender.blocking_send(Err(local_failure("read", &local, &error))));
                return;
            }
        };
        if visit(local, path, &metadata, sender).is_err() {
            return;
        }
    }
}

fn visit(
    local: PathBuf,
    path: NsPath,
    metadata: &Metadata,
    sender: &mpsc::Sender<Result<Found, Failure>>,
) -> Result<(), Gone> {
    let kind = metadata.file_type();
    let mode = metadata.mode() & 0o7777;
    let nanos = |seconds: i64, rest| {
        TimeNanos::new(seconds.saturating_mul(1_000_000_000).saturating_add(rest))
    };
    let entry = |what| LocalEntry {
        local: local.clone(),
        path: path.clone(),
        mode,
        mtime: nanos(metadata.mtime(), metadata.mtime_nsec()),
        ctime: nanos(metadata.ctime(), metadata.ctime_nsec()),
        inode: metadata.ino(),
        what,
    };
    if kind.is_file() {
        return send(sender, Found::Entry(entry(What::File(metadata.len()))));
    }
    if kind.is_symlink() {
        return match fs::read_link(&local) {
            Ok(target) => {
                let target = target.as_os_str().as_bytes().to_vec();
                send(sender, Found::Entry(entry(What::Symlink(target))))
            }
            Err(error) => skip(sender, &local, &error),
        };
    }
    if !kind.is_dir() {
        return skip(sender, &local, &"not a file, directory or symbolic link");
    }
    send(sender, Found::Entry(entry(What::Directory)))?;
    let entries = match sorted_entries(&local) {
        Ok(entries) => entries,
        Err(error) => return skip(sender, &local, &error),
    };
    for name in entries {
        let child = local.join(OsStr::from_bytes(&name));
        match (child_path(&path, name), fs::symlink_metadata(&child)) {
            (Ok(path), Ok(metadata)) => visit(child, path, &metadata, sender)?,
            (Err(failure), _) => skip(sender, &child, &failure)?,
            (_, Err(error)) => skip(sender, &child, &error)?,
        }
    }
    send(sender, Found::Entry(entry(What::DirectoryEnd)))
}

/// The names in a directory, ascending: the same order every time, and the one in which the store
/// lists.
fn sorted_entries(dir: &Path) -> io::Result<Vec<Vec<u8>>> {
    let names = fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().as_bytes().to_vec()));
    let mut names = names.collect::<io::Result<Vec<_>>>()?;
    names.sort_unstable();
    Ok(names)
}

fn child_path(parent: &NsPath, name: Vec<u8>) -> Result<NsPath, Failure> {
    parent.join(&Name::new(name)?)
}

fn send(sender: &mpsc::Sender<Result<Found, Failure>>, found: Found) -> Result<(), Gone> {
    sender.blocking_send(Ok(found)).map_err(|_| Gone)
}

fn skip(
    sender: &mpsc::Sender<Result<Found, Failure>>,
    local: &Path,
    why: &dyn std::fmt::Display,
) -> Result<(), Gone> {
    let skipped = Skipped {
        local: local.to_owned(),
        why: why.to_string(),
    };
    send(sender, Found::Skipped(skipped))
}

/// A failure of the operating system on a local path, with what to do about it.
pub(crate) fn local_failure(action: &str, path: &Path, error: &io::Error) -> Failure {
    let (reason, advice) = match error.kind() {
        io::ErrorKind::NotFound => (Reason::NotFound, "; check the local path"),
        io::ErrorKind::PermissionDenied => (Reason::PermissionDenied, "; change its mode or owner"),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            (Reason::NoSpace, "; free some space, then repeat")
        }
        io::ErrorKind::AlreadyExists => (Reason::AlreadyExists, "; remove it, or choose another"),
        io::ErrorKind::NotADirectory => (Reason::NotDirectory, "; remove what is in the way"),
        io::ErrorKind::IsADirectory => (Reason::IsDirectory, "; remove what is in the way"),
        io::ErrorKind::DirectoryNotEmpty => (Reason::NotEmpty, "; remove what is in the way"),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidFilename => {
            (Reason::InvalidName, "; choose another place")
        }
        _ => (Reason::Io, ""),
    };
    Failure::new(
        reason,
        format!("can't {action} {}: {error}{advice}", path.display()),
    )
}
