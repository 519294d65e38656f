//! Which versions of one key a compaction keeps.
//!
//! An entry is seen by reads in `version..until`: `until` is the version of the next newer entry of
//! the key, or of the oldest range tombstone newer than the entry that covers the key, or when it
//! expires, whichever is lowest.
//!
//! | | entry | retained read in `version..until` | below | then |
//! |---|---|---|---|---|
//! | A | any | no | any | dropped |
//! | B | put | yes | any | kept |
//! | C | put that expires | only after it expired | any | becomes a deletion, then as D to F |
//! | D | deletion above the horizon | yes | any | kept |
//! | E | deletion at or below it | yes | an older entry is kept, or may be there | kept |
//! | F | deletion at or below it | yes | nothing | dropped: absent is the same |
//!
//! Invariant: of each key, entries come newest first, and what is kept goes out newest first.

use super::keep::Keep;
use crate::entry::EntryKind;

/// What is to be done with an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Write the deletions at these versions ([`Pruner::take_pending`]), then the entry.
    Keep,
    /// As `Keep`, as a deletion.
    KeepAsDeletion,
    /// A deletion that is needed only if an older entry is kept: it is pending.
    Wait,
    Drop,
}

/// An entry, and what it depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) version: u64,
    pub(crate) kind: EntryKind,
    /// The oldest range tombstone above the entry's version that covers the key.
    pub(crate) covered_at: Option<u64>,
    /// From this version on it has expired.
    pub(crate) expires_at: Option<u64>,
}

/// The state within one key.
#[derive(Default)]
pub(crate) struct Pruner {
    /// The entry before of the same key, kept or not.
    newer: Option<u64>,
    /// Whether a lower level may have the key.
    is_deeper: bool,
    /// Versions of deletions that wait for an older entry, newest first.
    pending: Vec<u64>,
}

impl Pruner {
    /// Begins a key; deletions that are pending were not needed.
    pub(crate) fn begin_key(&mut self, is_deeper: bool) {
        self.newer = None;
        self.is_deeper = is_deeper;
        self.pending.clear();
    }

    /// Decides on the next older entry of the key.
    pub(crate) fn judge(&mut self, keep: &Keep, entry: Candidate) -> Verdict {
        let until = [self.newer, entry.covered_at].into_iter().flatten().min();
        self.newer = Some(entry.version);
        if !keep.is_read(entry.version, until) {
            return Verdict::Drop;
        }
        let seen_until = [until, entry.expires_at].into_iter().flatten().min();
        let is_deletion =
            entry.kind == EntryKind::Delete || !keep.is_read(entry.version, seen_until);
        if !is_deletion {
            return Verdict::Keep;
        }
        if entry.version > keep.horizon() || self.is_deeper {
            return Verdict::KeepAsDeletion;
        }
        self.pending.push(entry.version);
        Verdict::Wait
    }

    /// The deletions that an entry that is kept makes necessary, newest first.
    pub(crate) fn take_pending(&mut self, mut each: impl FnMut(u64)) {
        self.pending.drain(..).for_each(&mut each);
    }
}
