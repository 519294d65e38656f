//! The public handle.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use nokv_env::{Env, JoinHandle};
use nokv_types::Version;
use parking_lot::Mutex;

use super::{core::Core, open::open, scan::Scan};
use crate::{
    Batch, Direction, Durability, Error, KeyRange, Keyspace, Options, Record, Retention, Stats,
    Verification, VerifyOptions,
    compaction::KeySpan,
    moment::{Asked, Moment, present},
};

/// A position in the log: everything appended up to it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CommitPoint(u64);

/// An ordered, versioned store in one directory.
///
/// **Concurrency**: cheap to clone, usable from any thread; the store is closed, and its lock
/// released, when the last clone is dropped. Reads take no lock.
#[derive(Clone)]
pub struct Engine {
    handle: Arc<Handle>,
}

/// The last one closes the store.
struct Handle {
    core: Arc<Core>,
    threads: Mutex<Vec<JoinHandle>>,
}

impl Engine {
    /// Opens the store in `dir`, taking its lock and recovering what was written.
    ///
    /// # Errors
    /// `Busy` when somebody has it open; `NotFound` when there is none and [`crate::Access`] does
    /// not allow making one; `Corrupt` when what was synced is damaged; `Unsupported` when a newer
    /// program wrote it.
    pub fn open(env: Env, dir: &Path, options: Options) -> Result<Self, Error> {
        let core = Arc::new(open(&env, dir, options)?);
        let threads = Mutex::new(Core::start_threads(&core)?);
        Ok(Self {
            handle: Arc::new(Handle { core, threads }),
        })
    }

    /// The newest version of `key` at or below `at`; `None` when there is none, it was deleted or
    /// has expired ([`Batch::put_expiring`]).
    ///
    /// # Errors
    /// `Corrupt`, `Io` when a table can't be read.
    pub fn get(
        &self,
        keyspace: Keyspace,
        key: &[u8],
        at: Version,
    ) -> Result<Option<Record>, Error> {
        self.get_asked(keyspace, key, Asked::Version(at))
    }

    pub(crate) fn get_asked(
        &self,
        keyspace: Keyspace,
        key: &[u8],
        asked: Asked,
    ) -> Result<Option<Record>, Error> {
        let (core, visible) = self.reading()?;
        let moment = Moment::new(asked, visible, &*core.env.clock);
        let key = keyspace.internal_key(key);
        let is_sample = core.hot_keys.observe(&key);
        let view = core.view.load();
        let record = view.get(&key, &moment)?;
        if is_sample {
            core.read_costs.offer(&view, &key, &moment);
        }
        Ok(record)
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
        self.multi_get_asked(keyspace, keys, Asked::Version(at))
    }

    pub(crate) fn multi_get_asked(
        &self,
        keyspace: Keyspace,
        keys: &[&[u8]],
        asked: Asked,
    ) -> Result<Vec<Option<Record>>, Error> {
        let (core, visible) = self.reading()?;
        let moment = Moment::new(asked, visible, &*core.env.clock);
        let view = core.view.load();
        let get = |key: &&[u8]| {
            let key = keyspace.internal_key(key);
            let is_sample = core.hot_keys.observe(&key);
            let record = view.get(&key, &moment)?;
            if is_sample {
                core.read_costs.offer(&view, &key, &moment);
            }
            Ok(record)
        };
        keys.iter().map(get).collect()
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
        self.scan_asked(keyspace, &range, Asked::Version(at), direction)
    }

    pub(crate) fn scan_asked(
        &self,
        keyspace: Keyspace,
        range: &KeyRange,
        asked: Asked,
        direction: Direction,
    ) -> Result<Scan, Error> {
        let (core, visible) = self.reading()?;
        let moment = Moment::new(asked, visible, Arc::clone(&core.env.clock));
        Scan::new(&core.view.load(), keyspace, range, moment, direction)
    }

    /// Writes a batch: [`Engine::append`], then for `Synced` [`Engine::sync`].
    ///
    /// **Guarantees**: all of it or, after a crash before the return, maybe nothing; visible on
    /// return; `Synced` is durable on return.
    ///
    /// # Errors
    /// `Invalid`, `Exhausted` (nothing written); `OutcomeUnknown` (open again).
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
    /// `Invalid`, `Exhausted` (nothing written); `OutcomeUnknown` (open again).
    pub fn append(&self, batch: Batch) -> Result<CommitPoint, Error> {
        self.handle.core.append(batch).map(CommitPoint)
    }

    /// Returns when everything up to `upto` is durable. Callers share the syncs of the device.
    ///
    /// # Errors
    /// `OutcomeUnknown` when the device failed (open again).
    pub fn sync(&self, upto: CommitPoint) -> Result<(), Error> {
        self.handle.core.writing()?.log.sync(upto.0)
    }

    /// Returns when everything that was written before is durable.
    ///
    /// # Errors
    /// As [`Engine::sync`].
    pub fn sync_all(&self) -> Result<(), Error> {
        let log = &self.handle.core.writing()?.log;
        log.sync(log.appended())
    }

    /// The present: the clock, or the highest version if that is later.
    pub(crate) fn present(&self) -> Version {
        let now_millis = self.handle.core.env.clock.now_millis();
        Version::from_u64(present(now_millis, self.last_version().as_u64()))
    }

    /// The highest version ever written; survives a restart.
    #[must_use]
    pub fn last_version(&self) -> Version {
        Version::from_u64(self.handle.core.visible.load(Ordering::Acquire))
    }

    /// Of a store with an external log: everything up to this index of it is durable here, so the
    /// log must be kept, and after opening applied again, from the next one on. 0 for a store with
    /// a log of its own.
    #[must_use]
    pub fn applied_index(&self) -> u64 {
        self.handle.core.applied_index.load(Ordering::Acquire)
    }

    /// Turns a store with a log of its own over to an external log, whose entries up to
    /// `applied_index` are in the store already; then closes it. From then on it opens only with
    /// [`crate::LogMode::External`]. There is no way back.
    ///
    /// # Errors
    /// `Invalid` when there are other handles, or the store has an external log; what
    /// [`Engine::flush`] and [`Engine::close`] return. The store is closed in any case.
    pub fn into_external_log(mut self, applied_index: u64) -> Result<(), Error> {
        let Some(handle) = Arc::get_mut(&mut self.handle) else {
            let message = "a store with other handles can't be turned over: drop them first";
            return Err(Error::Invalid(message.to_owned()));
        };
        // Nobody else can write from here on.
        handle.core.flush()?;
        handle.core.turn_over(applied_index)?;
        handle.close()
    }

    /// Says which versions compaction must keep from now on. Until it is said after opening, all
    /// are kept.
    pub fn set_retention(&self, retention: Retention) {
        self.handle.core.set_retention(retention);
    }

    /// Writes the memtables to tables and returns when they are durable.
    ///
    /// # Errors
    /// `Exhausted`, `Io`: the data is still in the log. `Closed`, `ReadOnly`.
    pub fn flush(&self) -> Result<(), Error> {
        self.handle.core.flush()
    }

    /// Moves what is live out of every file of the value log that has garbage, and returns when
    /// those files are gone, but for what readers still hold. Compaction does it by itself where
    /// it pays ([`Options::value_garbage_percent`]).
    ///
    /// # Errors
    /// `Corrupt` when a value is damaged; `Exhausted`, `Io`, `Closed`, `ReadOnly`.
    pub fn collect_values(&self) -> Result<(), Error> {
        self.handle.core.collect_values()
    }

    /// Compacts a range of a keyspace in full, in this thread: afterwards it is in the lowest level
    /// alone, without anything that retention lets go. The store goes on meanwhile.
    ///
    /// **Shape**: `progress` is called after each step, a few tables each; [`Engine::stats`] then
    /// says how far the levels are. What is written during the call may stay above.
    ///
    /// # Errors
    /// `Exhausted`, `Io`, `Corrupt`: what was done so far stays done. `Closed`, `ReadOnly`.
    pub fn compact_range(
        &self,
        keyspace: Keyspace,
        range: &KeyRange,
        progress: &mut dyn FnMut(),
    ) -> Result<(), Error> {
        let largest = range.end().map_or_else(
            || vec![keyspace.get().saturating_add(1)],
            |end| keyspace.internal_key(end).to_vec(),
        );
        let span = KeySpan {
            smallest: keyspace.internal_key(range.start()).to_vec(),
            largest,
        };
        self.handle.core.compact_range(&span, progress)
    }

    /// Figures for people and dashboards.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.handle.core.stats()
    }

    /// [`Engine::verify_with`] without limits, for those who want to know whether all is well.
    ///
    /// # Errors
    /// `Corrupt` for the first damage, with file and offset; `Io`, `Closed`, `ReadOnly`.
    pub fn verify(&self) -> Result<Verification, Error> {
        let verification = self.verify_with(&VerifyOptions::default(), &mut |_| {})?;
        match verification.damages.first() {
            Some(damage) => Err(damage.to_error(self.dir())),
            None => Ok(verification),
        }
    }

    /// Syncs the log, stops the threads and releases the lock. Other clones of the handle refuse
    /// from then on.
    ///
    /// # Errors
    /// `OutcomeUnknown` when the last sync failed.
    pub fn close(self) -> Result<(), Error> {
        self.handle.close()
    }

    /// What tables and memtables say is live of each value-log file, bytes.
    #[cfg(test)]
    pub(crate) fn live_values_for_test(&self) -> std::collections::BTreeMap<u64, u64> {
        let live = self.handle.core.view.load().value_refs();
        live.iter().map(|(file, live)| (file, live.bytes)).collect()
    }

    /// The same, counted anew from every entry.
    #[cfg(test)]
    pub(crate) fn count_values_for_test(
        &self,
    ) -> Result<std::collections::BTreeMap<u64, u64>, Error> {
        let mut counted = std::collections::BTreeMap::new();
        let view = self.handle.core.view.load();
        view.each_value(&mut |key, _, pointer| {
            *counted.entry(pointer.file).or_default() += pointer.entry_bytes(key.len());
            Ok(())
        })?;
        Ok(counted)
    }

    /// Compacts until there is nothing to do, in this thread.
    #[cfg(test)]
    pub(crate) fn compact_for_test(&self) -> Result<(), Error> {
        self.handle.core.compact_all()
    }

    /// The store, for the parts of the crate that work on it as a whole.
    pub(super) fn core(&self) -> &Core {
        &self.handle.core
    }

    /// What the log counts as its bytes on disk.
    #[cfg(test)]
    pub(crate) fn log_bytes_for_test(&self) -> u64 {
        let writing = self.handle.core.writing.as_ref();
        writing.map_or(0, |writing| writing.log.disk_bytes())
    }

    /// The store, and the newest version whose batch is complete: reads see whole batches only.
    ///
    /// It is asked for before the view is loaded: a view that is newer has nothing less, one that
    /// is older might.
    fn reading(&self) -> Result<(&Core, u64), Error> {
        let core = &self.handle.core;
        core.check_open()?;
        Ok((core, core.visible.load(Ordering::Acquire)))
    }
}

impl Handle {
    fn close(&self) -> Result<(), Error> {
        if self.core.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let outcome = self.core.finish();
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the store panicked");
            }
        }
        // Only now may somebody else open it.
        self.core.lock.lock().take();
        outcome
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, "the store was not closed cleanly");
        }
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine({})", self.handle.core.dir.display())
    }
}
