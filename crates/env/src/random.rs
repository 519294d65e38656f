//! Randomness: unpredictable for identifiers and secrets, or from a seed for tests.

use std::sync::atomic::{AtomicU64, Ordering};

use rand::Rng;

/// Where random bytes come from.
pub trait Random: Send + Sync {
    /// Fills `buffer`.
    fn fill(&self, buffer: &mut [u8]);

    /// 64 random bits.
    fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

/// The generator of the thread: cryptographic, seeded by the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealRandom(());

impl RealRandom {
    /// Unpredictable bytes.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }
}

impl Random for RealRandom {
    fn fill(&self, buffer: &mut [u8]) {
        rand::rng().fill_bytes(buffer);
    }
}

/// The same bytes for the same seed (SplitMix64). Not for secrets.
#[derive(Debug)]
pub struct SeededRandom {
    state: AtomicU64,
}

impl SeededRandom {
    /// The odd number nearest to 2^64 divided by the golden ratio: the step of SplitMix64.
    const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

    /// The generator of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self {
            state: AtomicU64::new(seed),
        }
    }

    /// A number below `bound`; 0 when `bound` is 0.
    #[must_use]
    pub fn below(&self, bound: u64) -> u64 {
        if bound == 0 {
            0
        } else {
            self.next_u64() % bound
        }
    }

    /// True once in `one_in` times on average; never for 0.
    #[must_use]
    pub fn once_in(&self, one_in: u64) -> bool {
        one_in != 0 && self.next_u64().is_multiple_of(one_in)
    }
}

impl Random for SeededRandom {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let bytes = self.next_u64().to_le_bytes();
            for (to, from) in chunk.iter_mut().zip(bytes) {
                *to = from;
            }
        }
    }

    fn next_u64(&self) -> u64 {
        let state = self
            .state
            .fetch_add(Self::STEP, Ordering::Relaxed)
            .wrapping_add(Self::STEP);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::{Random, SeededRandom};

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        let mut first = [0; 37];
        let mut second = [0; 37];
        SeededRandom::new(7).fill(&mut first);
        SeededRandom::new(7).fill(&mut second);
        assert_eq!(first, second);
        SeededRandom::new(8).fill(&mut second);
        assert_ne!(first, second);
    }

    #[test]
    fn below_stays_below() {
        let random = SeededRandom::new(1);
        assert!((0..1000).all(|_| random.below(3) < 3));
        assert_eq!(random.below(0), 0);
    }
}
