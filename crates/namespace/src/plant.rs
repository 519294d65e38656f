//! Planted bugs: what negative tests switch on to see that the other tests would notice.
//!
//! Invariant: without the feature `plant`, which only tests of the crates above ask for, nothing is
//! ever planted and the question costs nothing.

/// One way in which the namespace could be wrong: about bodies, in a store; about all else, in a
/// thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(
    not(feature = "plant"),
    expect(unreachable_pub, reason = "exported with the feature")
)]
pub enum Plant {
    /// Bodies that only branches and snapshots see are dropped.
    ForgetPins,
    /// A session is given before it is on disk.
    ForgetSession,
    /// A block that a body shares with another is not counted for it.
    ForgetReference,
    /// Bodies move without anybody keeping their places of before.
    ForgetPlaces,
    /// Leases of reads are forgotten.
    ForgetLeases,
    /// A command does not check what it rests on.
    SkipChecks,
    /// Nobody is told of a new name of an old node.
    DropEvent,
    /// The engine is not told of pinned versions.
    PrunePinned,
    /// A quota admits one more than it may.
    OvershootQuota,
    /// A merge takes the branch's side of what the target changed too.
    MergeWrongSide,
    /// A request that comes again is done again.
    ForgetRequests,
    /// A write is answered as durable before it is.
    SkipSync,
}

#[cfg(feature = "plant")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Plant>> = const { std::cell::Cell::new(None) };
}

/// Lets this thread work with the bug, or without any.
#[cfg(feature = "plant")]
pub fn plant(plant: Option<Plant>) {
    PLANTED.set(plant);
}

/// Whether this bug is planted in this thread.
#[cfg(feature = "plant")]
pub(crate) fn is_planted(plant: Plant) -> bool {
    PLANTED.get() == Some(plant)
}

/// Whether this bug is planted in this thread.
#[cfg(not(feature = "plant"))]
#[inline]
pub(crate) const fn is_planted(_plant: Plant) -> bool {
    false
}

/// What is planted in a store.
#[derive(Default)]
pub(crate) struct Planted {
    #[cfg(feature = "plant")]
    plant: parking_lot::Mutex<Option<Plant>>,
}

impl Planted {
    #[cfg(feature = "plant")]
    pub(crate) fn is(&self, plant: Plant) -> bool {
        *self.plant.lock() == Some(plant)
    }

    #[cfg(not(feature = "plant"))]
    #[inline]
    #[expect(clippy::unused_self, reason = "as with the feature")]
    pub(crate) const fn is(&self, _plant: Plant) -> bool {
        false
    }

    #[cfg(feature = "plant")]
    fn set(&self, plant: Plant) {
        *self.plant.lock() = Some(plant);
    }
}

#[cfg(feature = "plant")]
impl crate::Namespace {
    /// Plants a bug in this store, until it is closed.
    pub fn plant(&self, plant: Plant) {
        self.inner.planted.set(plant);
    }
}
