//! The limits of a round, with their reasons.

use super::CompactOptions;
use std::num::NonZeroU32;

/// Age, since the first sight, at which an object of a finished session is deleted: longer than any
/// network holds back a request.
pub const LATE_GRACE_MS_DEFAULT: u64 = 3_600_000;

/// What a [`crate::Collector`] may do in one round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CollectOptions {
    /// Sessions swept; each costs a listing.
    pub sessions_max: usize,
    /// Objects deleted, or tried to.
    pub objects_max: usize,
    /// Records that one step of reclaiming touches: some milliseconds of the log.
    pub step_records_max: usize,
    /// Steps of reclaiming.
    pub steps_max: usize,
    /// Most objects deleted in a second; `None` for as many as the object store takes.
    pub objects_per_second: Option<NonZeroU32>,
    /// When objects that are mostly dead are emptied.
    pub compact: CompactOptions,
    /// What becomes of objects that belong to nothing.
    pub orphans: Orphans,
    /// From the end of one look for orphans to the next, milliseconds: it lists the whole object
    /// store.
    pub orphan_interval_ms: u64,
    /// Sessions that a round looks at for orphans; each costs a listing.
    pub orphan_sessions_max: usize,
}

impl Default for CollectOptions {
    fn default() -> Self {
        Self {
            sessions_max: 1_000,
            objects_max: 100_000,
            step_records_max: 2_000,
            steps_max: 500,
            objects_per_second: None,
            compact: CompactOptions::default(),
            orphans: Orphans::Late {
                grace_ms: LATE_GRACE_MS_DEFAULT,
            },
            orphan_interval_ms: 86_400_000,
            orphan_sessions_max: 1_000,
        }
    }
}

/// What becomes of objects that no session and no body knows: a put that arrived after its session
/// was swept, or objects of a store that was rolled back to a copy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Orphans {
    /// They are not looked for.
    Ignore,
    /// They are counted.
    Report,
    /// They are counted; those of sessions that this store once gave are deleted after they were
    /// seen for this long: a put that came late. The others may be what a store that was brought
    /// back from a copy does not know yet, and stay.
    Late {
        /// Between the first sight (by this collector: a restart begins anew) and the deletion,
        /// milliseconds.
        grace_ms: u64,
    },
    /// They are counted, and deleted after they were seen for this long. Only where the object
    /// store belongs to this store alone.
    Delete {
        /// Between the first sight (by this collector: a restart begins anew) and the deletion,
        /// milliseconds.
        grace_ms: u64,
    },
}
