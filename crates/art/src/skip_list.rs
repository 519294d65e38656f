//! The skiplist: towers over the ordered list of leaves.
//!
//! Purpose: the second structure behind [`Index`], to measure the tree against and to fall back on.
//!
//! Invariants:
//! - Level 0 is the list of leaves itself. A leaf of height h has h links more, right below its
//!   header in memory.
//! - A leaf is linked bottom up, so whatever is reachable at a level is reachable at all lower
//!   levels.
//! - A level is a sorted sublist of the level below, so a search that goes down where the next key
//!   is not lower never passes its target.
//!
//! Heights come from a seeded generator of the structure's own: they do not depend on the keys, so
//! that a caller can't choose keys that degrade it, and two runs with the same inserts build the
//! same list.
//!
//! Source: Pugh 1990; the downward tower is that of LevelDB's memtable turned over.

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::Ordering;

use crate::arena::Arena;
use crate::chain;
use crate::entry::EntryRef;
use crate::index::{Added, Index};
use crate::leaf::{self, LeafRef, Link, List};
use crate::sync::AtomicU64;

/// Levels above the list. With one leaf in four rising a level, 12 serve 4^12 = 16 M keys at full
/// speed.
const LEVELS_MAX: usize = 12;

/// Start of the generator of heights; any odd constant does.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// See the file head.
pub(crate) struct SkipList {
    /// First leaf of level 1, 2, ...
    heads: [Link; LEVELS_MAX],
    /// Levels in use. A stale value costs a reader time, not correctness.
    height: AtomicU64,
    /// State of the generator; only the writer uses it.
    random: AtomicU64,
}

impl SkipList {
    pub(crate) fn new() -> Self {
        Self {
            heads: [const { Link::new(ptr::null_mut()) }; LEVELS_MAX],
            height: AtomicU64::new(0),
            random: AtomicU64::new(SEED),
        }
    }

    /// The link at `level` (1 or more) of `leaf`, of the head if `None`.
    ///
    /// # Safety
    /// `leaf` was reached at `level`.
    unsafe fn link<'a>(&'a self, leaf: Option<LeafRef<'a>>, level: usize) -> &'a Link {
        match leaf {
            None => &self.heads[level - 1],
            // SAFETY: a leaf that is linked at a level has a tower that high.
            Some(leaf) => unsafe { leaf.tower(level) },
        }
    }

    /// The first leaf at or above `key`; `visit` gets the last leaf below it on each level, top
    /// down.
    fn search<'a>(
        &'a self,
        list: &'a List,
        key: &[u8],
        mut visit: impl FnMut(usize, Option<LeafRef<'a>>),
    ) -> Option<LeafRef<'a>> {
        let mut below = None;
        let mut above: Option<LeafRef<'a>> = None;
        for level in (0..=self.height.load(Ordering::Relaxed) as usize).rev() {
            loop {
                let next = match (level, below) {
                    (0, None) => list.first(),
                    (0, Some(below)) => LeafRef::next(below),
                    // SAFETY: `below` was reached at this level or at a higher one.
                    (level, below) => leaf::load(unsafe { self.link(below, level) }),
                };
                match next {
                    // A leaf that was already found to be too high on the level above is not
                    // compared again.
                    Some(next) if Some(next) != above && next.key() < key => below = Some(next),
                    next => {
                        above = next;
                        break;
                    }
                }
            }
            visit(level, below);
        }
        above
    }

    /// 0 for three leaves in four, 1 for three in four of the rest, ...
    fn height_of_new_leaf(&self) -> usize {
        let mut state = self.random.load(Ordering::Relaxed);
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.random.store(state, Ordering::Relaxed);
        // The high half of a multiplied xorshift state is well mixed.
        let bits = state.wrapping_mul(SEED) >> 32;
        (bits.trailing_ones() as usize / 2).min(LEVELS_MAX)
    }
}

impl Index for SkipList {
    fn find<'a>(&'a self, list: &'a List, key: &[u8]) -> Option<LeafRef<'a>> {
        self.ceiling(list, key).filter(|leaf| leaf.key() == key)
    }

    fn ceiling<'a>(&'a self, list: &'a List, key: &[u8]) -> Option<LeafRef<'a>> {
        self.search(list, key, |_, _| ())
    }

    unsafe fn insert(
        &self,
        list: &List,
        arena: &mut Arena,
        key: &[u8],
        version: u64,
        entry: EntryRef<'_>,
    ) -> Added {
        let below = [const { Cell::new(None) }; LEVELS_MAX + 1];
        let found = self.search(list, key, |level, leaf| below[level].set(leaf));
        if let Some(leaf) = found.filter(|leaf| leaf.key() == key) {
            // SAFETY: the caller passes the arena of this index.
            return unsafe { chain::insert(leaf.head(), arena, version, entry) };
        }
        let height = self.height_of_new_leaf();
        // SAFETY: the caller keeps the arena as long as the index.
        let leaf = unsafe { LeafRef::create(arena, height, key, version, entry) };
        // SAFETY: each leaf of `below` was reached at its level, and the new one has `height`
        // levels.
        let links =
            |level: usize| unsafe { (self.link(below[level].get(), level), leaf.tower(level)) };
        for level in 1..=height {
            let (below, link) = links(level);
            link.store(below.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        list.link_after(below[0].get(), leaf);
        for level in 1..=height {
            // Release: who reaches the leaf here sees it complete, with its tower.
            links(level)
                .0
                .store(leaf.as_ptr().as_ptr(), Ordering::Release);
        }
        if height as u64 > self.height.load(Ordering::Relaxed) {
            self.height.store(height as u64, Ordering::Relaxed);
        }
        Added::Key
    }
}
