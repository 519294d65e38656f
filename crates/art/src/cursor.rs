//! A position among the keys of a memtable.
//!
//! Purpose: ordered iteration in both directions from any key, while a writer inserts.
//!
//! Invariant: a cursor is one leaf pointer and a hold on the memtable that the leaf belongs to.
//! Leaves are never moved or removed, so a position stays valid however much is inserted; and
//! moving needs nothing but the links of the leaf. There is no stack to go stale and none to
//! overflow.

use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;

use crate::chain::{self, Versions};
use crate::entry::Found;
use crate::index::Direction;
use crate::leaf::{Leaf, LeafRef};
use crate::memtable::Memtable;
use crate::value::FoundOwned;

/// What keeps a memtable alive for a [`Cursor`]: `&Memtable` or `Arc<Memtable>`.
///
/// # Safety
/// While the value lives, also when moved, it dereferences to the same memtable, which is not
/// dropped.
pub unsafe trait Hold: Deref<Target = Memtable> + sealed::Sealed {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for &super::Memtable {}
    impl Sealed for std::sync::Arc<super::Memtable> {}
}

// SAFETY: a shared reference borrows the memtable for its whole life.
unsafe impl Hold for &Memtable {}
// SAFETY: an `Arc` owns a share of the memtable, whose address does not change.
unsafe impl Hold for Arc<Memtable> {}

/// A position at a key, or at none.
///
/// **Guarantees**: visits keys in ascending (or, by `prev_key` and `seek_for_prev`, descending)
/// byte order, each at most once. Every key whose insert happened before the cursor was positioned
/// is visited; one inserted later may or may not be. The versions of the current key are read when
/// asked for: filter by `at`.
/// **Concurrency**: reading only, no lock. A cursor can be sent to another thread.
pub struct Cursor<H: Hold = Arc<Memtable>> {
    hold: H,
    leaf: Option<NonNull<Leaf>>,
    ahead: Ahead,
}

/// What was loaded ahead of a walk.
#[derive(Clone, Copy)]
struct Ahead {
    direction: Direction,
    /// Steps until more is loaded.
    steps: usize,
    /// The furthest leaf loaded, from which to go on.
    last: Option<NonNull<Leaf>>,
}

/// Steps until the next try where the index knew no leaves ahead (the end of a subtree, the end of
/// all) or none had to be loaded.
const STEPS_WITHOUT: usize = 16;

/// Leaves closer than this lie on pages that the processor loads ahead of a walk by itself.
const NEAR_BYTES: usize = 2 << 10;

impl Ahead {
    /// Nothing loaded. The first step after a seek loads nothing: who only looks at one key and its
    /// neighbour need not pay.
    fn nothing(direction: Direction) -> Self {
        Self {
            direction,
            steps: 1,
            last: None,
        }
    }
}

// SAFETY: the leaf pointer is a shared reference into the memtable (all of a leaf that changes is
// atomic), which may be used from any thread; so a cursor may be sent and shared exactly if its
// hold may.
unsafe impl<H: Hold + Send> Send for Cursor<H> {}
// SAFETY: as above.
unsafe impl<H: Hold + Sync> Sync for Cursor<H> {}

impl<H: Hold> Cursor<H> {
    /// A cursor at no key.
    #[must_use]
    pub fn new(hold: H) -> Self {
        Self {
            hold,
            leaf: None,
            ahead: Ahead::nothing(Direction::Up),
        }
    }

    /// The memtable.
    #[must_use]
    pub fn memtable(&self) -> &Memtable {
        &self.hold
    }

    /// To the lowest key.
    pub fn seek_to_first(&mut self) {
        self.place(pointer(self.hold.list().first()));
    }

    /// To the highest key.
    pub fn seek_to_last(&mut self) {
        self.place(pointer(self.hold.list().last()));
    }

    /// To the first key at or above `key`.
    pub fn seek(&mut self, key: &[u8]) {
        self.place(pointer(self.hold.ceiling(key)));
    }

    /// To the last key at or below `key`.
    pub fn seek_for_prev(&mut self, key: &[u8]) {
        self.place(pointer(
            self.hold.list().floor_below(self.hold.ceiling(key), key),
        ));
    }

    /// To the next higher key; past the highest, and from no key, to no key.
    pub fn next_key(&mut self) {
        self.fetch_ahead(Direction::Up);
        self.leaf = pointer(self.leaf().and_then(LeafRef::next));
    }

    /// To the next lower key; before the lowest, and from no key, to no key.
    pub fn prev_key(&mut self) {
        self.fetch_ahead(Direction::Down);
        self.leaf = pointer(self.leaf().and_then(LeafRef::previous));
    }

    /// Whether the cursor is at a key.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.leaf.is_some()
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        self.leaf().map(LeafRef::key)
    }

    /// The newest version of the current key at or below `at`.
    #[must_use]
    pub fn version_at(&self, at: u64) -> Option<Found<'_>> {
        Some(chain::newest_at(self.leaf()?.head(), at)?.found())
    }

    /// The versions of the current key, newest first, each once; nothing at no key.
    #[must_use]
    pub fn versions(&self) -> Versions<'_> {
        chain::versions(self.leaf().map(LeafRef::head))
    }

    fn place(&mut self, leaf: Option<NonNull<Leaf>>) {
        self.leaf = leaf;
        self.ahead = Ahead::nothing(Direction::Up);
    }

    /// Walking a list of leaves that lie anywhere in memory waits for one leaf after the other. The
    /// index knows many of the leaves to come, so they are loaded together: a first batch, at the
    /// next step one beyond it, and then one whenever a batch was walked, so that there is always
    /// one on its way.
    fn fetch_ahead(&mut self, direction: Direction) {
        if self.ahead.direction != direction {
            self.ahead = Ahead::nothing(direction);
        }
        if self.ahead.steps > 0 {
            self.ahead.steps -= 1;
            return;
        }
        if self.is_in_memory_order(direction) {
            self.ahead = Ahead {
                direction,
                steps: STEPS_WITHOUT,
                last: None,
            };
            return;
        }
        // SAFETY: the leaf was found in the memtable that `hold` keeps alive as long as the cursor.
        let last = self
            .ahead
            .last
            .map(|leaf| unsafe { LeafRef::from_ptr(leaf) });
        let Some(from) = last.or(self.leaf()) else {
            return;
        };
        let fetched = self.hold.fetch_ahead(from.key(), direction);
        self.ahead = Ahead {
            direction,
            steps: match (fetched, last) {
                (None, _) => STEPS_WITHOUT,
                (Some(_), None) => 0,
                (Some(fetched), Some(_)) => fetched.leaves,
            },
            last: fetched.map(|fetched| fetched.last.as_ptr()),
        };
    }

    /// Whether the next leaf lies close by, as leaves do that were inserted one after the other;
    /// then the processor itself loads ahead.
    fn is_in_memory_order(&self, direction: Direction) -> bool {
        let Some(leaf) = self.leaf() else { return true };
        let next = match direction {
            Direction::Up => leaf.next(),
            Direction::Down => leaf.previous(),
        };
        next.is_none_or(|next| {
            next.as_ptr()
                .addr()
                .get()
                .abs_diff(leaf.as_ptr().addr().get())
                < NEAR_BYTES
        })
    }

    fn leaf(&self) -> Option<LeafRef<'_>> {
        // SAFETY: the leaf was found in the memtable that `hold` keeps alive as long as the cursor.
        self.leaf.map(|leaf| unsafe { LeafRef::from_ptr(leaf) })
    }
}

impl Cursor<Arc<Memtable>> {
    /// As [`Cursor::version_at`], with a value that keeps the memtable alive.
    #[must_use]
    pub fn version_at_owned(&self, at: u64) -> Option<FoundOwned> {
        let found = self.version_at(at)?;
        // SAFETY: the value was just found in this memtable.
        Some(unsafe { FoundOwned::new(Arc::clone(&self.hold), found) })
    }
}

fn pointer(leaf: Option<LeafRef<'_>>) -> Option<NonNull<Leaf>> {
    leaf.map(LeafRef::as_ptr)
}
