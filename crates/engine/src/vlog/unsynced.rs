//! Value-log files with values that no sync has covered yet.
//!
//! Invariant: when [`Unsynced::sync`] returns, every value that was noted before the call is
//! durable, with the name of its file. Syncing is done by one at a time: who came second would
//! otherwise find an empty list and promise what the first has not synced yet.

use std::{path::PathBuf, sync::Arc};

use nokv_env::{Env, File};
use parking_lot::Mutex;

use super::file::ValueFile;
use crate::Error;

/// The list.
pub(crate) struct Unsynced {
    env: Env,
    dir: PathBuf,
    pending: Mutex<Pending>,
    syncing: Mutex<()>,
}

#[derive(Default)]
struct Pending {
    files: Vec<(Arc<ValueFile>, Arc<dyn File>)>,
    /// A file was made whose name no sync has covered.
    has_names: bool,
}

impl Unsynced {
    pub(crate) fn new(env: &Env, dir: PathBuf) -> Self {
        Self {
            env: env.clone(),
            dir,
            pending: Mutex::default(),
            syncing: Mutex::new(()),
        }
    }

    /// A file was made.
    pub(super) fn note_name(&self) {
        self.pending.lock().has_names = true;
    }

    /// Values were written; to be called before anything that points at them is.
    pub(super) fn note(&self, file: &Arc<ValueFile>, handle: &Arc<dyn File>) {
        let mut pending = self.pending.lock();
        let is_new = |(other, _): &(Arc<ValueFile>, _)| other.number() != file.number();
        if pending.files.iter().all(is_new) {
            pending.files.push((Arc::clone(file), Arc::clone(handle)));
        }
    }

    /// Makes everything noted so far durable.
    ///
    /// # Errors
    /// What the device says: nothing that was noted may be promised from then on.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        let _guard = self.syncing.lock();
        let pending = std::mem::take(&mut *self.pending.lock());
        let outcome = self.sync_pending(&pending);
        if outcome.is_err() {
            // Whoever asks next must fail as well.
            let mut later = self.pending.lock();
            later.files.extend(pending.files);
            later.has_names |= pending.has_names;
        }
        outcome
    }

    fn sync_pending(&self, pending: &Pending) -> Result<(), Error> {
        for (file, handle) in &pending.files {
            file.sync(handle.as_ref())?;
        }
        if pending.has_names {
            self.env
                .files
                .sync_dir(&self.dir)
                .map_err(|error| Error::io("syncing", &self.dir, error))?;
        }
        Ok(())
    }
}
