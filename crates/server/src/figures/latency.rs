//! How long things take: a histogram of powers of two, from a microsecond up.
//!
//! Adding to it is two additions without a lock. A bucket is as wide as what it counts, so a
//! quantile is right within a factor of two at worst, and interpolated in between.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets: bucket `i` counts what took less than `2^i` microseconds; the last one the rest.
const BUCKETS: usize = 26;

/// Counts as they happen.
#[derive(Debug, Default)]
pub struct Latency {
    buckets: [AtomicU64; BUCKETS],
    sum_nanos: AtomicU64,
}

/// What was counted until a moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Latencies {
    buckets: [u64; BUCKETS],
    sum_nanos: u64,
}

impl Latency {
    /// Counts one.
    pub fn add(&self, took: Duration) {
        let micros = took.as_micros();
        let bucket = (u128::BITS - micros.leading_zeros()) as usize;
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get(bucket.min(BUCKETS - 1)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// What was counted so far.
    #[must_use]
    pub fn so_far(&self) -> Latencies {
        let mut buckets = [0; BUCKETS];
        for (bucket, counted) in buckets.iter_mut().zip(&self.buckets) {
            *bucket = counted.load(Ordering::Relaxed);
        }
        Latencies {
            buckets,
            sum_nanos: self.sum_nanos.load(Ordering::Relaxed),
        }
    }
}

impl Latencies {
    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// All together, in seconds.
    #[must_use]
    pub fn sum_seconds(&self) -> f64 {
        self.sum_nanos as f64 / 1e9
    }

    /// Upper bound in seconds (the last is infinite) and count of each bucket.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let bound = |at: usize| match at {
            at if at == BUCKETS - 1 => f64::INFINITY,
            at => (1u64 << at) as f64 / 1e6,
        };
        let buckets = self.buckets.iter().enumerate();
        buckets.map(move |(at, count)| (bound(at), *count))
    }

    /// What was counted since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut difference = self.clone();
        for (now, before) in difference.buckets.iter_mut().zip(earlier.buckets) {
            *now = now.saturating_sub(before);
        }
        difference.sum_nanos = self.sum_nanos.saturating_sub(earlier.sum_nanos);
        difference
    }

    /// The time that a part `quantile` of them did not exceed, in seconds; `None` for none.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        let wanted = quantile.clamp(0.0, 1.0) * self.count() as f64;
        let (mut below, mut lower) = (0.0, 0.0);
        for (upper, count) in self.buckets() {
            let count = count as f64;
            if count > 0.0 && below + count >= wanted {
                let part = ((wanted - below) / count).clamp(0.0, 1.0);
                let upper = if upper.is_finite() {
                    upper
                } else {
                    lower * 2.0
                };
                return Some(lower + (upper - lower) * part);
            }
            below += count;
            lower = upper;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::Latency;
    use proptest::prelude::*;
    use std::time::Duration;

    #[test]
    fn nothing_has_no_quantile() {
        assert_eq!(Latency::default().so_far().quantile(0.5), None);
    }

    proptest! {
        #[test]
        fn a_quantile_is_within_a_factor_of_two(
            mut micros in prop::collection::vec(1u64..20_000_000, 1..200),
            quantile in 0.01..1.0f64,
        ) {
            let latency = Latency::default();
            for micros in &micros {
                latency.add(Duration::from_micros(*micros));
            }
            micros.sort_unstable();
            let rank = (quantile * micros.len() as f64).ceil() as usize;
            let exact = micros[rank.max(1) - 1] as f64 / 1e6;
            let counted = latency.so_far();
            prop_assert_eq!(counted.count(), micros.len() as u64);
            let sum = micros.iter().sum::<u64>() as f64 / 1e6;
            prop_assert!((counted.sum_seconds() - sum).abs() < 1e-6);
            let told = counted.quantile(quantile).expect("some");
            prop_assert!(told <= exact * 2.0 && told * 2.0 >= exact, "{told} {exact}");
            prop_assert_eq!(counted.since(&counted).count(), 0);
        }

        #[test]
        fn any_duration_is_counted(nanos in any::<u64>()) {
            let latency = Latency::default();
            latency.add(Duration::from_nanos(nanos));
            prop_assert_eq!(latency.so_far().count(), 1);
        }
    }
}
