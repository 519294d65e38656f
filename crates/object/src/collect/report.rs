//! What a round did.

use crate::Error;

/// What one round of a [`crate::Collector`] did, and what it left and why.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Report {
    /// Sessions swept and forgotten.
    pub swept_sessions: u64,
    /// Records of removed trees that were taken apart.
    pub reclaimed_entries: u64,
    /// Bodies whose references were dropped.
    pub reclaimed_bodies: u64,
    /// Objects deleted.
    pub deleted_objects: u64,
    /// Bytes of those that a listing told the size of: all but doomed ones.
    pub deleted_bytes: u64,
    /// Bodies, or parts of bodies, that were moved out of objects that were mostly dead.
    pub moved_parts: u64,
    /// Bytes that were copied for that.
    pub copied_bytes: u64,
    /// Kept: runs of bytes that could not be copied, since they are missing or damaged.
    pub damaged_units: u64,
    /// Kept: replaced and removed bodies that a retained version still sees.
    pub retained_bodies: u64,
    /// Kept: objects of swept sessions that bodies reference.
    pub referenced_objects: u64,
    /// Kept: objects that belong to nothing, seen by this round's part of the look for them.
    pub orphan_objects: u64,
    /// Bytes of those.
    pub orphan_bytes: u64,
    /// Kept: objects that could not be deleted; a later round tries again.
    pub failed_objects: u64,
    /// Kept: sessions that could not be swept to the end; a later round tries again.
    pub failed_sessions: u64,
    /// Whether a limit or a refusal stopped the round before the work was done. The look for
    /// orphans does not count: it takes many rounds, and none hurries.
    pub more: bool,
    /// The first thing that the object store refused.
    pub first_error: Option<Error>,
}
