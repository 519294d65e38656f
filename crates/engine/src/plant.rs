//! Planted bugs: what the negative tests switch on to see that the other tests would notice.
//!
//! Invariant: outside of the crate's own tests nothing is ever planted, and the question costs
//! nothing.

/// One way in which the engine could be wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Plant {
    /// The log says that it synced and did not.
    SkipLogSync,
    /// Value files are not synced.
    SkipValueSync,
    /// Damaged records of the log are taken for good.
    SkipLogChecksum,
    /// Damaged blocks of tables are taken for good.
    SkipBlockChecksum,
    /// Segments of the log go before the manifest says that their table is there.
    ReleaseLogFirst,
    /// Compaction forgets the pins.
    ForgetPins,
}

#[cfg(test)]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Plant>> = const { std::cell::Cell::new(None) };
}

/// Whether this bug is planted in this thread.
#[cfg(test)]
pub(crate) fn is_planted(plant: Plant) -> bool {
    PLANTED.get() == Some(plant)
}

/// Whether this bug is planted in this thread.
#[cfg(not(test))]
#[inline]
pub(crate) const fn is_planted(_plant: Plant) -> bool {
    false
}

/// Runs `work` with the bug; a panic counts as what `on_panic` says.
#[cfg(test)]
pub(crate) fn with_planted<T>(plant: Plant, on_panic: T, work: impl FnOnce() -> T) -> T {
    PLANTED.set(Some(plant));
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    PLANTED.set(None);
    result.unwrap_or(on_panic)
}
