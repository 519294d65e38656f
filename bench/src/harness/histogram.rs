//! Latencies of one window: each worker records into its own histogram, merged at the end.
//!
//! Three significant digits from a nanosecond to [`LATENCY_NANOS_MAX`]; slower counts as that.

use hdrhistogram::Histogram;
use std::time::Duration;

/// Above this a latency is only "very slow": a cell is stopped long before.
const LATENCY_NANOS_MAX: u64 = 600_000_000_000;
/// 0.1 % resolution: finer than any machine repeats.
const DIGITS: u8 = 3;

/// A histogram of latencies.
#[derive(Clone, Debug)]
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    /// Without any.
    pub(crate) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, LATENCY_NANOS_MAX, DIGITS);
        Self(histogram.expect("the bounds are constants that the histogram accepts"))
    }

    /// Adds one.
    pub(crate) fn record(&mut self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.0.saturating_record(nanos.clamp(1, LATENCY_NANOS_MAX));
    }

    /// Adds all of another window's.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.0.add(&other.0).expect("both have the same bounds");
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.0.reset();
    }

    /// How many were recorded.
    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency that `quantile` (0..=1) of all do not exceed, microseconds.
    pub(crate) fn quantile_us(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1_000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(range: std::ops::RangeInclusive<u64>) -> Latencies {
        let mut latencies = Latencies::new();
        range.for_each(|micros| latencies.record(Duration::from_micros(micros)));
        latencies
    }

    #[test]
    fn merged_histograms_equal_one_that_saw_everything() {
        let mut merged = filled(1..=500);
        merged.merge(&filled(501..=1000));
        let whole = filled(1..=1000);
        assert_eq!(merged.count(), 1000);
        for quantile in [0.0, 0.5, 0.95, 0.99, 1.0] {
            assert_eq!(merged.quantile_us(quantile), whole.quantile_us(quantile));
        }
        assert!((merged.quantile_us(0.5) - 500.0).abs() < 1.0);
        assert!((merged.quantile_us(0.99) - 990.0).abs() < 2.0);
        assert!((merged.quantile_us(1.0) - 1000.0).abs() < 2.0);
    }

    #[test]
    fn absurd_latencies_are_clamped_not_lost() {
        let mut latencies = Latencies::new();
        latencies.record(Duration::ZERO);
        latencies.record(Duration::from_secs(1 << 40));
        assert_eq!(latencies.count(), 2);
    }
}
