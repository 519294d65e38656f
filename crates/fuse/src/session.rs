//! A mount from beginning to end.

use crate::core::Core;
use crate::door::Door;
use crate::notices;
use crate::options::{MountAccess, MountOptions, Sharing};
use fuser::{BackgroundSession, Config, MountOption, Session, SessionACL};
use nokv_client::{Client, Durability, Follow};
use nokv_env::Env;
use nokv_types::{Failure, NodeKind, Reason};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Between two looks at what waits to be flushed or synced: a quarter of the interval, so that what
/// waits is at most a quarter late.
const LOOKS_PER_INTERVAL: u32 = 4;
/// Files that are flushed beside each other in the background.
const FLUSHES_MAX: usize = 8;

/// A mounted namespace. Dropping it unmounts; [`Mounted::unmount`] says how that went.
pub struct Mounted {
    core: Arc<Core>,
    session: Option<BackgroundSession>,
    tasks: Vec<JoinHandle<()>>,
}

impl Mounted {
    /// Mounts. When this returns, the file system can be used.
    ///
    /// **Errors**: `NotFound`, `NotDirectory` for the path in the namespace; `Io`,
    /// `PermissionDenied` for the mountpoint.
    pub async fn mount(client: &Client, env: Env, options: MountOptions) -> Result<Self, Failure> {
        let client = client.with_durability(Durability::Buffered);
        let root = client.lookup(&options.path, Follow::Yes).await?;
        if root.attributes.kind != NodeKind::Directory {
            let flaw = format!("{} is no directory; mount one", options.path);
            return Err(Failure::new(Reason::NotDirectory, flaw));
        }
        let config = config(&options);
        let mountpoint = options.mountpoint.clone();
        let core = Arc::new(Core::new(client, env, &root, options));
        let door = Door::new(Arc::clone(&core), tokio::runtime::Handle::current());
        let failed = |error: std::io::Error| mount_failure(&mountpoint, &error);
        let path = mountpoint.clone();
        let session = tokio::task::spawn_blocking(move || {
            Session::new(door, &path, &config).and_then(Session::spawn)
        });
        let session = session
            .await
            .map_err(|_| Failure::new(Reason::Io, "mounting was stopped"))?
            .map_err(failed)?;
        let mut tasks = Vec::new();
        if core.options.access != MountAccess::Frozen {
            notices::start(&core, session.notifier()).map_err(failed)?;
            tasks.push(tokio::spawn(notices::watch(Arc::clone(&core))));
        }
        tasks.push(tokio::spawn(keep_durable(Arc::clone(&core))));
        Ok(Self {
            core,
            session: Some(session),
            tasks,
        })
    }

    /// Waits until somebody has unmounted it.
    pub async fn ended(&mut self) {
        while let Some(session) = &self.session
            && !session.guard.is_finished()
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Unmounts, and makes everything durable that was acknowledged.
    ///
    /// **Errors**: those of flushing and syncing; the mount is gone all the same.
    pub async fn unmount(mut self) -> Result<(), Failure> {
        if let Some(session) = self.session.take() {
            let ended = tokio::task::spawn_blocking(move || session.umount_and_join()).await;
            if let Ok(Err(error)) = ended {
                tracing::debug!(%error, "the mount had ended already");
            }
        }
        for task in std::mem::take(&mut self.tasks) {
            task.abort();
        }
        let failed = |_| Failure::new(Reason::Io, "some of what was written could not be stored");
        for (number, file) in self.core.files.select(crate::file::File::is_dirty) {
            self.core.flush(&file, number).await.map_err(failed)?;
        }
        self.core.uploads.end().await;
        self.core.sync().await.map_err(failed)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl fmt::Debug for Mounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mounted")
            .field("mountpoint", &self.core.options.mountpoint)
            .finish_non_exhaustive()
    }
}

/// Flushes and syncs what has waited for the interval.
async fn keep_durable(core: Arc<Core>) {
    let interval = core.options.sync_interval;
    let pause = (interval / LOOKS_PER_INTERVAL).max(Duration::from_millis(1));
    let interval = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
    let mut synced = core.monotonic_millis();
    loop {
        tokio::time::sleep(pause).await;
        let now = core.monotonic_millis();
        let due = core.files.select(|file| {
            file.dirty_since()
                .is_some_and(|since| now.saturating_sub(since) >= interval)
        });
        let mut flushes = tokio::task::JoinSet::new();
        for (number, file) in due {
            while flushes.len() >= FLUSHES_MAX {
                flushes.join_next().await;
            }
            let core = Arc::clone(&core);
            flushes.spawn(async move {
                // It is tried again, and whoever closes or syncs the file is told.
                if core.flush(&file, number).await.is_err() {
                    tracing::debug!(number, "a file could not be flushed yet");
                }
            });
        }
        while flushes.join_next().await.is_some() {}
        if now.saturating_sub(synced) >= interval {
            core.sync_if_needed().await;
            synced = now;
        }
    }
}

fn config(options: &MountOptions) -> Config {
    let mut config = Config::default();
    let writable = match options.access {
        MountAccess::ReadWrite => MountOption::RW,
        MountAccess::ReadOnly | MountAccess::Frozen => MountOption::RO,
    };
    config.mount_options = vec![
        MountOption::FSName("nokv".to_owned()),
        MountOption::Subtype("nokv".to_owned()),
        MountOption::DefaultPermissions,
        writable,
    ];
    config.acl = match options.sharing {
        Sharing::Everybody => SessionACL::All,
        Sharing::Owner => SessionACL::Owner,
    };
    if options.sharing == Sharing::Everybody {
        config
            .mount_options
            .extend([MountOption::Dev, MountOption::Suid]);
    }
    config.n_threads = Some(options.threads.max(1));
    config.clone_fd = options.threads > 1;
    config
}

fn mount_failure(mountpoint: &std::path::Path, error: &std::io::Error) -> Failure {
    let reason = match error.kind() {
        std::io::ErrorKind::NotFound => Reason::NotFound,
        std::io::ErrorKind::PermissionDenied => Reason::PermissionDenied,
        std::io::ErrorKind::NotADirectory => Reason::NotDirectory,
        _ => Reason::Io,
    };
    let shown = mountpoint.display();
    let advice = match reason {
        Reason::NotFound => "; does it exist, and is there a /dev/fuse?",
        Reason::PermissionDenied => "; mount as root, or install fuse3",
        _ => "",
    };
    Failure::new(reason, format!("can't mount at {shown}: {error}{advice}"))
}
