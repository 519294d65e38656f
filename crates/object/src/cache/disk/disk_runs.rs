//! Verified runs of objects on disk, shared with the other processes of this machine.
//!
//! What this process knows of the directory is a hint: an entry that has gone is looked for again,
//! and what is not known is looked up before it counts as missing, so entries of other processes
//! are found without telling.
//!
//! Invariants:
//! - nothing here fails: an entry that can't be read, or is damaged, is removed and counts as
//!   missing;
//! - open files are bounded by [`OPEN_COUNT_MAX`].

use super::{
    files::CacheFiles,
    layout::Entry,
    ledger::{Ledger, Limits},
    opened::{Flaw, Opened},
    writer::{Shelf, Writer},
};
use bytes::Bytes;
use nokv_env::Env;
use nokv_types::BlockId;
use quick_cache::sync::Cache;
use std::{
    io,
    ops::Range,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Entries held open: half of the 1,024 files that a process may usually open.
const OPEN_COUNT_MAX: usize = 512;
/// Objects whose entries are remembered: about 100 bytes each.
const KNOWN_COUNT_MAX: usize = 65_536;
/// How often the use of an open entry is written down: often enough for an eviction to know, too
/// seldom to cost.
const MARK_S: u64 = 60;

/// The disk of a cache.
pub(in crate::cache) struct DiskRuns {
    shelf: Arc<Shelf>,
    writer: Writer,
    known: Cache<BlockId, Arc<[Entry]>>,
    open: Cache<(BlockId, Entry), Arc<InUse>>,
    damaged: AtomicU64,
}

/// An open entry and when its use was last written down.
struct InUse {
    opened: Opened,
    marked_s: AtomicU64,
}

impl DiskRuns {
    /// The cache of one store in a directory.
    ///
    /// **Errors**: those of the device; `InvalidData` when it is another layout's.
    pub(in crate::cache) fn open(
        env: Env,
        dir: PathBuf,
        store: [u8; 16],
        limits: Limits,
    ) -> io::Result<Self> {
        let ledger = Ledger::new(env.clone(), dir.clone(), limits);
        let files = CacheFiles::open(env, dir, store)?;
        let shelf = Arc::new(Shelf::new(files, ledger));
        let writer = Writer::start(Arc::clone(&shelf));
        Ok(Self {
            shelf,
            writer,
            known: Cache::new(KNOWN_COUNT_MAX),
            open: Cache::new(OPEN_COUNT_MAX),
            damaged: AtomicU64::new(0),
        })
    }

    /// A range of an object, if it is known, open, and in the system's memory: never waits.
    pub(in crate::cache) fn read_ready(&self, block: BlockId, range: &Range<u32>) -> Option<Bytes> {
        let entry = self.known_entry(block, range)?;
        let in_use = self.open.get(&(block, entry))?;
        match in_use.opened.read_ready(range) {
            Ok(bytes) => {
                self.mark(block, &in_use);
                bytes
            }
            Err(flaw) => {
                self.drop_entry(block, entry, &flaw);
                None
            }
        }
    }

    /// A range of an object, if one entry holds it all. Waits for the disk.
    pub(in crate::cache) fn read(&self, block: BlockId, range: &Range<u32>) -> Option<Bytes> {
        if let Some(entry) = self.known_entry(block, range)
            && let Some(bytes) = self.read_entry(block, entry, range)
        {
            return Some(bytes);
        }
        let listed = match self.shelf.files.list(block) {
            Ok(listed) => listed,
            Err(error) => {
                tracing::warn!(%error, "can't list a part of the cache");
                return None;
            }
        };
        let entry = listed.iter().copied().find(|entry| entry.holds(range));
        if listed.is_empty() {
            self.known.remove(&block);
        } else {
            self.known.insert(block, listed.into());
        }
        self.read_entry(block, entry?, range)
    }

    /// Keeps a verified run, if the disk can take it.
    pub(in crate::cache) fn write(&self, block: BlockId, offset: u32, bytes: Bytes) {
        self.writer.write(block, offset, bytes);
    }

    /// Keeps a verified run now, if the disk can take it. Waits for the disk.
    pub(in crate::cache) fn write_now(&self, block: BlockId, offset: u32, bytes: &[u8]) {
        self.shelf.keep(block, offset, bytes);
    }

    /// Whether one entry says that it holds a range. Waits for the disk.
    pub(in crate::cache) fn holds(&self, block: BlockId, range: &Range<u32>) -> bool {
        let listed = self.shelf.files.list(block).unwrap_or_default();
        listed.iter().any(|entry| entry.holds(range))
    }

    /// Waits until what was to be kept is on disk or given up.
    pub(in crate::cache) async fn flush(&self) {
        self.writer.flush().await;
    }

    /// Damaged entries that were met and removed.
    pub(in crate::cache) fn damaged(&self) -> u64 {
        self.damaged.load(Ordering::Relaxed)
    }

    /// Runs that were not kept because the disk was slower than the store.
    pub(in crate::cache) fn dropped(&self) -> u64 {
        self.shelf.dropped.load(Ordering::Relaxed)
    }

    /// Runs written.
    pub(in crate::cache) fn written(&self) -> u64 {
        self.shelf.written.load(Ordering::Relaxed)
    }

    fn known_entry(&self, block: BlockId, range: &Range<u32>) -> Option<Entry> {
        let known = self.known.get(&block)?;
        known.iter().copied().find(|entry| entry.holds(range))
    }

    fn read_entry(&self, block: BlockId, entry: Entry, range: &Range<u32>) -> Option<Bytes> {
        let read = self.in_use(block, entry).and_then(|in_use| {
            let bytes = in_use.opened.read(range)?;
            self.mark(block, &in_use);
            Ok(bytes)
        });
        match read {
            Ok(bytes) => Some(bytes),
            Err(flaw) => {
                self.drop_entry(block, entry, &flaw);
                None
            }
        }
    }

    fn in_use(&self, block: BlockId, entry: Entry) -> Result<Arc<InUse>, Flaw> {
        if let Some(in_use) = self.open.get(&(block, entry)) {
            return Ok(in_use);
        }
        let opened = self.shelf.files.open_entry(block, entry)?;
        let marked_s = AtomicU64::new(self.now_s());
        let in_use = Arc::new(InUse { opened, marked_s });
        self.open.insert((block, entry), Arc::clone(&in_use));
        Ok(in_use)
    }

    fn mark(&self, block: BlockId, in_use: &InUse) {
        let (now, marked) = (self.now_s(), in_use.marked_s.load(Ordering::Relaxed));
        if now - marked.min(now) >= MARK_S {
            in_use.marked_s.store(now, Ordering::Relaxed);
            self.shelf.files.mark_used(block, &in_use.opened.entry);
        }
    }

    fn now_s(&self) -> u64 {
        self.shelf.files.env.clock.monotonic().as_secs()
    }

    /// Forgets an entry; removes it unless it has gone by itself.
    fn drop_entry(&self, block: BlockId, entry: Entry, flaw: &Flaw) {
        self.open.remove(&(block, entry));
        self.known.remove(&block);
        match flaw {
            Flaw::Unopened(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::debug!(%error, %block, "can't open an entry of the cache");
                }
                return;
            }
            Flaw::Io(error) => {
                tracing::warn!(%error, %block, "can't read an entry of the cache; removing it");
            }
            Flaw::Damaged(flaw) => {
                tracing::warn!(%block, flaw, "an entry of the cache is damaged; removing it");
            }
        }
        self.damaged.fetch_add(1, Ordering::Relaxed);
        self.shelf.files.remove(block, &entry);
    }
}
