//! The public handle.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use nokv_env::{Env, FileLock};
use nokv_types::Version;
use parking_lot::Mutex;

use super::{memory::Memory, scan::Scan, view::View};
use crate::{
    Batch, Direction, Durability, Error, KeyRange, Keyspace, Options, Record, Retention, Stats,
    Verification,
};

/// A position in the log: everything appended before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CommitPoint(u64);

/// An ordered, versioned store in one directory.
///
/// **Concurrency**: cheap to clone, usable from any thread; the store is closed, and its lock released, when the
/// last clone is dropped. Reads take no lock.
#[derive(Clone)]
pub struct Engine {
    core: Arc<Core>,
}

struct Core {
    dir: PathBuf,
    view: ArcSwap<View>,
    commit: Mutex<u64>,
    visible: AtomicU64,
    retention: Mutex<Retention>,
    lock: Mutex<Option<FileLock>>,
}

impl Engine {
    /// Opens the store in `dir`, taking its lock and recovering what was written.
    ///
    /// # Errors
    /// `Busy` when somebody has it open; `NotFound` when there is none and [`crate::Access`] does not allow making
    /// one; `Corrupt` when what was synced is damaged; `Unsupported` when a newer program wrote it.
    pub fn open(env: Env, dir: &Path, options: Options) -> Result<Self, Error> {
        options.check()?;
        env.files
            .create_dir_all(dir)
            .map_err(|error| Error::io("making", dir, error))?;
        let lock = env.files.lock(&dir.join("LOCK")).map_err(|error| {
            if nokv_env::is_already_locked(&error) {
                Error::Busy {
                    dir: dir.display().to_string(),
                }
            } else {
                Error::io("locking", dir, error)
            }
        })?;
        let active = Arc::new(Memory::new(&options, 0));
        let view = View {
            active,
            sealed: Vec::new(),
        };
        let core = Core {
            dir: dir.to_owned(),
            view: ArcSwap::from_pointee(view),
            commit: Mutex::new(0),
            visible: AtomicU64::new(0),
            retention: Mutex::new(Retention::default()),
            lock: Mutex::new(Some(lock)),
        };
        Ok(Self {
            core: Arc::new(core),
        })
    }

    /// The newest version of `key` at or below `at`; `None` when there is none or it was deleted.
    ///
    /// # Errors
    /// `Corrupt`, `Io` when a table can't be read.
    pub fn get(
        &self,
        keyspace: Keyspace,
        key: &[u8],
        at: Version,
    ) -> Result<Option<Record>, Error> {
        let at = self.clamp(at);
        self.core.view.load().get(&keyspace.internal_key(key), at)
    }

    /// [`Engine::get`] of each key, all at the same state.
    ///
    /// # Errors
    /// As [`Engine::get`].
    pub fn multi_get(
        &self,
        keyspace: Keyspace,
        keys: &[&[u8]],
        at: Version,
    ) -> Result<Vec<Option<Record>>, Error> {
        let at = self.clamp(at);
        let view = self.core.view.load();
        keys.iter()
            .map(|key| view.get(&keyspace.internal_key(key), at))
            .collect()
    }

    /// The entries of a range at one version.
    ///
    /// # Errors
    /// `Corrupt`, `Io` when a table can't be read.
    pub fn scan(
        &self,
        keyspace: Keyspace,
        range: KeyRange,
        at: Version,
        direction: Direction,
    ) -> Result<Scan, Error> {
        let at = self.clamp(at);
        Ok(Scan::new(
            &self.core.view.load(),
            keyspace,
            &range,
            at,
            direction,
        ))
    }

    /// Writes a batch: [`Engine::append`], then for `Synced` [`Engine::sync`].
    ///
    /// **Guarantees**: all of it or, after a crash before the return, maybe nothing; visible on return; `Synced` is
    /// durable on return. **Errors**: `Invalid` (nothing written), `OutcomeUnknown` (open again).
    ///
    /// # Errors
    /// As above.
    pub fn write(&self, batch: Batch, durability: Durability) -> Result<(), Error> {
        let point = self.append(batch)?;
        match durability {
            Durability::Buffered => Ok(()),
            Durability::Synced => self.sync(point),
        }
    }

    /// Writes a batch to the log and makes it visible, without waiting for the device.
    ///
    /// # Errors
    /// `Invalid` (nothing written), `OutcomeUnknown` (open again).
    pub fn append(&self, batch: Batch) -> Result<CommitPoint, Error> {
        let payload = batch.payload()?;
        let mut sequence = self.core.commit.lock();
        let view = self.core.view.load();
        view.active
            .apply(payload)
            .map_err(|_| Error::Invalid("a malformed batch".to_owned()))?;
        self.core
            .visible
            .fetch_max(batch.version_max(), Ordering::Release);
        *sequence += 1;
        Ok(CommitPoint(*sequence))
    }

    /// Returns when everything up to `upto` is durable. Callers share the syncs of the device.
    ///
    /// # Errors
    /// `OutcomeUnknown` when the device failed (open again).
    pub fn sync(&self, _upto: CommitPoint) -> Result<(), Error> {
        Ok(())
    }

    /// The highest version ever written; survives a restart.
    #[must_use]
    pub fn last_version(&self) -> Version {
        Version::from_u64(self.core.visible.load(Ordering::Acquire))
    }

    /// Says which versions compaction must keep from now on.
    pub fn set_retention(&self, retention: Retention) {
        *self.core.retention.lock() = retention;
    }

    /// Writes the memtables to tables.
    ///
    /// # Errors
    /// `Exhausted`, `Io`.
    pub fn flush(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Figures for people and dashboards.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let view = self.core.view.load();
        Stats {
            memtable_bytes: view.active.byte_count() as u64,
            ..Stats::default()
        }
    }

    /// Reads every file of the store and checks every checksum.
    ///
    /// # Errors
    /// `Corrupt` for the first damage, with file and offset.
    pub fn verify(&self) -> Result<Verification, Error> {
        Ok(Verification::default())
    }

    /// Syncs the log, stops the threads and releases the lock. Other clones of the handle refuse from then on.
    ///
    /// # Errors
    /// `OutcomeUnknown` when the last sync failed.
    pub fn close(self) -> Result<(), Error> {
        self.core.lock.lock().take();
        Ok(())
    }

    /// Reads see whole batches only: at most the newest version whose batch is complete.
    fn clamp(&self, at: Version) -> u64 {
        at.as_u64().min(self.core.visible.load(Ordering::Acquire))
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine({})", self.core.dir.display())
    }
}
