//! The bounded set of value-log files that are open for reading.
//!
//! Invariant: at most [`OPEN_FILES_MAX`] files are open, but for those that somebody reads right
//! now. Which one is closed is decided by second chance: of those opened longest ago, the first
//! that was not read since it was last looked at.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak, atomic::Ordering},
};

use nokv_env::{Env, File, OpenMode};
use parking_lot::Mutex;

use super::file::ValueFile;
use crate::Error;

/// Files open at most: 64 GiB of values at the default size of a file, a quarter of the descriptors
/// that a process gets by default.
const OPEN_FILES_MAX: usize = 256;

/// Opens files, and closes others.
pub(crate) struct OpenFiles {
    env: Env,
    files_max: usize,
    /// Those that are open, oldest first.
    queue: Mutex<VecDeque<Weak<ValueFile>>>,
}

impl OpenFiles {
    pub(crate) fn new(env: &Env) -> Self {
        Self {
            env: env.clone(),
            files_max: OPEN_FILES_MAX,
            queue: Mutex::default(),
        }
    }

    /// The open file.
    ///
    /// # Errors
    /// `Corrupt` when there is none; `Io`.
    pub(super) fn open(&self, file: &Arc<ValueFile>) -> Result<Arc<dyn File>, Error> {
        if let Some(handle) = &*file.handle.read() {
            if !file.is_used.load(Ordering::Relaxed) {
                file.is_used.store(true, Ordering::Relaxed);
            }
            return Ok(Arc::clone(handle));
        }
        let path = file.path();
        let opened = self.env.files.open(path, OpenMode::Read).map_err(|error| {
            if error.kind() == std::io::ErrorKind::NotFound {
                return Error::corrupt(path, 0, "a value-log file that is pointed at", "no file");
            }
            Error::io("opening", path, error)
        })?;
        let mut handle = file.handle.write();
        if let Some(handle) = &*handle {
            return Ok(Arc::clone(handle));
        }
        *handle = Some(Arc::clone(&opened));
        drop(handle);
        self.admit(file);
        Ok(opened)
    }

    /// Takes the file into the queue and closes another when there are too many.
    fn admit(&self, file: &Arc<ValueFile>) {
        let mut queue = self.queue.lock();
        queue.push_back(Arc::downgrade(file));
        let mut looks = 2 * queue.len();
        while queue.len() > self.files_max && looks > 0 {
            looks -= 1;
            let Some(oldest) = queue.pop_front() else {
                return;
            };
            let Some(candidate) = oldest.upgrade() else {
                continue;
            };
            if candidate.is_used.swap(false, Ordering::Relaxed) {
                queue.push_back(oldest);
            } else {
                *candidate.handle.write() = None;
            }
        }
    }

    #[cfg(test)]
    pub(super) fn with_limit(env: &Env, files_max: usize) -> Self {
        Self {
            files_max,
            ..Self::new(env)
        }
    }

    #[cfg(test)]
    pub(super) fn open_count(&self) -> usize {
        self.queue.lock().len()
    }
}
