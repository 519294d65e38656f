//! What all handles and threads of an open store share.
//!
//! # Locks, in the order in which they may be taken
//! `flushing` (one flush at a time), `compactions` (what has been taken), `commit` (one writer of
//! log and memtable), `manifest` (one editor), `install` (one replacer of the view), `signal`
//! (background state). Readers take none.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use nokv_env::{Env, FileLock};
use nokv_types::Version;
use parking_lot::{Condvar, Mutex};

use super::{
    background::Progress, compact::Compactions, intake::Intake, read_cost::ReadCosts,
    removals::Removals, throttle::Pacer, view::View, watchdog::LogWatch,
};
use crate::{
    Error, LogMode, Options, Retention,
    cache::BlockCache,
    compaction::RateLimiter,
    hot_keys::{HotKeys, HotKeysOptions},
    manifest::Manifest,
    mark::Mark,
    moment::present,
    vlog::ValueLog,
    wal::{Appender, Log},
};

/// A memtable over this is written to a table when the store is closed: reading it from the log at
/// the next open would take longer than opening may (some 100 MiB/s).
const CLOSE_FLUSH_BYTES: usize = 4 << 20;

/// An open store.
pub(super) struct Core {
    pub(super) env: Env,
    pub(super) dir: PathBuf,
    pub(super) options: Options,
    pub(super) view: ArcSwap<View>,
    install: Mutex<()>,
    /// Versions up to it are of batches that are complete in the memtable.
    pub(super) visible: AtomicU64,
    /// The highest index of an external log up to which all is in tables.
    pub(super) applied_index: AtomicU64,
    /// Which keys are read most.
    pub(super) hot_keys: HotKeys,
    /// What reads touch.
    pub(super) read_costs: ReadCosts,
    pub(super) retention: Mutex<Arc<Retention>>,
    pub(super) writing: Option<Writing>,
    pub(super) cache: Arc<BlockCache>,
    pub(super) counters: Counters,
    /// Shared by all compactions.
    pub(super) limiter: Option<RateLimiter>,
    pub(super) lock: Mutex<Option<FileLock>>,
    pub(super) closed: AtomicBool,
    pub(super) removals: Removals,
}

/// What only a store that is open for writing has.
pub(super) struct Writing {
    pub(super) log: Log,
    pub(super) values: ValueLog,
    pub(super) mark: Arc<Mark>,
    pub(super) commit: Mutex<Appender>,
    pub(super) intake: Intake,
    /// One flush at a time.
    pub(super) flushing: Mutex<()>,
    /// The compactions that run.
    pub(super) compactions: Compactions,
    /// Lines writers up when there is pressure.
    pub(super) pacer: Pacer,
    /// Set when the store is closed: a compaction ends early.
    pub(super) cancel: AtomicBool,
    /// The highest index of an external log that was written.
    pub(super) applied: AtomicU64,
    pub(super) log_watch: Mutex<LogWatch>,
    pub(super) manifest: Mutex<Manifest>,
    pub(super) signal: Mutex<Signal>,
    /// Told when there may be work for a thread.
    pub(super) work: Condvar,
    /// Told when work was done, or failed.
    pub(super) progress: Condvar,
}

/// What threads and writers tell each other.
#[derive(Debug, Default)]
pub(super) struct Signal {
    pub(super) is_stopping: bool,
    /// Why background work failed; it is tried again, and writers that must wait for it are told.
    pub(super) failure: Option<Error>,
    /// Counts whatever may have made work for a thread: who looked for some at one count need not
    /// look again before the next.
    pub(super) generation: u64,
}

/// Counters since the store was opened.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) batches: AtomicU64,
    /// Of batches as callers made them.
    pub(super) user_bytes: AtomicU64,
    /// Of entries of the value log that writes appended.
    pub(super) value_append_bytes: AtomicU64,
    pub(super) flushes: AtomicU64,
    pub(super) flush_bytes: AtomicU64,
    pub(super) compactions: AtomicU64,
    pub(super) compaction_read_bytes: AtomicU64,
    pub(super) compaction_write_bytes: AtomicU64,
    pub(super) slowdowns: AtomicU64,
    pub(super) stalls: AtomicU64,
    pub(super) stall_micros: AtomicU64,
    pub(super) value_collections: AtomicU64,
    pub(super) relocated_bytes: AtomicU64,
}

impl Counters {
    pub(super) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }
}

impl Core {
    pub(super) fn new(
        (env, dir, options): (&Env, &Path, Options),
        (view, cache): (View, Arc<BlockCache>),
        (visible, applied_index): (u64, u64),
        writing: Option<Writing>,
        lock: FileLock,
    ) -> Self {
        let rate = options.compaction_bytes_per_second;
        Self {
            env: env.clone(),
            dir: dir.to_owned(),
            options,
            limiter: rate.map(|rate| RateLimiter::new(Arc::clone(&env.clock), rate)),
            view: ArcSwap::from_pointee(view),
            install: Mutex::new(()),
            visible: AtomicU64::new(visible),
            applied_index: AtomicU64::new(applied_index),
            hot_keys: HotKeys::new(HotKeysOptions::default()),
            read_costs: ReadCosts::default(),
            retention: Mutex::new(Arc::new(Retention::default())),
            writing,
            cache,
            counters: Counters::default(),
            lock: Mutex::new(Some(lock)),
            closed: AtomicBool::new(false),
            removals: Removals::default(),
        }
    }

    /// # Errors
    /// `Closed`.
    pub(super) fn check_open(&self) -> Result<(), Error> {
        if self.closed.load(Ordering::Acquire) {
            Err(Error::Closed)
        } else {
            Ok(())
        }
    }

    /// What writing needs.
    ///
    /// # Errors
    /// `Closed`, `ReadOnly`.
    pub(super) fn writing(&self) -> Result<&Writing, Error> {
        self.check_open()?;
        self.writing.as_ref().ok_or(Error::ReadOnly)
    }

    /// The last work of a store: what was written is synced, threads are told to stop.
    ///
    /// # Errors
    /// `OutcomeUnknown` when the log could not be synced.
    pub(super) fn finish(&self) -> Result<(), Error> {
        let Some(writing) = &self.writing else {
            return Ok(());
        };
        writing.cancel.store(true, Ordering::Release);
        writing.signal.lock().is_stopping = true;
        writing.work.notify_all();
        writing.progress.notify_all();
        // Whoever is writing now finishes first; whoever comes later is refused.
        let appender = writing.commit.lock();
        let outcome = writing.log.sync(writing.log.appended());
        drop(appender);
        let is_worth_it = match self.options.log {
            LogMode::Own => self.view.load().active.byte_count() > CLOSE_FLUSH_BYTES,
            // Whatever stays in memory is applied again from far away.
            LogMode::External => true,
        };
        if outcome.is_ok() && is_worth_it {
            self.flush_at_close(writing);
        }
        writing.mark.sync();
        outcome
    }

    /// Everything is in a log already, so a failure costs only time at the next open.
    fn flush_at_close(&self, writing: &Writing) {
        self.seal_active(writing);
        loop {
            match self.flush_one(writing) {
                Ok(Progress::Done) => {}
                Ok(Progress::Idle) => return,
                Err(error) => {
                    tracing::warn!(%error, "the memtable could not be flushed at close");
                    return;
                }
            }
        }
    }

    /// Replaces the view by what `change` makes of it.
    pub(super) fn install(&self, change: impl FnOnce(&mut View)) {
        let _guard = self.install.lock();
        let mut view = View::clone(&self.view.load());
        change(&mut view);
        self.view.store(Arc::new(view));
    }

    /// What a compaction that begins now must keep.
    ///
    /// Its horizon is never in the future, whatever was asked for: there, what has not expired yet
    /// would be taken for expired.
    pub(super) fn retention_now(&self) -> Retention {
        let mut retention = Retention::clone(&self.retention.lock());
        let present = present(
            self.env.clock.now_millis(),
            self.visible.load(Ordering::Acquire),
        );
        retention.horizon = retention.horizon.min(Version::from_u64(present));
        retention
    }
}

impl Writing {
    /// Wakes the threads.
    pub(super) fn wake_workers(&self) {
        self.signal.lock().generation += 1;
        self.work.notify_all();
    }

    /// Notes that background work was done, or why it was not, and wakes those who wait for it.
    pub(super) fn note_progress(&self, failure: Option<Error>) {
        let mut signal = self.signal.lock();
        signal.generation += 1;
        signal.failure = failure;
        self.progress.notify_all();
        self.work.notify_all();
    }
}
