//! What an ordered index over the leaves must do: the seam between the tree, the skiplist and the
//! memtable.
//!
//! Purpose: leaves, versions, iteration, memory and the public API exist once; a structure only
//! finds places.
//!
//! Invariants every implementation keeps:
//! - Readers are wait-free of the writer: they take no lock and follow only pointers that were
//!   published with Release stores and are loaded with Acquire.
//! - `find` and `ceiling` see every key whose insert happened before the call; of a key that is
//!   inserted while they run they may or may not know.
//! - A new leaf is linked into the list before it is published in the index, so that who finds it
//!   in the index can walk on from it in both directions.

use crate::arena::Arena;
use crate::entry::EntryRef;
use crate::leaf::{LeafRef, List};

/// What an insert added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    /// A key, with its first version.
    Key,
    /// A version of a known key.
    Version,
    /// A version that existed; what it held is hidden now.
    Replacement,
}

/// Which way a cursor moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// To higher keys.
    Up,
    /// To lower keys.
    Down,
}

/// Leaves on their way into the caches.
#[derive(Clone, Copy)]
pub(crate) struct Fetched<'a> {
    /// How many.
    pub(crate) leaves: usize,
    /// The furthest.
    pub(crate) last: LeafRef<'a>,
}

/// See the file head.
pub(crate) trait Index {
    /// The leaf of `key`.
    fn find<'a>(&'a self, list: &'a List, key: &[u8]) -> Option<LeafRef<'a>>;

    /// The leaf of the first key at or above `key`.
    fn ceiling<'a>(&'a self, list: &'a List, key: &[u8]) -> Option<LeafRef<'a>>;

    /// Starts loading, from memory into the processor's caches, the leaves that follow `key` in
    /// `direction`; only a hint, with no effect but time. `None` if the structure has no quick way
    /// to know them.
    fn fetch_ahead<'a>(&'a self, key: &[u8], direction: Direction) -> Option<Fetched<'a>> {
        let _ = (key, direction);
        None
    }

    /// Adds a version, and the key if it is new. `arena` being exclusive makes this the only
    /// writer.
    ///
    /// # Safety
    /// `list` and `arena` are the same at every call on this index, are used by no other index, and
    /// the arena is dropped after the last use of index and list.
    unsafe fn insert(
        &self,
        list: &List,
        arena: &mut Arena,
        key: &[u8],
        version: u64,
        entry: EntryRef<'_>,
    ) -> Added;
}
