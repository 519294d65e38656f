//! Removing files that the store needs no more, and holding that back while somebody copies them.
//!
//! Invariant: between [`Core::hold_files`] and the drop of its guard no file of the store loses its
//! name; what was to be removed meanwhile is removed at the end, or by the next open.

use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use super::core::Core;
use crate::Error;

/// What waits for the last guard.
#[derive(Debug, Default)]
pub(super) struct Removals(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    guard_count: usize,
    deferred: Vec<PathBuf>,
}

/// While it lives, files keep their names.
pub(crate) struct FilesHeld<'a>(&'a Core);

impl Core {
    /// Keeps all files under their names until the guard is dropped.
    pub(super) fn hold_files(&self) -> FilesHeld<'_> {
        self.removals.0.lock().guard_count += 1;
        FilesHeld(self)
    }

    /// Removes new tables after the commit that should have named them failed. When the manifest
    /// may name them all the same, they stay until the next open knows.
    pub(super) fn remove_unless_unknown(&self, error: &Error, made: &[PathBuf]) {
        // A commit that found the device full has taken back what it wrote.
        if matches!(error, Error::Exhausted { .. }) {
            made.iter().for_each(|path| self.remove_quietly(path));
        }
    }

    /// Removes a file that is of no use, now or when nobody holds it back; one that stays is
    /// removed at the next open.
    pub(super) fn remove_quietly(&self, path: &Path) {
        let mut held = self.removals.0.lock();
        if held.guard_count > 0 {
            held.deferred.push(path.to_owned());
            return;
        }
        drop(held);
        if let Err(error) = self.env.files.remove(path) {
            tracing::warn!(%error, path = %path.display(), "a file that is no longer needed stays");
        }
    }
}

impl Drop for FilesHeld<'_> {
    fn drop(&mut self) {
        let mut held = self.0.removals.0.lock();
        held.guard_count -= 1;
        if held.guard_count > 0 {
            return;
        }
        let deferred = std::mem::take(&mut held.deferred);
        drop(held);
        for path in deferred {
            self.0.remove_quietly(&path);
        }
    }
}
