//! A key in memory, and the ordered list of all keys.
//!
//! Purpose: both index structures end in the same leaves, and all ordered iteration is a walk over
//! the doubly linked list of leaves. An index only answers "which leaf is this key" and "which is
//! the first leaf at or after it"; a cursor is one leaf pointer, without a stack, whatever the
//! depth of the tree.
//!
//! Layout of a leaf: the tower of a skiplist node (0 to 15 links, growing downwards in memory from
//! the header), [`Leaf`], the key bytes, padding to 8, the first version of the key
//! ([`crate::chain`]).
//!
//! Invariants:
//! - A leaf is complete (key, first version, both links) before any pointer to it is published, and
//!   afterwards only its links and its chain head change. Leaves are never unlinked.
//! - Keys ascend strictly along `next`. Between two inserts `previous` is the exact inverse of
//!   `next`; while an insert runs, a reader may see the new leaf in one direction and not in the
//!   other, and never misses another leaf.

use std::cmp::Ordering as Order;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::Ordering;

use crate::arena::{ALIGNMENT, Arena};
use crate::chain::{self, Record};
use crate::entry::EntryRef;
use crate::sync::AtomicPtr;

/// Header of one key.
#[repr(C)]
pub(crate) struct Leaf {
    next: AtomicPtr<Leaf>,
    previous: AtomicPtr<Leaf>,
    head: AtomicPtr<Record>,
    key_bytes: u32,
    reserved: u32,
}

const _: () = assert!(size_of::<Leaf>() == 32 && align_of::<Leaf>() == ALIGNMENT);

/// Bytes that a processor loads at once.
pub(crate) const CACHE_LINE_BYTES: usize = 64;

/// Lines of a leaf loaded ahead of a scan: the header, a key of 40 bytes and the header of its
/// version lie in two or, as leaves are not aligned to lines, three.
const FETCH_LINES: usize = 3;

/// One link of a skiplist tower.
pub(crate) type Link = AtomicPtr<Leaf>;

const _: () = assert!(size_of::<Link>() == ALIGNMENT);

/// A complete leaf; `'a` is a borrow that keeps the arena alive.
#[derive(Clone, Copy)]
pub(crate) struct LeafRef<'a> {
    pointer: NonNull<Leaf>,
    arena: PhantomData<&'a Leaf>,
}

impl PartialEq for LeafRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.pointer == other.pointer
    }
}

impl<'a> LeafRef<'a> {
    /// # Safety
    /// `pointer` came from [`LeafRef::as_ptr`] of a leaf whose arena lives at least as long as
    /// `'a`.
    pub(crate) unsafe fn from_ptr(pointer: NonNull<Leaf>) -> Self {
        Self {
            pointer,
            arena: PhantomData,
        }
    }

    /// The address, for a tagged slot, a link or a cursor.
    pub(crate) fn as_ptr(self) -> NonNull<Leaf> {
        self.pointer
    }

    fn header(self) -> &'a Leaf {
        // SAFETY: a `LeafRef` is only made of complete leaves in the arena that `'a` keeps alive,
        // and no exclusive reference to a leaf exists after it was written.
        unsafe { self.pointer.as_ref() }
    }

    /// The key.
    pub(crate) fn key(self) -> &'a [u8] {
        let bytes = self.header().key_bytes as usize;
        // SAFETY: the key was written behind the header in the same allocation before publication,
        // is never changed, and lives as long as the arena.
        unsafe { slice::from_raw_parts(self.pointer.add(1).cast::<u8>().as_ptr(), bytes) }
    }

    /// The chain of versions.
    pub(crate) fn head(self) -> &'a AtomicPtr<Record> {
        &self.header().head
    }

    /// Starts loading the header, a key of usual length and the first version behind it.
    pub(crate) fn prefetch(self) {
        for line in 0..FETCH_LINES {
            prefetch(
                self.pointer
                    .as_ptr()
                    .cast::<u8>()
                    .wrapping_add(line * CACHE_LINE_BYTES),
            );
        }
    }

    /// The leaf with the next higher key.
    pub(crate) fn next(self) -> Option<LeafRef<'a>> {
        load(&self.header().next)
    }

    /// The leaf with the next lower key.
    pub(crate) fn previous(self) -> Option<LeafRef<'a>> {
        load(&self.header().previous)
    }

    /// The link of the skiplist at `level` (1 or more; level 0 is the list itself).
    ///
    /// # Safety
    /// The leaf was created with a tower of at least `level` links.
    pub(crate) unsafe fn tower(self, level: usize) -> &'a Link {
        // SAFETY: the tower lies right below the header in the same allocation, which the pointer's
        // provenance covers, and was initialised before publication.
        unsafe { self.pointer.cast::<Link>().sub(level).as_ref() }
    }

    /// A complete leaf that nobody else knows yet.
    ///
    /// # Safety
    /// `arena` lives at least as long as `'a`.
    pub(crate) unsafe fn create(
        arena: &mut Arena,
        tower: usize,
        key: &[u8],
        version: u64,
        entry: EntryRef<'_>,
    ) -> Self {
        let tower_bytes = tower * size_of::<Link>();
        let head_offset = (size_of::<Leaf>() + key.len()).next_multiple_of(ALIGNMENT);
        let place =
            arena.allocate(tower_bytes + head_offset + chain::record_bytes(entry.value.len()));
        // SAFETY: the memory is fresh, aligned and has room for the tower, the header, the padded
        // key and the first record, at the offsets computed for the allocation.
        unsafe {
            for level in 0..tower {
                place
                    .cast::<Link>()
                    .add(level)
                    .write(Link::new(ptr::null_mut()));
            }
            let leaf = place.add(tower_bytes);
            let head = chain::write_first(leaf.add(head_offset), version, entry);
            leaf.cast::<Leaf>().write(Leaf {
                next: AtomicPtr::new(ptr::null_mut()),
                previous: AtomicPtr::new(ptr::null_mut()),
                head: AtomicPtr::new(head.as_ptr()),
                key_bytes: u32::try_from(key.len())
                    .expect("KEY_BYTES_MAX was asserted by the memtable"),
                reserved: 0,
            });
            ptr::copy_nonoverlapping(
                key.as_ptr(),
                leaf.add(size_of::<Leaf>()).as_ptr(),
                key.len(),
            );
            Self {
                pointer: leaf.cast(),
                arena: PhantomData,
            }
        }
    }
}

/// Starts loading the cache line of `bytes` at an offset: what is needed soon is waited for now.
/// Only a hint, with no effect but time; nothing beyond the end.
#[inline]
pub fn prefetch_bytes(bytes: &[u8], offset: usize) {
    if let Some(byte) = bytes.get(offset) {
        prefetch(byte);
    }
}

/// Starts loading the cache line at `address`, which need not be valid.
#[inline]
pub(crate) fn prefetch(address: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch accesses nothing as far as the program can tell, and faults at no
        // address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = address;
}

/// Follows a link of a leaf or of the list.
pub(crate) fn load(link: &Link) -> Option<LeafRef<'_>> {
    // Acquire: pairs with the Release store that published the leaf, so that it is seen complete.
    let pointer = NonNull::new(link.load(Ordering::Acquire))?;
    Some(LeafRef {
        pointer,
        arena: PhantomData,
    })
}

/// The two ends of the ordered list of leaves.
pub(crate) struct List {
    first: Link,
    last: Link,
}

impl List {
    pub(crate) const fn new() -> Self {
        Self {
            first: Link::new(ptr::null_mut()),
            last: Link::new(ptr::null_mut()),
        }
    }

    /// The leaf with the lowest key.
    pub(crate) fn first(&self) -> Option<LeafRef<'_>> {
        load(&self.first)
    }

    /// The leaf with the highest key.
    pub(crate) fn last(&self) -> Option<LeafRef<'_>> {
        load(&self.last)
    }

    /// Puts `leaf` right after `previous` (at the front if `None`). One writer at a time.
    ///
    /// The links of the new leaf are set before it is published; then first the forward and then
    /// the backward link of its neighbours. Each of the two is one atomic store that adds one leaf
    /// to its direction, so a reader in either direction sees the list with or without the leaf,
    /// never broken.
    pub(crate) fn link_after(&self, previous: Option<LeafRef<'_>>, leaf: LeafRef<'_>) {
        let forward = previous.map_or(&self.first, |previous| &previous.header().next);
        let next = load(forward);
        let address =
            |leaf: Option<LeafRef<'_>>| leaf.map_or(ptr::null_mut(), |leaf| leaf.pointer.as_ptr());
        leaf.header().next.store(address(next), Ordering::Relaxed);
        leaf.header()
            .previous
            .store(address(previous), Ordering::Relaxed);
        forward.store(leaf.pointer.as_ptr(), Ordering::Release);
        let backward = next.map_or(&self.last, |next| &next.header().previous);
        backward.store(leaf.pointer.as_ptr(), Ordering::Release);
    }

    /// The last leaf at or below `key`, given the first at or above it.
    ///
    /// Leaves inserted since `ceiling` was found may stand between; they are walked over.
    pub(crate) fn floor_below<'a>(
        &'a self,
        ceiling: Option<LeafRef<'a>>,
        key: &[u8],
    ) -> Option<LeafRef<'a>> {
        let mut leaf = match ceiling {
            None => self.last()?,
            Some(leaf) => leaf,
        };
        while leaf.key().cmp(key) == Order::Greater {
            leaf = leaf.previous()?;
        }
        // Standing on a leaf at or below the key: one with the same key may have been put right
        // behind it.
        Some(leaf)
    }

    /// The first leaf at or above `key`, given one below it. Leaves inserted meanwhile are walked
    /// over.
    pub(crate) fn ceiling_above<'a>(
        &'a self,
        below: LeafRef<'a>,
        key: &[u8],
    ) -> Option<LeafRef<'a>> {
        let mut leaf = below.next()?;
        while leaf.key().cmp(key) == Order::Less {
            leaf = leaf.next()?;
        }
        Some(leaf)
    }
}
