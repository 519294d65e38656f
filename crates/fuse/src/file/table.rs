//! The files of a mount that are open or have edits, by inode number.
//!
//! Invariant: a file stays in the table while a handle or an edit needs it, so all handles of an
//! inode share one.

use super::state::File;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// Parts of the table with a lock each: more than there are processors to meet in one.
const PARTS: usize = 16;

/// The table.
pub(crate) struct Files {
    parts: [Mutex<HashMap<u64, Slot>>; PARTS],
}

struct Slot {
    file: Arc<File>,
    handles: u32,
}

impl Files {
    pub(crate) fn new() -> Self {
        Self {
            parts: std::array::from_fn(|_| Mutex::default()),
        }
    }

    fn part(&self, number: u64) -> &Mutex<HashMap<u64, Slot>> {
        &self.parts[number as usize % PARTS]
    }

    /// The file of an inode, if there is one.
    pub(crate) fn get(&self, number: u64) -> Option<Arc<File>> {
        let part = self.part(number).lock();
        part.get(&number).map(|slot| Arc::clone(&slot.file))
    }

    /// One handle more; `make` makes the file if there is none yet.
    pub(crate) fn open(&self, number: u64, make: impl FnOnce() -> File) -> Arc<File> {
        let mut part = self.part(number).lock();
        let slot = part.entry(number).or_insert_with(|| Slot {
            file: Arc::new(make()),
            handles: 0,
        });
        slot.handles += 1;
        Arc::clone(&slot.file)
    }

    /// One handle less; the file goes with the last one unless it has edits.
    pub(crate) fn close(&self, number: u64) {
        let mut part = self.part(number).lock();
        if let Some(slot) = part.get_mut(&number) {
            slot.handles = slot.handles.saturating_sub(1);
            if slot.handles == 0 && !slot.file.is_dirty() {
                part.remove(&number);
            }
        }
    }

    /// Lets a file go that was kept for its edits.
    pub(crate) fn settle(&self, number: u64) {
        let mut part = self.part(number).lock();
        if part
            .get(&number)
            .is_some_and(|slot| slot.handles == 0 && !slot.file.is_dirty())
        {
            part.remove(&number);
        }
    }

    /// The files that fulfil a condition.
    pub(crate) fn select(&self, condition: impl Fn(&File) -> bool) -> Vec<(u64, Arc<File>)> {
        let mut selected = Vec::new();
        for part in &self.parts {
            let part = part.lock();
            let found = part.iter().filter(|(_, slot)| condition(&slot.file));
            selected.extend(found.map(|(number, slot)| (*number, Arc::clone(&slot.file))));
        }
        selected
    }
}
