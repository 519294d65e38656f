//! Verified runs of objects in memory, by S3-FIFO.
//!
//! A *run* is a stretch of one object all of whose units were verified; it answers for every
//! range inside it, so a pack that came with one GET is one entry however many files are in it.
//!
//! Invariants:
//! - `bytes` is the sum of the runs' lengths and never exceeds `bytes_max`;
//! - a key is in exactly one of the two queues as long as its run is there;
//! - what was read once only leaves before what was read again, so that a scan of a large tree does
//!   not push out what others use.
//!
//! Source: Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023: a small queue
//! for what is new, a main queue for what was used again, a memory of what was lately pushed out.

use bytes::Bytes;
use nokv_types::BlockId;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    ops::Range,
};

/// The small queue's part of the budget: a tenth, as in the paper.
const SMALL_PART: u64 = 10;
/// Uses that are remembered of a run: three, as in the paper.
const USES_MAX: u8 = 3;
/// Keys remembered of what was pushed out; 24 bytes each.
const GHOSTS_MAX: usize = 16_384;
/// What an entry costs beside its bytes (maps, queues), so that tiny runs can't go beyond the
/// budget by their number.
const ENTRY_BYTES: u64 = 192;

/// What a run is a part of: an object, or the plain bytes of the encoded unit that begins at an
/// offset of it.
pub(super) type Home = (BlockId, Option<u32>);

/// The first byte of a run.
type Key = (Home, u32);

/// Runs in memory.
pub(super) struct MemoryRuns {
    bytes_max: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    homes: HashMap<Home, BTreeMap<u32, Run>>,
    small: VecDeque<Key>,
    main: VecDeque<Key>,
    small_bytes: u64,
    bytes: u64,
    ghosts: HashSet<Key>,
    ghost_order: VecDeque<Key>,
}

struct Run {
    bytes: Bytes,
    uses: u8,
    is_main: bool,
}

impl Run {
    fn cost(&self) -> u64 {
        self.bytes.len() as u64 + ENTRY_BYTES
    }
}

impl MemoryRuns {
    /// Room for so many bytes; none keeps nothing.
    pub(super) fn new(bytes_max: u64) -> Self {
        Self {
            bytes_max,
            state: Mutex::default(),
        }
    }

    /// A range of a home, if one run holds it all.
    pub(super) fn get(&self, home: Home, range: Range<u32>) -> Option<Bytes> {
        let mut state = self.state.lock();
        let runs = state.homes.get_mut(&home)?;
        let (start, run) = runs.range_mut(..=range.start).next_back()?;
        let from = (range.start - start) as usize;
        let to = range.end.checked_sub(*start)? as usize;
        if to > run.bytes.len() {
            return None;
        }
        run.uses = run.uses.saturating_add(1).min(USES_MAX);
        Some(run.bytes.slice(from..to))
    }

    /// Keeps a verified run. Nothing happens when a run there is already holds it, or when it is
    /// over a quarter of the budget.
    pub(super) fn insert(&self, home: Home, start: u32, bytes: Bytes) {
        let run = Run {
            bytes,
            uses: 0,
            is_main: false,
        };
        if run.cost() > self.bytes_max / 4 {
            return;
        }
        let mut state = self.state.lock();
        if state.has(home, start, run.bytes.len()) {
            return;
        }
        state.take(home, start);
        state.put((home, start), run);
        while state.bytes > self.bytes_max {
            state.push_one_out(self.bytes_max);
        }
    }

    /// Bytes kept, what entries cost included.
    pub(super) fn bytes(&self) -> u64 {
        self.state.lock().bytes
    }
}

impl State {
    fn has(&self, home: Home, start: u32, length: usize) -> bool {
        let run = self
            .homes
            .get(&home)
            .and_then(|runs| runs.range(..=start).next_back());
        run.is_some_and(|(at, run)| (start - at) as usize + length <= run.bytes.len())
    }

    fn put(&mut self, key: Key, mut run: Run) {
        run.is_main = self.ghosts.remove(&key);
        self.bytes += run.cost();
        if run.is_main {
            self.main.push_back(key);
        } else {
            self.small_bytes += run.cost();
            self.small.push_back(key);
        }
        self.homes.entry(key.0).or_default().insert(key.1, run);
    }

    /// Takes a run out of the map and the sums; its key in a queue is skipped later.
    fn take(&mut self, home: Home, start: u32) -> Option<Run> {
        let runs = self.homes.get_mut(&home)?;
        let run = runs.remove(&start)?;
        if runs.is_empty() {
            self.homes.remove(&home);
        }
        self.bytes -= run.cost();
        if !run.is_main {
            self.small_bytes -= run.cost();
        }
        let queue = if run.is_main {
            &mut self.main
        } else {
            &mut self.small
        };
        // Replaced runs are rare: a longer one of the same start.
        queue.retain(|key| *key != (home, start));
        Some(run)
    }

    fn push_one_out(&mut self, bytes_max: u64) {
        let from_small = self.small_bytes > bytes_max / SMALL_PART || self.main.is_empty();
        let queue = if from_small {
            &mut self.small
        } else {
            &mut self.main
        };
        let Some(key) = queue.pop_front() else {
            return;
        };
        let Some(run) = self
            .homes
            .get_mut(&key.0)
            .and_then(|runs| runs.get_mut(&key.1))
        else {
            return;
        };
        if run.uses == 0 {
            self.forget(key, from_small);
        } else if from_small {
            run.uses = 0;
            run.is_main = true;
            self.small_bytes -= run.cost();
            self.main.push_back(key);
        } else {
            run.uses -= 1;
            self.main.push_back(key);
        }
    }

    /// Lets a run go whose key has left its queue.
    fn forget(&mut self, key: Key, is_remembered: bool) {
        if let Some(runs) = self.homes.get_mut(&key.0)
            && let Some(run) = runs.remove(&key.1)
        {
            self.bytes -= run.cost();
            if !run.is_main {
                self.small_bytes -= run.cost();
            }
            if runs.is_empty() {
                self.homes.remove(&key.0);
            }
        }
        if is_remembered && self.ghosts.insert(key) {
            self.ghost_order.push_back(key);
        }
        while self.ghost_order.len() > GHOSTS_MAX {
            if let Some(old) = self.ghost_order.pop_front() {
                self.ghosts.remove(&old);
            }
        }
    }

    /// That every sum and queue agrees with the map.
    #[cfg(test)]
    fn check(&self, bytes_max: u64) {
        let runs = || self.homes.values().flat_map(BTreeMap::values);
        assert_eq!(self.bytes, runs().map(Run::cost).sum::<u64>(), "bytes");
        let small = runs().filter(|run| !run.is_main);
        assert_eq!(self.small_bytes, small.map(Run::cost).sum::<u64>(), "small");
        assert_eq!(self.small.len() + self.main.len(), runs().count(), "queues");
        assert!(self.bytes <= bytes_max, "bound");
        assert!(self.homes.values().all(|runs| !runs.is_empty()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nokv_types::SessionId;
    use proptest::prelude::*;

    fn home(sequence: u32) -> Home {
        let session = SessionId::new(1);
        let block = BlockId { session, sequence };
        (block, (sequence % 2 == 1).then_some(0))
    }

    /// What an object holds is a function of the place, so any answer can be checked.
    fn bytes_at(sequence: u32, range: Range<u32>) -> Bytes {
        let byte = |at: u32| (at.wrapping_mul(31) ^ sequence) as u8;
        range.map(byte).collect::<Vec<_>>().into()
    }

    proptest! {
        /// Whatever is kept is what was put; sums and queues agree; the budget holds.
        #[test]
        fn answers_are_right_and_bounded(
            steps in prop::collection::vec(
                (0..6_u32, 0..900_u32, 1..400_u32, any::<bool>()),
                1..300,
            ),
        ) {
            let runs = MemoryRuns::new(4_000);
            for (sequence, start, length, is_put) in steps {
                let range = start..start + length;
                if is_put {
                    runs.insert(home(sequence), start, bytes_at(sequence, range));
                } else if let Some(got) = runs.get(home(sequence), range.clone()) {
                    prop_assert_eq!(got, bytes_at(sequence, range));
                }
                runs.state.lock().check(4_000);
            }
        }
    }

    #[test]
    fn what_is_used_again_outlives_a_scan() {
        let runs = MemoryRuns::new(100_000);
        for number in 0..10 {
            runs.insert(home(number), 0, bytes_at(number, 0..1_000));
            assert!(runs.get(home(number), 0..10).is_some());
        }
        for number in 100..1_000 {
            runs.insert(home(number), 0, bytes_at(number, 0..1_000));
        }
        let kept = (0..10).filter(|number| runs.get(home(*number), 5..900).is_some());
        assert_eq!(kept.count(), 10);
    }

    #[test]
    fn a_run_answers_for_all_within() {
        let runs = MemoryRuns::new(100_000);
        runs.insert(home(1), 100, bytes_at(1, 100..300));
        let got = runs.get(home(1), 150..250);
        assert_eq!(got, Some(bytes_at(1, 150..250)));
        assert_eq!(runs.get(home(1), 99..101), None);
        assert_eq!(runs.get(home(1), 299..301), None);
        assert_eq!(runs.get(home(2), 150..250), None);
    }
}
