//! The nouns of locks.

use crate::failure::invalid;
use nokv_types::{ClientId, Failure};

/// Which of the two kinds of advisory locks. They know nothing of each other, as on Linux.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LockFamily {
    /// Of a whole file, by open file: flock(2).
    Whole,
    /// Of bytes, by process: fcntl(2).
    Range,
}

/// What a lock lets others do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LockKind {
    /// Hold it shared too.
    Shared,
    /// Nothing.
    Exclusive,
}

/// Bytes of a file, whether they exist or not.
///
/// **Shape**: `start..=end`; an `end` of `u64::MAX` means to the end of the file, however far it
/// grows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LockRange {
    start: u64,
    end: u64,
}

impl LockRange {
    /// The whole file.
    pub const ALL: Self = Self {
        start: 0,
        end: u64::MAX,
    };

    /// The bytes from `start` to `end`, both included. **Errors**: `InvalidArgument` when there are
    /// none.
    pub fn new(start: u64, end: u64) -> Result<Self, Failure> {
        if start > end {
            return Err(invalid(format!(
                "bytes {start} to {end} are none; a lock has at least one byte"
            )));
        }
        Ok(Self { start, end })
    }

    /// The first byte.
    #[must_use]
    pub const fn start(self) -> u64 {
        self.start
    }

    /// The last byte.
    #[must_use]
    pub const fn end(self) -> u64 {
        self.end
    }

    pub(super) const fn overlaps(self, other: Self) -> bool {
        self.start <= other.end && other.start <= self.end
    }

    /// Whether one begins where the other ends.
    pub(super) const fn touches(self, other: Self) -> bool {
        (self.end < u64::MAX && self.end + 1 == other.start)
            || (other.end < u64::MAX && other.end + 1 == self.start)
    }

    /// What is left of it before and after another that overlaps it.
    pub(super) const fn without(self, other: Self) -> (Option<Self>, Option<Self>) {
        let before = match other.start > self.start {
            true => Some(Self {
                start: self.start,
                end: other.start - 1,
            }),
            false => None,
        };
        let after = match other.end < self.end {
            true => Some(Self {
                start: other.end + 1,
                end: self.end,
            }),
            false => None,
        };
        (before, after)
    }

    pub(super) fn joined(self, other: Self) -> Self {
        Self {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }
}

/// Who holds locks: an owner of a client session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LockOwner {
    /// The session: with it go all its locks.
    pub client: ClientId,
    /// Chosen by the client: an open file for [`LockFamily::Whole`], a process for
    /// [`LockFamily::Range`].
    pub number: u64,
}

/// A lock that somebody holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeldLock {
    /// Who.
    pub owner: LockOwner,
    /// The process, on the machine of the client: what `F_GETLK` tells.
    pub process: u32,
    /// How.
    pub kind: LockKind,
    /// Which bytes.
    pub range: LockRange,
}

impl HeldLock {
    /// Whether both can't be held at once.
    pub(super) fn excludes(&self, other: &Self) -> bool {
        self.owner != other.owner
            && (self.kind == LockKind::Exclusive || other.kind == LockKind::Exclusive)
            && self.range.overlaps(other.range)
    }
}
