//! The versions of one key: a singly linked chain, newest first.
//!
//! Purpose: `(key, at)` → the newest version at or below `at`, while the writer adds versions in
//! any order.
//!
//! Layout of a record: [`Record`], then [`Jump`] if `has_jump` is 1, then the value bytes.
//!
//! Invariants:
//! - Versions never increase along `next`. Of two records with the same version the one inserted
//!   last comes first and hides the other; nothing is ever unlinked, so a reader that stands on any
//!   record goes on to see everything below it that was there when it arrived.
//! - A record is complete before the Release store that publishes it, and only its `next` changes
//!   after.
//! - `jump.target` is a record below, hence of the same or a lower version. If the target is still
//!   newer than `at`, so is everything between, and a search may skip it; this stays true whatever
//!   is inserted later. With the jumps of Myers ("An applicative random-access stack", 1983) a
//!   search in a chain that was written in ascending order takes O(log n) steps: a counter that was
//!   written a million times since the last flush is still read at an older version in tens of
//!   steps, not a million. A chain written in descending order has no jumps and costs O(n) per
//!   insert; no caller does that.
//! - The record at the bottom (usually the only one) has no jump, and thereby does not pay for it.

use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::Ordering;

use crate::arena::{ALIGNMENT, Arena};
use crate::entry::{EntryRef, Found};
use crate::index::Added;
use crate::sync::AtomicPtr;

/// Header of one version.
#[repr(C)]
pub(crate) struct Record {
    next: AtomicPtr<Record>,
    version: u64,
    value_bytes: u32,
    kind: u8,
    has_jump: u8,
    reserved: [u8; 2],
}

/// A shortcut down the chain; follows the header when `has_jump` is 1.
#[repr(C)]
#[derive(Clone, Copy)]
struct Jump {
    target: NonNull<Record>,
    depth: u64,
}

const _: () = assert!(size_of::<Record>() == 24 && align_of::<Record>() == ALIGNMENT);
const _: () = assert!(size_of::<Jump>() == 16 && align_of::<Jump>() == ALIGNMENT);

/// Bytes of a record without a jump.
pub(crate) const fn record_bytes(value_bytes: usize) -> usize {
    size_of::<Record>() + value_bytes
}

/// A published record; `'a` is a borrow that keeps the arena alive.
#[derive(Clone, Copy)]
pub(crate) struct RecordRef<'a> {
    pointer: NonNull<Record>,
    arena: PhantomData<&'a Record>,
}

impl<'a> RecordRef<'a> {
    fn header(self) -> &'a Record {
        // SAFETY: a `RecordRef` is only made from pointers to complete records in the arena that
        // `'a` keeps alive, and no exclusive reference to a record exists after it was written.
        unsafe { self.pointer.as_ref() }
    }

    fn jump(self) -> Option<Jump> {
        if self.header().has_jump == 0 {
            return None;
        }
        // SAFETY: `has_jump` says that a `Jump` was written right behind the header, in the same
        // allocation (the pointer has the provenance of the whole chunk), and neither changes after
        // publication.
        Some(unsafe { self.pointer.add(1).cast::<Jump>().read() })
    }

    /// The record below.
    fn next(self) -> Option<RecordRef<'a>> {
        load(&self.header().next)
    }

    /// What the caller stored.
    pub(crate) fn found(self) -> Found<'a> {
        let header = self.header();
        let jump_bytes = usize::from(header.has_jump) * size_of::<Jump>();
        // SAFETY: `value_bytes` bytes were written behind the header and the jump before
        // publication, are never changed, and live as long as the arena.
        let value = unsafe {
            let start = self.pointer.add(1).cast::<u8>().add(jump_bytes);
            slice::from_raw_parts(start.as_ptr(), header.value_bytes as usize)
        };
        Found {
            version: header.version,
            kind: header.kind,
            value,
        }
    }
}

fn load(link: &AtomicPtr<Record>) -> Option<RecordRef<'_>> {
    // Acquire: pairs with the Release store of `insert`, so that the record is seen complete.
    let pointer = NonNull::new(link.load(Ordering::Acquire))?;
    Some(RecordRef {
        pointer,
        arena: PhantomData,
    })
}

/// The newest record at or below `at` in the chain that starts at `head`.
pub(crate) fn newest_at(head: &AtomicPtr<Record>, at: u64) -> Option<RecordRef<'_>> {
    let mut record = load(head)?;
    while record.header().version > at {
        record = match target(record) {
            Some(target) if target.header().version > at => target,
            _ => record.next()?,
        };
    }
    Some(record)
}

/// The chain from newest to oldest, each version once.
pub(crate) fn versions(head: Option<&AtomicPtr<Record>>) -> Versions<'_> {
    Versions {
        next: head.and_then(load),
        last: None,
    }
}

/// Iterator over the versions of one key, newest first, each version once.
pub struct Versions<'a> {
    next: Option<RecordRef<'a>>,
    last: Option<u64>,
}

impl<'a> Iterator for Versions<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        loop {
            let record = self.next?;
            self.next = record.next();
            let version = record.header().version;
            // A second record of the same version was inserted earlier and is hidden.
            if self.last.replace(version) != Some(version) {
                return Some(record.found());
            }
        }
    }
}

/// Writes the bottom record of a new key at `place` and returns it for the leaf's `head`.
///
/// # Safety
/// `place` is aligned, has room for [`record_bytes`] of the value, and belongs to the arena of the
/// key.
pub(crate) unsafe fn write_first(
    place: NonNull<u8>,
    version: u64,
    entry: EntryRef<'_>,
) -> NonNull<Record> {
    // SAFETY: passed on to the caller.
    unsafe { write(place, version, entry, ptr::null_mut(), None) }
}

/// Adds a version to the chain at `head`. One writer at a time (`arena` is exclusive).
///
/// # Safety
/// `arena` is the one in which the leaf of `head` lives.
pub(crate) unsafe fn insert(
    head: &AtomicPtr<Record>,
    arena: &mut Arena,
    version: u64,
    entry: EntryRef<'_>,
) -> Added {
    let link = match last_newer(head, version) {
        None => head,
        Some(above) => &above.header().next,
    };
    let below = load(link);
    let jump = below.map(jump_over);
    let jump_bytes = if jump.is_some() { size_of::<Jump>() } else { 0 };
    let place = arena.allocate(record_bytes(entry.value.len()) + jump_bytes);
    let next = below.map_or(ptr::null_mut(), |below| below.pointer.as_ptr());
    // SAFETY: `place` was just allocated with exactly this size in the arena of the chain.
    let record = unsafe { write(place, version, entry, next, jump) };
    // Release: whoever loads this link sees the record complete.
    link.store(record.as_ptr(), Ordering::Release);
    match below {
        Some(below) if below.header().version == version => {
            let jump_bytes = usize::from(below.header().has_jump) * size_of::<Jump>();
            arena.retire(record_bytes(below.header().value_bytes as usize) + jump_bytes);
            Added::Replacement
        }
        _ => Added::Version,
    }
}

/// The lowest record that is newer than `version`.
fn last_newer(head: &AtomicPtr<Record>, version: u64) -> Option<RecordRef<'_>> {
    let newer = |record: &RecordRef<'_>| record.header().version > version;
    let mut record = load(head).filter(newer)?;
    while let Some(below) = target(record)
        .filter(newer)
        .or_else(|| record.next().filter(newer))
    {
        record = below;
    }
    Some(record)
}

fn target(record: RecordRef<'_>) -> Option<RecordRef<'_>> {
    record.jump().map(|jump| RecordRef {
        pointer: jump.target,
        arena: PhantomData,
    })
}

/// The jump of a record that is put on top of `below`: as far as two equal jumps below it reach
/// together, else one step. The depths are hints; a chain with out-of-order inserts only has less
/// regular jumps.
fn jump_over(below: RecordRef<'_>) -> Jump {
    // The bottom counts as depth 0 with a jump to itself.
    let reach = |record: RecordRef<'_>| {
        record.jump().unwrap_or(Jump {
            target: record.pointer,
            depth: 0,
        })
    };
    let first = reach(below);
    let middle = RecordRef {
        pointer: first.target,
        arena: PhantomData,
    };
    let second = reach(middle);
    let end = RecordRef {
        pointer: second.target,
        arena: PhantomData,
    };
    let depth = first.depth + 1;
    if first.depth.wrapping_sub(second.depth) == second.depth.wrapping_sub(reach(end).depth) {
        Jump {
            target: second.target,
            depth,
        }
    } else {
        Jump {
            target: below.pointer,
            depth,
        }
    }
}

/// # Safety
/// `place` is aligned and has room for the header, the jump if there is one, and the value.
unsafe fn write(
    place: NonNull<u8>,
    version: u64,
    entry: EntryRef<'_>,
    next: *mut Record,
    jump: Option<Jump>,
) -> NonNull<Record> {
    let header = Record {
        next: AtomicPtr::new(next),
        version,
        value_bytes: u32::try_from(entry.value.len())
            .expect("VALUE_BYTES_MAX was asserted by the memtable"),
        kind: entry.kind,
        has_jump: u8::from(jump.is_some()),
        reserved: [0; 2],
    };
    let record = place.cast::<Record>();
    // SAFETY: the caller gave room for all three parts; the memory is fresh, so nobody else refers
    // to it.
    unsafe {
        record.write(header);
        let mut rest = record.add(1).cast::<u8>();
        if let Some(jump) = jump {
            rest.cast::<Jump>().write(jump);
            rest = rest.add(size_of::<Jump>());
        }
        ptr::copy_nonoverlapping(entry.value.as_ptr(), rest.as_ptr(), entry.value.len());
    }
    record
}
