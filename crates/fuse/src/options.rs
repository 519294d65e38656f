//! What a mount is asked to be.

use nokv_types::NsPath;
use std::path::PathBuf;
use std::time::Duration;

/// Options of a mount.
#[derive(Clone, Debug)]
pub struct MountOptions {
    /// Where it appears: an existing directory.
    pub mountpoint: PathBuf,
    /// What of the namespace is its root.
    pub path: NsPath,
    /// Whether it can be changed.
    pub access: MountAccess,
    /// Who may use it.
    pub sharing: Sharing,
    /// How long the kernel believes names and attributes that nobody has told it to forget.
    pub cache_for: Duration,
    /// How long what was acknowledged may be lost by a power cut, unless it is synced.
    pub sync_interval: Duration,
    /// Where bytes wait that were written and not flushed, beyond what memory holds.
    pub staging_dir: PathBuf,
    /// Threads that take requests from the kernel.
    pub threads: usize,
}

/// Whether a mount can be changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MountAccess {
    /// It can.
    ReadWrite,
    /// It can't; the tree below may change all the same.
    ReadOnly,
    /// It can't, and what it shows never changes: the kernel may keep it for ever.
    Frozen,
}

/// Who may use a mount.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sharing {
    /// Every user, by the permissions of the files. Takes the super-user, or `user_allow_other`
    /// in /etc/fuse.conf.
    Everybody,
    /// Whoever mounted it.
    Owner,
}

impl MountOptions {
    /// Names and attributes are believed for ten seconds: watches tell the kernel of changes
    /// within milliseconds, this bounds what a lost connection can hide.
    pub const CACHE_FOR_DEFAULT: Duration = Duration::from_secs(10);
    /// As a local file system's journal, but shorter.
    pub const SYNC_INTERVAL_DEFAULT: Duration = Duration::from_secs(1);
    /// Two, each with a queue of its own: what waits is handed on, so more only contend.
    pub const THREADS_DEFAULT: usize = 2;

    /// The whole namespace at `mountpoint`, as usual.
    #[must_use]
    pub fn new(mountpoint: PathBuf) -> Self {
        let sharing = if rustix::process::geteuid().is_root() {
            Sharing::Everybody
        } else {
            Sharing::Owner
        };
        Self {
            mountpoint,
            path: NsPath::root(),
            access: MountAccess::ReadWrite,
            sharing,
            cache_for: Self::CACHE_FOR_DEFAULT,
            sync_interval: Self::SYNC_INTERVAL_DEFAULT,
            staging_dir: std::env::temp_dir(),
            threads: Self::THREADS_DEFAULT,
        }
    }
}
