//! How fast a compaction may write.

use std::{sync::Arc, time::Duration};

use nokv_env::Clock;
use parking_lot::Mutex;

/// Slows who writes too fast.
pub(crate) trait Throttle: Send + Sync {
    /// Waits until `bytes` more may be written.
    fn take(&self, bytes: u64);
}

/// No limit.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NoLimit;

impl Throttle for NoLimit {
    fn take(&self, _: u64) {}
}

/// At most so many bytes a second, shared by all who take.
///
/// **Guarantees**: after `n` bytes at least `n / rate` seconds have passed, less
/// [`RateLimiter::BURST`]; nobody waits for more than what was taken before.
pub(crate) struct RateLimiter {
    clock: Arc<dyn Clock>,
    bytes_per_second: u64,
    /// When what was taken so far would be written at the rate.
    due: Mutex<Duration>,
}

impl RateLimiter {
    /// How far ahead of the rate a burst may be: short enough that a disk's queue stays short.
    pub(crate) const BURST: Duration = Duration::from_millis(50);

    pub(crate) fn new(clock: Arc<dyn Clock>, bytes_per_second: u64) -> Self {
        let due = Mutex::new(clock.monotonic());
        Self {
            clock,
            bytes_per_second: bytes_per_second.max(1),
            due,
        }
    }
}

impl Throttle for RateLimiter {
    fn take(&self, bytes: u64) {
        let now = self.clock.monotonic();
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_second);
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let wait = {
            let mut due = self.due.lock();
            let wait = due.saturating_sub(now + Self::BURST);
            *due = due.max(now).saturating_add(cost);
            wait
        };
        if !wait.is_zero() {
            self.clock.sleep(wait);
        }
    }
}

#[cfg(test)]
mod tests {
    use nokv_env::ManualClock;

    use super::*;

    #[test]
    fn bytes_take_their_time() {
        let clock = Arc::new(ManualClock::new());
        let limiter = RateLimiter::new(clock.clone(), 1000);
        let start = clock.monotonic();
        for _ in 0..10 {
            limiter.take(500);
        }
        let passed = clock.monotonic() - start;
        assert!(passed >= Duration::from_millis(4400) && passed <= Duration::from_millis(5000));
    }
}
