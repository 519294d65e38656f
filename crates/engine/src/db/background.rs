//! The threads of a store: one that flushes, one that compacts.
//!
//! Invariants: a thread holds the core, never the handle, so dropping the last handle stops it; a
//! failure is remembered for the writers that wait and is tried again, since a full device may have
//! space later.

use std::{sync::Arc, time::Duration};

use nokv_env::JoinHandle;

use super::core::{Core, Writing};
use crate::Error;

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
        let flush = spawn("nokv-flush", Self::flush_one)?;
        let compact = spawn("nokv-compact", |core, writing| {
            core.compact_one(writing, core.effort(writing))
        })?;
        Ok(vec![flush, compact])
    }

    /// Does the work whenever there is some, until the store is closed.
    fn run_thread(&self, work: fn(&Self, &Writing) -> Result<Progress, Error>) {
        let Some(writing) = &self.writing else { return };
        while !writing.is_stopping() {
            match work(self, writing) {
                Ok(Progress::Done) => writing.note_progress(None),
                Ok(Progress::Idle) => self.wait_for_work(writing, None),
                Err(Error::Closed) => return,
                Err(error) => {
                    tracing::error!(%error, "background work failed; it will be tried again");
                    writing.note_progress(Some(error));
                    self.wait_for_work(writing, Some(RETRY_AFTER));
                }
            }
        }
    }

    fn wait_for_work(&self, writing: &Writing, limit: Option<Duration>) {
        let mut signal = writing.signal.lock();
        if signal.is_stopping {
            return;
        }
        match limit {
            Some(limit) => {
                writing.work.wait_for(&mut signal, limit);
            }
            // A signal between the look for work and this wait is missed; the limit bounds the
            // harm.
            None => {
                writing.work.wait_for(&mut signal, RETRY_AFTER);
            }
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
