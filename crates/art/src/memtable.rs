//! The memtable: one index, one list, one arena, one writer at a time, any number of readers.
//!
//! Invariants:
//! - All writing goes through [`Writer`], which holds the writer lock and with it the arena
//!   exclusively; so "one writer" is enforced, not trusted. Readers never touch the lock.
//! - Nothing is removed or moved while the memtable lives: a key, a value, a cursor position stays
//!   valid as long as a borrow or an `Arc` of the memtable does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};

use crate::arena::Arena;
use crate::art::Art;
use crate::chain;
use crate::cursor::Cursor;
use crate::entry::{EntryRef, Found, KEY_BYTES_MAX, VALUE_BYTES_MAX};
use crate::index::{Added, Direction, Fetched, Index};
use crate::leaf::{LeafRef, List};
use crate::skip_list::SkipList;
use crate::value::FoundOwned;

/// Chunks are at most this fraction of the budget, so that a small budget is not overshot by one
/// chunk.
const CHUNK_FRACTION: usize = 16;

/// How the keys of a memtable are indexed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Structure {
    /// Adaptive radix tree.
    #[default]
    Art,
    /// Skiplist.
    SkipList,
}

/// How to build a [`Memtable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemtableOptions {
    /// The index.
    pub structure: Structure,
    /// Bytes from the system allocator after which [`Memtable::is_full`] says so. Not a hard
    /// limit.
    pub budget_bytes: usize,
}

impl Default for MemtableOptions {
    fn default() -> Self {
        Self {
            structure: Structure::default(),
            budget_bytes: 64 << 20,
        }
    }
}

/// A concurrent ordered map of `(key, version) → entry`.
///
/// **Shape**: keys are any 0 to [`KEY_BYTES_MAX`] bytes, also when one is a prefix of another;
/// values are 0 to [`VALUE_BYTES_MAX`] bytes; versions are any `u64`, inserted in any order.
/// **Guarantees**: a read sees every insert that happened before it; an insert that runs at the
/// same time is seen whole or not at all. Nothing is removed; all memory is freed when the memtable
/// is dropped.
/// **Concurrency**: reads take no lock and never wait. Writers exclude each other by a lock inside.
///
/// ```
/// use std::sync::Arc;
/// use nokv_art::{Cursor, EntryRef, Memtable, MemtableOptions};
///
/// let memtable = Arc::new(Memtable::new(MemtableOptions::default()));
/// let mut writer = memtable.writer(); // once per batch
/// writer.insert(b"a", 1, EntryRef { kind: 0, value: b"one" });
/// writer.insert(b"a", 3, EntryRef { kind: 0, value: b"three" });
/// drop(writer);
/// assert_eq!(memtable.get(b"a", 2).unwrap().value, b"one");
///
/// // Owns a share of the memtable; `Cursor::new(&*memtable)` borrows it instead.
/// let mut cursor = Cursor::new(Arc::clone(&memtable));
/// cursor.seek(b"");
/// assert_eq!(cursor.key(), Some(&b"a"[..]));
/// assert_eq!(cursor.versions().map(|found| found.version).collect::<Vec<_>>(), [3, 1]);
/// ```
pub struct Memtable {
    index: AnyIndex,
    list: List,
    counters: Counters,
    budget_bytes: usize,
    writer: Mutex<Arena>,
}

/// Static dispatch over the structures: one well predicted branch per operation.
enum AnyIndex {
    Art(Art),
    SkipList(SkipList),
}

/// Written by the writer, read by anybody; only statistics.
#[derive(Default)]
struct Counters {
    keys: AtomicUsize,
    entries: AtomicUsize,
    used_bytes: AtomicUsize,
    allocated_bytes: AtomicUsize,
    garbage_bytes: AtomicUsize,
}

impl Memtable {
    /// An empty memtable; it allocates with its first insert.
    #[must_use]
    pub fn new(options: MemtableOptions) -> Self {
        Self {
            index: match options.structure {
                Structure::Art => AnyIndex::Art(Art::new()),
                Structure::SkipList => AnyIndex::SkipList(SkipList::new()),
            },
            list: List::new(),
            counters: Counters::default(),
            budget_bytes: options.budget_bytes,
            writer: Mutex::new(Arena::new(options.budget_bytes / CHUNK_FRACTION)),
        }
    }

    /// The right to insert, until dropped.
    ///
    /// **Concurrency**: waits for another writer. Take it once per batch. Readers are not affected.
    pub fn writer(&self) -> Writer<'_> {
        Writer {
            memtable: self,
            arena: self.writer.lock(),
        }
    }

    /// Inserts one entry: [`Memtable::writer`] and [`Writer::insert`] in one.
    pub fn insert(&self, key: &[u8], version: u64, entry: EntryRef<'_>) {
        self.writer().insert(key, version, entry);
    }

    /// The newest version of `key` at or below `at`, whatever its kind.
    #[must_use]
    pub fn get(&self, key: &[u8], at: u64) -> Option<Found<'_>> {
        Some(chain::newest_at(self.find(key)?.head(), at)?.found())
    }

    /// As [`Memtable::get`], with a value that keeps the memtable alive instead of borrowing it.
    #[must_use]
    pub fn get_owned(self: &Arc<Self>, key: &[u8], at: u64) -> Option<FoundOwned> {
        let found = self.get(key, at)?;
        // SAFETY: the value was just found in this memtable.
        Some(unsafe { FoundOwned::new(Arc::clone(self), found) })
    }

    /// A cursor that borrows the memtable; [`Cursor::new`] with an `Arc` makes one that owns it.
    #[must_use]
    pub fn cursor(&self) -> Cursor<&Self> {
        Cursor::new(self)
    }

    /// Number of entries: `(key, version)` pairs, a replaced one counted once.
    #[must_use]
    pub fn len(&self) -> usize {
        self.counters.entries.load(Ordering::Relaxed)
    }

    /// Whether nothing was inserted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of distinct keys.
    #[must_use]
    pub fn key_count(&self) -> usize {
        self.counters.keys.load(Ordering::Relaxed)
    }

    /// Bytes of the arena in use by entries, index and garbage. Exact after each insert.
    #[must_use]
    pub fn approximate_bytes(&self) -> usize {
        self.counters.used_bytes.load(Ordering::Relaxed)
    }

    /// Bytes taken from the system allocator: what the memtable costs the process.
    #[must_use]
    pub fn allocated_bytes(&self) -> usize {
        self.counters.allocated_bytes.load(Ordering::Relaxed)
    }

    /// The part of [`Memtable::approximate_bytes`] that was replaced: grown nodes, overwritten
    /// versions.
    #[must_use]
    pub fn garbage_bytes(&self) -> usize {
        self.counters.garbage_bytes.load(Ordering::Relaxed)
    }

    /// Whether the budget is used up and the memtable should be sealed.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.allocated_bytes() >= self.budget_bytes
    }

    pub(crate) fn list(&self) -> &List {
        &self.list
    }

    pub(crate) fn find(&self, key: &[u8]) -> Option<LeafRef<'_>> {
        match &self.index {
            AnyIndex::Art(art) => art.find(&self.list, key),
            AnyIndex::SkipList(skip_list) => skip_list.find(&self.list, key),
        }
    }

    pub(crate) fn ceiling(&self, key: &[u8]) -> Option<LeafRef<'_>> {
        match &self.index {
            AnyIndex::Art(art) => art.ceiling(&self.list, key),
            AnyIndex::SkipList(skip_list) => skip_list.ceiling(&self.list, key),
        }
    }

    pub(crate) fn fetch_ahead(&self, key: &[u8], direction: Direction) -> Option<Fetched<'_>> {
        match &self.index {
            AnyIndex::Art(art) => art.fetch_ahead(key, direction),
            AnyIndex::SkipList(skip_list) => skip_list.fetch_ahead(key, direction),
        }
    }
}

/// The one writer of a [`Memtable`], see [`Memtable::writer`].
pub struct Writer<'a> {
    memtable: &'a Memtable,
    arena: MutexGuard<'a, Arena>,
}

impl Writer<'_> {
    /// Adds `entry` as `version` of `key`; the same key and version again replaces what it held.
    ///
    /// **Guarantees**: visible to every reader that starts after the return, whole.
    /// **Panics**: when the key is longer than [`KEY_BYTES_MAX`] or the value than
    /// [`VALUE_BYTES_MAX`]; the engine refuses such entries long before.
    pub fn insert(&mut self, key: &[u8], version: u64, entry: EntryRef<'_>) {
        assert!(key.len() <= KEY_BYTES_MAX, "a key of {} bytes", key.len());
        assert!(
            entry.value.len() <= VALUE_BYTES_MAX,
            "a value of {} bytes",
            entry.value.len()
        );
        let Memtable { index, list, .. } = self.memtable;
        let arena = &mut *self.arena;
        // SAFETY: index, list and arena are the fields of one memtable, used only together and
        // dropped together.
        let added = unsafe {
            match index {
                AnyIndex::Art(art) => art.insert(list, arena, key, version, entry),
                AnyIndex::SkipList(skip_list) => skip_list.insert(list, arena, key, version, entry),
            }
        };
        self.memtable.counters.update(added, arena);
    }
}

impl Counters {
    /// Only the writer calls this, so load and store need not be one operation.
    fn update(&self, added: Added, arena: &Arena) {
        let add = |counter: &AtomicUsize, count: usize| {
            counter.store(counter.load(Ordering::Relaxed) + count, Ordering::Relaxed);
        };
        match added {
            Added::Key => {
                add(&self.keys, 1);
                add(&self.entries, 1);
            }
            Added::Version => add(&self.entries, 1),
            Added::Replacement => {}
        }
        self.used_bytes.store(arena.used_bytes(), Ordering::Relaxed);
        self.allocated_bytes
            .store(arena.allocated_bytes(), Ordering::Relaxed);
        self.garbage_bytes
            .store(arena.garbage_bytes(), Ordering::Relaxed);
    }
}
