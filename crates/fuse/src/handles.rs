//! What the kernel has open, by the numbers that it was given.

use crate::file::File;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Parts of the table with a lock each.
const PARTS: usize = 16;

/// Open things of one kind.
pub(crate) struct Handles<T> {
    next: AtomicU64,
    parts: [Mutex<HashMap<u64, Arc<T>>>; PARTS],
}

impl<T> Handles<T> {
    pub(crate) fn new() -> Self {
        Self {
            next: AtomicU64::new(1),
            parts: std::array::from_fn(|_| Mutex::default()),
        }
    }

    fn part(&self, handle: u64) -> &Mutex<HashMap<u64, Arc<T>>> {
        &self.parts[handle as usize % PARTS]
    }

    /// Gives a number.
    pub(crate) fn insert(&self, open: T) -> u64 {
        let handle = self.next.fetch_add(1, Ordering::Relaxed);
        self.part(handle).lock().insert(handle, Arc::new(open));
        handle
    }

    pub(crate) fn get(&self, handle: u64) -> Option<Arc<T>> {
        self.part(handle).lock().get(&handle).cloned()
    }

    pub(crate) fn remove(&self, handle: u64) -> Option<Arc<T>> {
        self.part(handle).lock().remove(&handle)
    }
}

/// An open file.
pub(crate) struct OpenFile {
    /// The file that all handles share.
    pub(crate) file: Arc<File>,
    /// Its inode number.
    pub(crate) number: u64,
    /// Whether each write is synced before it is answered.
    pub(crate) is_synchronous: bool,
}
