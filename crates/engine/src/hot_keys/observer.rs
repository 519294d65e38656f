//! Sampling in front of the summaries.
//!
//! Invariants:
//! - `observe` takes no lock unless it samples, and then only tries one.
//! - The number of calls between samples varies around its mean, so that a reader with a rhythm of
//!   its own (every tenth read is of one key) is not seen at one beat only. The sequence is seeded,
//!   not drawn: the observer asks nothing of the environment.

use std::cell::Cell;
use std::num::NonZeroU32;

use parking_lot::Mutex;

use super::space_saving::{HotKey, KEY_BYTES_OBSERVED_MAX, SpaceSaving, hash};

/// Summaries that can be updated side by side; more than the threads that sample at one moment.
const STRIPES: usize = 8;

/// Samples in a stripe after which its counts are halved: about a million reads at the default
/// rate.
const SAMPLES_TO_HALVE: u32 = 1 << 11;

/// Start of each thread's sequence of gaps; any value but 0 does.
const SEED: u32 = 0x9e37_79b9;

thread_local! {
    /// Calls of this thread until the next sample, and the state of its sequence of gaps. Shared by
    /// all observers of the process: it only decides which calls are samples.
    static GAP: Cell<(u32, u32)> = const { Cell::new((0, SEED)) };
}

/// How a [`HotKeys`] observes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HotKeysOptions {
    /// Mean number of observed reads per sample. 1 samples every read.
    pub reads_per_sample: NonZeroU32,
    /// Keys that have a counter, over all stripes. Any key with more than `STRIPES /
    /// counter_count` of the samples is reported.
    pub counter_count: usize,
}

impl Default for HotKeysOptions {
    /// One read in 64, 512 counters: a key with 2 % of the reads is sure to be reported.
    fn default() -> Self {
        Self {
            reads_per_sample: NonZeroU32::MIN.saturating_add(63),
            counter_count: 512,
        }
    }
}

/// The observer of hot keys, see the module.
///
/// **Concurrency**: all methods may be called by any thread; [`HotKeys::observe`] never waits.
pub struct HotKeys {
    stripes: [Mutex<Stripe>; STRIPES],
    reads_per_sample: u32,
}

struct Stripe {
    summary: SpaceSaving,
    samples_to_halve: u32,
}

impl HotKeys {
    /// An observer that has seen nothing.
    #[must_use]
    pub fn new(options: HotKeysOptions) -> Self {
        let counter_count = options.counter_count.div_ceil(STRIPES);
        let stripe = |_| {
            let summary = SpaceSaving::new(counter_count);
            Mutex::new(Stripe {
                summary,
                samples_to_halve: SAMPLES_TO_HALVE,
            })
        };
        Self {
            stripes: std::array::from_fn(stripe),
            reads_per_sample: options.reads_per_sample.get(),
        }
    }

    /// Notes that `key` was read; whether this read is a sample. Keys of more than 512 bytes are
    /// not noted.
    pub fn observe(&self, key: &[u8]) -> bool {
        let (left, state) = GAP.get();
        if left > 0 && self.reads_per_sample > 1 {
            GAP.set((left - 1, state));
            return false;
        }
        GAP.set(next_gap(state, self.reads_per_sample));
        if key.len() <= KEY_BYTES_OBSERVED_MAX {
            self.sample(key);
        }
        true
    }

    /// The `limit` hottest keys, hottest first; of equally hot ones the lower first.
    #[must_use]
    pub fn top(&self, limit: usize) -> Vec<HotKey> {
        let mut keys = Vec::new();
        for stripe in &self.stripes {
            keys.extend(stripe.lock().summary.counters().iter().cloned());
        }
        keys.retain(|key| key.count > 0);
        keys.sort_unstable_by(|a, b| b.count.cmp(&a.count).then_with(|| a.key.cmp(&b.key)));
        keys.truncate(limit);
        keys
    }

    fn sample(&self, key: &[u8]) {
        let hash = hash(key);
        // The high bits: the low ones are compared within the stripe.
        let stripe = &self.stripes[(hash >> 32) as usize % STRIPES];
        let Some(mut stripe) = stripe.try_lock() else {
            return;
        };
        stripe.summary.count(key, hash);
        stripe.samples_to_halve -= 1;
        if stripe.samples_to_halve == 0 {
            stripe.summary.halve();
            stripe.samples_to_halve = SAMPLES_TO_HALVE;
        }
    }
}

/// Calls to let pass (uniform from 0 to twice the mean) and the next state.
fn next_gap(mut state: u32, mean: u32) -> (u32, u32) {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    let span = u64::from(mean) * 2 - 1;
    let gap = (u64::from(state) * span) >> 32;
    (u32::try_from(gap).unwrap_or(u32::MAX), state)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::thread;

    use super::{HotKeys, HotKeysOptions, KEY_BYTES_OBSERVED_MAX, SAMPLES_TO_HALVE, STRIPES};

    fn every_read(counter_count: usize) -> HotKeys {
        HotKeys::new(HotKeysOptions {
            reads_per_sample: NonZeroU32::MIN,
            counter_count,
        })
    }

    #[test]
    fn the_hot_keys_of_a_skewed_load_come_first_at_the_default_rate() {
        let observer = HotKeys::new(HotKeysOptions::default());
        let mut state = 1_u64;
        for _ in 0..400_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            // A tenth of the reads each for two keys, the rest for 100,000.
            let draw = (state >> 33) % 1_000_000;
            let key = if draw < 200_000 {
                draw / 100_000
            } else {
                draw / 8
            };
            observer.observe(&key.to_be_bytes());
        }
        let mut keys: Vec<Vec<u8>> = observer.top(2).into_iter().map(|hot| hot.key).collect();
        keys.sort_unstable();
        assert_eq!(keys, [0_u64, 1].map(|key| key.to_be_bytes().to_vec()));
    }

    #[test]
    fn a_reader_with_a_rhythm_is_sampled_at_every_beat() {
        let rate = NonZeroU32::MIN.saturating_add(63);
        let observer = HotKeys::new(HotKeysOptions {
            reads_per_sample: rate,
            counter_count: 512,
        });
        (0..64_000_u32).for_each(|step| _ = observer.observe(&[(step % 64 / 32) as u8]));
        let counts: Vec<u64> = observer.top(2).iter().map(|hot| hot.count).collect();
        assert_eq!(counts.len(), 2);
        assert!(counts[0] < counts[1] * 3 / 2, "{counts:?}");
    }

    #[test]
    fn what_was_hot_fades() {
        let observer = every_read(STRIPES);
        // Keys of one stripe compete for its one counter.
        (0..SAMPLES_TO_HALVE).for_each(|_| _ = observer.observe(b"then"));
        assert_eq!(observer.top(1)[0].count, u64::from(SAMPLES_TO_HALVE / 2));
        (0..SAMPLES_TO_HALVE * 4).for_each(|_| _ = observer.observe(b"now"));
        assert_eq!(observer.top(1)[0].key, b"now");
    }

    #[test]
    fn long_keys_are_not_kept() {
        let observer = every_read(64);
        observer.observe(&[1; KEY_BYTES_OBSERVED_MAX + 1]);
        assert_eq!(observer.top(1), []);
        observer.observe(&[1; KEY_BYTES_OBSERVED_MAX]);
        assert_eq!(observer.top(usize::MAX).len(), 1);
    }

    #[test]
    fn threads_lose_samples_at_most_and_never_wait() {
        let observer = every_read(64);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..200).for_each(|_| _ = observer.observe(b"one")));
            }
        });
        let top = observer.top(1);
        assert!((1..=800).contains(&top[0].count) && top[0].error == 0);
        let held = observer.stripes.each_ref().map(|stripe| stripe.lock());
        // Would deadlock if it waited.
        observer.observe(b"one");
        drop(held);
        assert_eq!(observer.top(1), top);
    }
}
