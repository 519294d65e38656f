//! Advisory locks, held for everybody who mounts the store.
//!
//! Locks of fcntl(2) belong to a process, those of flock(2) to an open file. Both arrive here as
//! ranges with an owner, as over NFS: a lock of the one kind keeps out one of the other, unless the
//! owner is the same.
//!
//! Invariants:
//! - what was written under a lock is flushed before the lock is given back, and who gets it reads
//!   the file anew: so what locks order is ordered for bytes too;
//! - closing a descriptor gives back what its owner holds of the file.

use crate::core::Core;
use crate::data::own_node;
use crate::errno;
use crate::notices::Notice;
use fuser::{Errno, INodeNo};
use nokv_client::{HeldLock, LiveSession, LockFamily, LockKind, LockPlace, LockRange, WantedLock};
use nokv_env::OpenMode;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;
use tokio::sync::OnceCell;

/// How long locks outlive a mount that is gone.
const LIFE_MILLIS: u64 = 30_000;
/// Between two looks whether who waits for a lock was sent a signal: the kernel tells no one.
const SIGNAL_PAUSE: Duration = Duration::from_millis(50);
/// As fcntl(2) numbers them.
const SHARED: i32 = 0;
const EXCLUSIVE: i32 = 1;
/// As fcntl(2) numbers it.
pub(crate) const UNLOCKED: i32 = 2;
/// Bytes of a process's status in /proc.
const STATUS_BYTES: usize = 8192;

/// The locks of a mount. Dropped, its session is closed, and its locks with it.
pub(crate) struct Locks {
    session: OnceCell<LiveSession>,
    /// Which owners may hold something of which inode.
    owners: Mutex<HashSet<(u64, u64)>>,
}

/// A lock as the kernel names it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) number: INodeNo,
    pub(crate) owner: u64,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) kind: i32,
    pub(crate) process: u32,
}

/// Whether a lock is waited for, and on whose behalf.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wait {
    Never,
    UntilSignal { thread: u32 },
}

impl Locks {
    pub(crate) fn new() -> Self {
        Self {
            session: OnceCell::new(),
            owners: Mutex::default(),
        }
    }
}

impl Core {
    async fn lock_session(&self) -> Result<&LiveSession, Errno> {
        let label = format!("mount at {}", self.options.mountpoint.display());
        let open = || self.client.open_live_session(&label, LIFE_MILLIS);
        let session = self.locks.session.get_or_try_init(open).await;
        session.map_err(|failure| errno::of_failure(&failure))
    }

    /// What a lock is in the store's terms.
    fn wanted(&self, ask: &Ask) -> Result<WantedLock, Errno> {
        let (branch, node) = own_node(self.inode(ask.number)?).ok_or(Errno::EINVAL)?;
        // The kernel's offsets have 63 bits; its last one means the end, wherever that is.
        let end = match ask.end {
            end if end >= i64::MAX as u64 => u64::MAX,
            end => end,
        };
        Ok(WantedLock {
            place: LockPlace {
                branch,
                node,
                family: LockFamily::Range,
                owner: ask.owner,
            },
            process: ask.process,
            kind: match ask.kind {
                EXCLUSIVE => LockKind::Exclusive,
                _ => LockKind::Shared,
            },
            range: LockRange::new(ask.start, end).map_err(|_| Errno::EINVAL)?,
        })
    }

    /// F_SETLK, F_SETLKW, flock(2). **Errors**: `EAGAIN`, `EINTR`, `EDEADLK`.
    pub(crate) async fn set_lock(&self, ask: Ask, wait: Wait) -> Result<(), Errno> {
        if ask.kind == UNLOCKED {
            return self.unlock(&ask).await;
        }
        let wanted = self.wanted(&ask)?;
        let session = self.lock_session().await?;
        self.locks.owners.lock().insert((ask.number.0, ask.owner));
        match wait {
            Wait::Never => {
                let held = session.try_lock(wanted).await;
                if held
                    .map_err(|failure| errno::of_failure(&failure))?
                    .is_some()
                {
                    return Err(Errno::EAGAIN);
                }
            }
            Wait::UntilSignal { thread } => tokio::select! {
                locked = session.lock(wanted) => {
                    locked.map_err(|failure| errno::of_failure(&failure))?;
                }
                () = self.signalled(thread) => return Err(Errno::EINTR),
            },
        }
        self.read_anew(ask.number).await;
        Ok(())
    }

    async fn unlock(&self, ask: &Ask) -> Result<(), Errno> {
        let wanted = self.wanted(ask)?;
        if let Some(file) = self.files.get(ask.number.0) {
            self.flush(&file, ask.number.0).await?;
        }
        let session = self.lock_session().await?;
        let unlocked = session.unlock(wanted.place, wanted.range).await;
        unlocked.map_err(|failure| errno::of_failure(&failure))
    }

    /// A descriptor was closed: its owner gives back what it holds of the file.
    pub(crate) async fn unlock_all(&self, number: INodeNo, owner: u64) {
        if !self.locks.owners.lock().remove(&(number.0, owner)) {
            return;
        }
        let ask = Ask {
            number,
            owner,
            start: 0,
            end: u64::MAX,
            kind: UNLOCKED,
            process: 0,
        };
        if let Err(error) = self.unlock(&ask).await {
            tracing::warn!(
                inode = number.0,
                errno = error.code(),
                "a lock is left to expire"
            );
        }
    }

    /// What is in the way of a lock. F_GETLK.
    pub(crate) async fn find_lock(&self, ask: &Ask) -> Result<Option<HeldLock>, Errno> {
        let wanted = self.wanted(ask)?;
        let held = self.lock_session().await?.test_lock(&wanted).await;
        held.map_err(|failure| errno::of_failure(&failure))
    }

    /// Forgets what is known of the bytes of a file that somebody else may have changed, here and
    /// in the kernel.
    async fn read_anew(&self, number: INodeNo) {
        let Ok(inode) = self.inode(number) else {
            return;
        };
        let Ok(node) = self.node(inode).await else {
            return;
        };
        if self.changed.is_known(node.version) {
            return;
        }
        if let Some(file) = self.files.get(number.0) {
            file.learn(&node);
        }
        let (told, telling) = tokio::sync::oneshot::channel();
        self.notices.tell(Notice::Bytes(number));
        self.notices.tell(Notice::Barrier(told));
        // A mount that ends tells nobody.
        if telling.await.is_err() {
            tracing::debug!("the mount ends");
        }
    }

    /// Ends when a thread has a signal that it does not block, or is gone.
    async fn signalled(&self, thread: u32) {
        loop {
            tokio::time::sleep(SIGNAL_PAUSE).await;
            let path = format!("/proc/{thread}/status");
            let Ok(file) = self.env.files.open(Path::new(&path), OpenMode::Read) else {
                return;
            };
            let mut text = vec![0; STATUS_BYTES];
            let Ok(count) = file.read_full_at(&mut text, 0) else {
                return;
            };
            text.truncate(count);
            if is_signalled(&String::from_utf8_lossy(&text)) {
                return;
            }
        }
    }
}

/// The kind of a lock that is in the way, as fcntl(2) numbers it.
pub(crate) const fn kind_number(held: &HeldLock) -> i32 {
    match held.kind {
        LockKind::Shared => SHARED,
        LockKind::Exclusive => EXCLUSIVE,
    }
}

/// Whether the status of a thread tells of a signal that it would act on.
fn is_signalled(status: &str) -> bool {
    let mask = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok())
            .unwrap_or(0)
    };
    let pending = mask("SigPnd:") | mask("ShdPnd:");
    pending & !mask("SigBlk:") & !mask("SigIgn:") != 0
}

#[cfg(test)]
mod tests {
    use super::is_signalled;

    #[test]
    fn a_signal_counts_unless_it_is_blocked_or_ignored() {
        let status = |pending: &str, shared: &str, blocked: &str, ignored: &str| {
            format!(
                "Name:\tx\nSigPnd:\t{pending}\nShdPnd:\t{shared}\nSigBlk:\t{blocked}\nSigIgn:\t{ignored}\n"
            )
        };
        assert!(!is_signalled(&status("0", "0", "0", "0")));
        assert!(is_signalled(&status("0100", "0", "0", "0")));
        assert!(is_signalled(&status("0", "4000", "0", "2000")));
        assert!(!is_signalled(&status("0", "4000", "4000", "0")));
        assert!(!is_signalled(&status("100", "0", "0", "100")));
    }
}
