//! The moment of a read: which versions it sees, and what has expired for it.
//!
//! An entry that expires is hidden exactly when its expiry is at or below both the version that the
//! read asked for and the present. The present is the clock, or the newest version if that is
//! later: so what a read at a version that was written sees never changes, even if the clock is set
//! back.
//!
//! Invariant: the clock is asked at most once, and only when a read without a version of the past
//! meets an entry that expires: reads without such entries pay nothing.

use std::{cell::Cell, ops::Deref};

use nokv_env::Clock;
use nokv_types::Version;

use crate::entry::EntryKind;

/// When a read takes place; `C` points to the clock.
pub(crate) struct Moment<C> {
    at: u64,
    asked: u64,
    clock: C,
    limit: Cell<Option<u64>>,
}

/// What a read asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asked {
    /// A version; what has expired by then, or by now if that is earlier, is hidden.
    Version(Version),
    /// A version that was written; what expires at or below `expired` is hidden.
    Snapshot { version: Version, expired: u64 },
}

/// The moment of a point lookup.
pub(crate) type LookupMoment<'a> = Moment<&'a dyn Clock>;

impl<C: Deref<Target: Clock>> Moment<C> {
    /// A read of a store whose newest complete version is `visible`.
    pub(crate) fn new(asked: Asked, visible: u64, clock: C) -> Self {
        let (asked, expired) = match asked {
            Asked::Version(version) => (version.as_u64(), None),
            Asked::Snapshot { version, expired } => (version.as_u64(), Some(expired)),
        };
        let at = asked.min(visible);
        Self {
            at,
            asked,
            clock,
            limit: Cell::new(expired.or((asked == at).then_some(asked))),
        }
    }

    /// The version at which entries are looked for.
    #[inline]
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Whether there is nothing for the read in an entry of this kind with these stored bytes.
    #[inline]
    pub(crate) fn hides(&self, kind: EntryKind, stored: &[u8]) -> bool {
        match kind {
            EntryKind::Delete => true,
            EntryKind::Put | EntryKind::Pointer => false,
            EntryKind::PutExpiring | EntryKind::PointerExpiring => {
                let expires_at = kind.expires_at(stored);
                expires_at.is_some_and(|expires_at| expires_at <= self.limit())
            }
        }
    }

    /// What expired at or below it is hidden.
    fn limit(&self) -> u64 {
        self.limit.get().unwrap_or_else(|| {
            let limit = self.asked.min(present(self.clock.now_millis(), self.at));
            self.limit.set(Some(limit));
            limit
        })
    }
}

/// The present, by the clock and a store whose newest version is `visible`.
pub(crate) fn present(now_millis: u64, visible: u64) -> u64 {
    Version::from_millis(now_millis).as_u64().max(visible)
}
