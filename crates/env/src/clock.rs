//! Time: the wall clock for versions and attributes, the monotonic clock for durations.
//!
//! Invariants: `monotonic` never goes back; the wall clock may (somebody sets it), so nothing that
//! must order events may depend on it alone.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// What time it is.
pub trait Clock: Send + Sync {
    /// Wall clock: milliseconds since 1970.
    fn now_millis(&self) -> u64;

    /// Wall clock: nanoseconds since 1970.
    fn now_nanos(&self) -> i64;

    /// Time since some fixed moment; never goes back.
    fn monotonic(&self) -> Duration;

    /// Waits.
    fn sleep(&self, duration: Duration);
}

/// The clocks of the machine.
#[derive(Clone, Copy, Debug)]
pub struct RealClock {
    start: Instant,
}

impl RealClock {
    /// The clocks of this machine; `monotonic` counts from now.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the place that the ban points to"
    )]
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Default for RealClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for RealClock {
    fn now_millis(&self) -> u64 {
        u64::try_from(since_1970().as_millis()).unwrap_or(u64::MAX)
    }

    fn now_nanos(&self) -> i64 {
        i64::try_from(since_1970().as_nanos()).unwrap_or(i64::MAX)
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the place that the ban points to"
    )]
    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

/// A clock set before 1970 reads as 1970: versions stay ordered by their counter.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the place that the ban points to"
)]
fn since_1970() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// A clock that moves only when told to; `sleep` moves it and returns at once.
#[derive(Debug)]
pub struct ManualClock {
    nanos: AtomicU64,
}

impl ManualClock {
    /// Where a new clock stands: 2026-01-01, so that computed versions look like real ones.
    const START_NANOS: u64 = 1_767_225_600 * 1_000_000_000;

    /// A clock that stands at 2026-01-01.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            nanos: AtomicU64::new(Self::START_NANOS),
        }
    }

    /// Moves the clock forward.
    pub fn advance(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now_millis(&self) -> u64 {
        self.nanos.load(Ordering::SeqCst) / 1_000_000
    }

    fn now_nanos(&self) -> i64 {
        i64::try_from(self.nanos.load(Ordering::SeqCst)).unwrap_or(i64::MAX)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::SeqCst))
    }

    fn sleep(&self, duration: Duration) {
        self.advance(duration);
        std::thread::yield_now();
    }
}
