//! The request distributions of YCSB.
//!
//! Source: Gray et al., "Quickly Generating Billion-Record Synthetic Databases" (SIGMOD 1994);
//! Cooper et al., "Benchmarking Cloud Serving Systems with YCSB" (SoCC 2010): exponent 0.99, the
//! popular items scattered over the key space by a hash of a zipfian draw over ten billion ranks.

use crate::harness::{Random, fnv64};

/// YCSB's exponent.
const THETA: f64 = 0.99;
/// Ranks that YCSB draws from before it scatters.
const SCATTERED_RANKS: u64 = 10_000_000_000;
/// The sum of `1 / rank^0.99` over those ranks: ten billion terms are not summed at each start.
const SCATTERED_ZETA: f64 = 26.469_028_201_783_02;

/// Ranks 0.. by popularity: rank r is drawn with probability proportional to `1 / (r + 1)^0.99`.
#[derive(Clone, Debug)]
pub(crate) struct Zipfian {
    ranks: f64,
    zeta: f64,
    alpha: f64,
    eta: f64,
    half_power: f64,
}

impl Zipfian {
    /// Over `ranks` ≥ 1.
    pub(crate) fn new(ranks: u64) -> Self {
        let zeta = (1..=ranks).map(|rank| (rank as f64).powf(-THETA)).sum();
        Self::with_zeta(ranks, zeta)
    }

    fn with_zeta(ranks: u64, zeta: f64) -> Self {
        let ranks = ranks as f64;
        let zeta_of_two = 1.0 + 0.5f64.powf(THETA);
        let eta = (1.0 - (2.0 / ranks).powf(1.0 - THETA)) / (1.0 - zeta_of_two / zeta);
        Self {
            ranks,
            zeta,
            alpha: 1.0 / (1.0 - THETA),
            eta,
            half_power: 0.5f64.powf(THETA),
        }
    }

    /// A rank, 0 the most popular.
    pub(crate) fn draw(&self, random: &mut Random) -> u64 {
        let unit = random.unit();
        let scaled = unit * self.zeta;
        if scaled < 1.0 {
            return 0;
        }
        if scaled < 1.0 + self.half_power {
            return 1;
        }
        let rank = self.ranks * (self.eta * unit - self.eta + 1.0).powf(self.alpha);
        (rank as u64).min(self.ranks as u64 - 1)
    }
}

/// Zipfian popularity, scattered over the key space.
#[derive(Clone, Debug)]
pub(crate) struct Scattered(Zipfian);

impl Scattered {
    /// The distribution; the key space is given at each draw.
    pub(crate) fn new() -> Self {
        Self(Zipfian::with_zeta(SCATTERED_RANKS, SCATTERED_ZETA))
    }

    /// An index in `0..count`.
    pub(crate) fn draw(&self, random: &mut Random, count: u64) -> u64 {
        fnv64(self.0.draw(random)) % count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWS: u32 = 200_000;

    #[test]
    fn ranks_are_as_popular_as_the_law_says() {
        let zipfian = Zipfian::new(1_000);
        let zeta: f64 = (1..=1_000).map(|rank| f64::from(rank).powf(-THETA)).sum();
        let mut random = Random::new(42);
        let mut counts = vec![0u32; 1_000];
        for _ in 0..DRAWS {
            counts[zipfian.draw(&mut random) as usize] += 1;
        }
        // The two special-cased ranks are exact; the rest is Gray's continuous approximation.
        for (rank, tolerance) in [(0, 0.02), (1, 0.03), (9, 0.15), (99, 0.2)] {
            let expected = f64::from(DRAWS) / (rank as f64 + 1.0).powf(THETA) / zeta;
            let got = f64::from(counts[rank]);
            assert!(
                (got - expected).abs() < expected * tolerance + 60.0,
                "rank {rank}: {got} of {expected}"
            );
        }
        assert!(
            counts.iter().skip(500).any(|count| *count > 0),
            "the tail is reached"
        );
    }

    #[test]
    fn scattering_keeps_the_skew_and_spreads_the_hot_keys() {
        let scattered = Scattered::new();
        let mut random = Random::new(1);
        let mut counts = vec![0u32; 10_000];
        for _ in 0..DRAWS {
            counts[scattered.draw(&mut random, 10_000) as usize] += 1;
        }
        let hottest = counts.iter().copied().max().unwrap_or(0);
        let expected = f64::from(DRAWS) / SCATTERED_ZETA;
        assert!(
            (f64::from(hottest) - expected).abs() < expected * 0.1,
            "{hottest} of {expected}"
        );
        let halves = counts.split_at(5_000);
        let left: u32 = halves.0.iter().sum();
        assert!(
            (60_000..140_000).contains(&left),
            "hot keys lie on both halves: {left}"
        );
        let touched = counts.iter().filter(|count| **count > 0).count();
        assert!(touched > 5_000, "{touched}");
    }
}
