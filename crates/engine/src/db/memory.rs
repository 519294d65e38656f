//! One memtable with its range tombstones.
//!
//! Invariant: written by one thread at a time (the holder of the commit lock); read by any.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use arc_swap::ArcSwap;
use nokv_art::{EntryRef, MemtableOptions, Writer};
use parking_lot::Mutex;

use crate::{
    Error, Options, Record, Value,
    batch::{Malformed, Operation, Operations},
    entry::{EntryKind, RangeTombstone},
    moment::LookupMoment,
    tombstones::Tombstones,
    vlog::{Pointer, ValueRefs},
    wal::LogStart,
};

/// A memtable, active or sealed.
pub(crate) struct Memory {
    pub(crate) table: Arc<nokv_art::Memtable>,
    /// Replaced as a whole: readers take no lock.
    tombstones: ArcSwap<Tombstones>,
    /// So that a reader takes the lock only when there is something to find.
    has_tombstones: AtomicBool,
    version_max: AtomicU64,
    /// What its pointers lead to, and what those of writes that failed would have.
    value_refs: Mutex<ValueRefs>,
    value_bytes: AtomicU64,
    /// The highest index of an external log in it; 0 for none.
    applied_index: AtomicU64,
    /// Where in the log it begins.
    pub(crate) start: LogStart,
}

/// What one source knows about a key.
pub(crate) enum Lookup {
    /// Nothing: ask the next older source.
    Unknown,
    /// It was deleted.
    Deleted,
    /// It is there, and the value of the record is a pointer to its value.
    Separated(Record),
    /// It is there.
    Found(Record),
}

impl Lookup {
    /// The record of an entry of this kind that is there.
    pub(crate) fn of(kind: EntryKind, record: Record) -> Self {
        if kind.is_pointer() {
            Self::Separated(record)
        } else {
            Self::Found(record)
        }
    }
}

impl Memory {
    pub(crate) fn new(options: &Options, start: LogStart) -> Self {
        let memtable_options = MemtableOptions {
            structure: options.structure,
            budget_bytes: options.memtable_bytes,
        };
        Self {
            table: Arc::new(nokv_art::Memtable::new(memtable_options)),
            tombstones: ArcSwap::from_pointee(Tombstones::new()),
            has_tombstones: AtomicBool::new(false),
            version_max: AtomicU64::new(0),
            value_refs: Mutex::default(),
            value_bytes: AtomicU64::new(0),
            applied_index: AtomicU64::new(0),
            start,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty() && !self.has_tombstones.load(Ordering::Acquire)
    }

    /// Whether it should be sealed.
    pub(crate) fn is_full(&self, options: &Options) -> bool {
        self.fullness(options) >= 1.0
    }

    /// 1 when it should be sealed: it has used up its memory, or points at a file's worth of
    /// values, which the next opening may have to read.
    pub(crate) fn fullness(&self, options: &Options) -> f64 {
        let memory = self.byte_count() as f64 / options.memtable_bytes as f64;
        let values = self.value_bytes.load(Ordering::Relaxed) as f64;
        memory.max(values / options.value_file_bytes as f64)
    }

    /// Notes that it points at a value, or will.
    ///
    /// **Concurrency**: the caller holds the commit lock.
    pub(crate) fn note_value(&self, pointer: &Pointer, key_bytes: usize) {
        self.value_refs.lock().add(pointer, key_bytes);
        let bytes = pointer.entry_bytes(key_bytes);
        self.value_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What it points at in the value log, or a little more.
    pub(crate) fn value_refs(&self) -> ValueRefs {
        self.value_refs.lock().clone()
    }

    pub(crate) fn byte_count(&self) -> usize {
        let tombstones = if self.has_tombstones.load(Ordering::Acquire) {
            self.tombstones.load().byte_count()
        } else {
            0
        };
        self.table.allocated_bytes() + tombstones
    }

    /// Whether a range was deleted in it.
    pub(crate) fn has_tombstones(&self) -> bool {
        self.has_tombstones.load(Ordering::Acquire)
    }

    /// The highest version in it.
    pub(crate) fn version_max(&self) -> u64 {
        self.version_max.load(Ordering::Acquire)
    }

    /// The highest index of an external log in it; 0 for none.
    pub(crate) fn applied_index(&self) -> u64 {
        self.applied_index.load(Ordering::Acquire)
    }

    /// Notes that what is in it goes up to this index of an external log.
    pub(crate) fn note_applied(&self, index: u64) {
        self.applied_index.store(index, Ordering::Release);
    }

    /// Applies the payload of a batch.
    ///
    /// **Concurrency**: the caller holds the commit lock.
    pub(crate) fn apply(&self, payload: &[u8]) -> Result<(), Malformed> {
        let mut writer = self.table.writer();
        let mut version_max = self.version_max();
        for operation in Operations::new(payload) {
            let operation = operation?;
            version_max = version_max.max(operation.version());
            self.apply_operation(&mut writer, operation);
        }
        self.version_max.store(version_max, Ordering::Release);
        Ok(())
    }

    fn apply_operation(&self, writer: &mut Writer<'_>, operation: Operation<'_>) {
        match operation {
            Operation::Entry {
                key,
                version,
                kind,
                value,
            } => {
                writer.insert(
                    key,
                    version,
                    EntryRef {
                        kind: kind.number(),
                        value,
                    },
                );
            }
            Operation::DeleteRange {
                start,
                end,
                version,
            } => {
                let mut tombstones = Tombstones::clone(&self.tombstones.load());
                tombstones.add(RangeTombstone {
                    start: start.to_vec(),
                    end: end.to_vec(),
                    version,
                });
                self.tombstones.store(Arc::new(tombstones));
                self.has_tombstones.store(true, Ordering::Release);
            }
        }
    }

    /// The newest version at or below `at` of a range tombstone over `key`.
    pub(crate) fn covering(&self, key: &[u8], at: u64) -> Option<u64> {
        if !self.has_tombstones.load(Ordering::Acquire) {
            return None;
        }
        self.tombstones.load().covering(key, at)
    }

    /// Its range tombstones.
    pub(crate) fn tombstones(&self) -> Arc<Tombstones> {
        self.tombstones.load_full()
    }

    /// What it knows about `key` at the moment.
    pub(crate) fn get(&self, key: &[u8], moment: &LookupMoment<'_>) -> Result<Lookup, Error> {
        let at = moment.at();
        let covering = self.covering(key, at);
        let Some(found) = self.table.get(key, at) else {
            return Ok(if covering.is_some() {
                Lookup::Deleted
            } else {
                Lookup::Unknown
            });
        };
        let kind = EntryKind::from_number(found.kind).unwrap_or(EntryKind::Delete);
        if covering.is_some_and(|version| version > found.version)
            || moment.hides(kind, found.value)
        {
            return Ok(Lookup::Deleted);
        }
        let stored = if Value::is_copied(found.value.len()) {
            Value::from(bytes::Bytes::copy_from_slice(found.value))
        } else {
            match self.table.get_owned(key, at) {
                Some(owned) => Value::from_arena(owned.value),
                None => return Ok(Lookup::Unknown),
            }
        };
        let record = Record::of_stored(found.version, kind, stored);
        Ok(Lookup::of(kind, record))
    }
}
