//! The pieces that are held of one file.

use super::range::{HeldLock, LockOwner, LockRange};

/// Locks that are held of one file, in order of the first byte.
///
/// **Guarantees**: the pieces of one owner do not overlap, neighbours of one kind are one piece.
/// That nobody else's is taken is the caller's.
#[derive(Clone, Debug, Default)]
pub struct HeldRanges(Vec<HeldLock>);

impl HeldRanges {
    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many pieces are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The pieces.
    pub fn iter(&self) -> impl Iterator<Item = &HeldLock> {
        self.0.iter()
    }

    /// The first piece that excludes `wanted`.
    pub(super) fn first_against(&self, wanted: &HeldLock) -> Option<&HeldLock> {
        self.0.iter().find(|held| held.excludes(wanted))
    }

    /// Gives `lock` to its owner, in the place of what he had of these bytes.
    pub fn set(&mut self, mut lock: HeldLock) {
        self.clear(lock.owner, lock.range);
        let joins = |held: &HeldLock| {
            (held.owner, held.kind, held.process) == (lock.owner, lock.kind, lock.process)
                && held.range.touches(lock.range)
        };
        let mut range = lock.range;
        self.0.retain(|held| {
            let joined = joins(held);
            if joined {
                range = range.joined(held.range);
            }
            !joined
        });
        lock.range = range;
        self.insert(lock);
    }

    /// Takes these bytes from an owner; whether he had any of them.
    pub fn clear(&mut self, owner: LockOwner, range: LockRange) -> bool {
        let mut rest = Vec::new();
        let mut cleared = false;
        self.0.retain(|held| {
            if held.owner != owner || !held.range.overlaps(range) {
                return true;
            }
            cleared = true;
            let (before, after) = held.range.without(range);
            let left = [before, after].into_iter().flatten();
            rest.extend(left.map(|range| HeldLock { range, ..*held }));
            false
        });
        for lock in rest {
            self.insert(lock);
        }
        cleared
    }

    /// Takes everything from owners that `which` names; whether there was anything.
    pub(super) fn clear_all(&mut self, which: impl Fn(LockOwner) -> bool) -> bool {
        let before = self.0.len();
        self.0.retain(|held| !which(held.owner));
        self.0.len() < before
    }

    fn insert(&mut self, lock: HeldLock) {
        let start = lock.range.start();
        let at = self.0.partition_point(|held| held.range.start() <= start);
        self.0.insert(at, lock);
    }
}
