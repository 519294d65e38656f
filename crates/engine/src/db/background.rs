//! The threads of a store: one that flushes, some that compact.
//!
//! Invariants: a thread holds the core, never the handle, so dropping the last handle stops it; a
//! failure is remembered for the writers that wait and is tried again, since a full device may have
//! space later.

use std::{sync::Arc, time::Duration};

use nokv_env::JoinHandle;

use super::core::{Core, Writing};
use crate::{Error, Options, compaction::Effort};

/// A failed flush or compaction is tried again after this long: long enough not to fill the log
/// file, short enough that nobody waits for it when space was made.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Core {
    /// Starts the threads of a store that is open for writing.
    ///
    /// # Errors
    /// `Io` when the machine has no thread left.
    pub(super) fn start_threads(core: &Arc<Self>) -> Result<Vec<JoinHandle>, Error> {
        if core.writing.is_none() {
            return Ok(Vec::new());
        }
        let spawn = |name: &str, work: fn(&Self, &Writing) -> Result<Progress, Error>| {
            let own = Arc::clone(core);
            core.env
                .spawn
                .spawn(name, Box::new(move || own.run_thread(work)))
                .map_err(|error| Error::io("starting the threads of", &core.dir, error))
        };
        let mut threads = vec![spawn("nokv-flush", |core, writing| {
            if core.watch_log(writing) {
                core.seal_active(writing);
            }
            core.flush_one(writing)
        })?];
        for _ in 0..core.compaction_threads() {
            threads.push(spawn("nokv-compact", |core, writing| {
                let effort = core.effort(writing);
                match core.compact_one(writing, effort)? {
                    Progress::Idle if effort == Effort::Settle => core.settle(writing),
                    progress => Ok(progress),
                }
            })?);
        }
        Ok(threads)
    }

    /// What pays when nothing is written and the tables are in shape.
    fn settle(&self, writing: &Writing) -> Result<Progress, Error> {
        match self.settle_values(writing)? {
            Progress::Idle => Ok(self.seal_at_rest(writing)),
            Progress::Done => Ok(Progress::Done),
        }
    }

    /// How many threads compact: as many as there are processors, within bounds, or as the options
    /// say.
    pub(super) fn compaction_threads(&self) -> usize {
        let processors = || {
            self.env
                .spawn
                .parallelism()
                .min(Options::COMPACTION_THREADS_MAX)
        };
        self.options
            .compaction_threads
            .unwrap_or_else(processors)
            .max(1)
    }

    /// Does the work whenever there is some, until the store is closed.
    fn run_thread(&self, work: fn(&Self, &Writing) -> Result<Progress, Error>) {
        let Some(writing) = &self.writing else { return };
        loop {
            let seen = {
                let signal = writing.signal.lock();
                if signal.is_stopping {
                    return;
                }
                signal.generation
            };
            match work(self, writing) {
                Ok(Progress::Done) => writing.note_progress(None),
                Ok(Progress::Idle) => Self::wait_for_work(writing, Some(seen)),
                Err(Error::Closed) => return,
                Err(error) => {
                    tracing::error!(%error, "background work failed; it will be tried again");
                    writing.note_progress(Some(error));
                    Self::wait_for_work(writing, None);
                }
            }
        }
    }

    /// Waits until there may be work that was not there at the count `seen`, at most for
    /// [`RETRY_AFTER`]: then a store may have become idle.
    fn wait_for_work(writing: &Writing, seen: Option<u64>) {
        let mut signal = writing.signal.lock();
        let is_old = seen.is_none_or(|seen| seen == signal.generation);
        if !signal.is_stopping && is_old {
            writing.work.wait_for(&mut signal, RETRY_AFTER);
        }
    }
}

/// What a thread did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Progress {
    /// Something; there may be more.
    Done,
    /// There was nothing to do.
    Idle,
}
