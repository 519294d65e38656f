//! Which entries go: pure.
//!
//! Invariants:
//! - what remains costs at most the target;
//! - what was not used again goes first, oldest first, until it is a tenth of what remains: so a
//!   scan of a large tree pushes itself out; then what was used longest ago.

/// The part that what was never used again may keep when others are to go.
const NEW_PART: u64 = 10;

/// An entry as far as the choice goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Candidate {
    /// What it takes.
    pub(super) cost: u64,
    /// When it was written.
    pub(super) written_ns: u64,
    /// When it was last used; at most `written_ns` if it never was.
    pub(super) used_ns: u64,
}

impl Candidate {
    fn is_new(&self) -> bool {
        self.used_ns <= self.written_ns
    }

    fn last_ns(&self) -> u64 {
        self.used_ns.max(self.written_ns)
    }
}

/// The indexes of the entries to remove, in the order in which they should go.
pub(super) fn choose_victims(entries: &[Candidate], target: u64) -> Vec<usize> {
    let mut total: u64 = entries.iter().map(|entry| entry.cost).sum();
    let new = entries.iter().filter(|entry| entry.is_new());
    let mut new_total: u64 = new.map(|entry| entry.cost).sum();
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by_key(|index| entries.get(*index).map(Candidate::last_ns));
    let mut victims = Vec::new();
    let mut kept = Vec::new();
    for index in order {
        let Some(entry) = entries.get(index) else {
            continue;
        };
        if total > target && entry.is_new() && new_total > target / NEW_PART {
            total -= entry.cost;
            new_total -= entry.cost;
            victims.push(index);
        } else {
            kept.push((index, entry.cost));
        }
    }
    for (index, cost) in kept {
        if total <= target {
            break;
        }
        total -= cost;
        victims.push(index);
    }
    victims
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn candidate((cost, written_ns, used_ns): (u64, u64, u64)) -> Candidate {
        Candidate {
            cost,
            written_ns,
            used_ns,
        }
    }

    proptest! {
        #[test]
        fn what_remains_fits_and_nothing_goes_needlessly(
            entries in prop::collection::vec((1..50_u64, 0..100_u64, 0..100_u64), 0..60),
            target in 0..1_500_u64,
        ) {
            let entries: Vec<_> = entries.into_iter().map(candidate).collect();
            let victims = choose_victims(&entries, target);
            let total: u64 = entries.iter().map(|entry| entry.cost).sum();
            let gone: u64 = victims.iter().map(|index| entries[*index].cost).sum();
            prop_assert!(total - gone <= target);
            if let Some(last) = victims.last() {
                prop_assert!(total - gone + entries[*last].cost > target);
            }
            let mut distinct = victims.clone();
            distinct.sort_unstable();
            distinct.dedup();
            prop_assert_eq!(distinct.len(), victims.len());
        }
    }

    #[test]
    fn a_scan_pushes_itself_out() {
        let used = (0..50).map(|at| candidate((10, at, 1_000 + at)));
        let scanned = (0..100).map(|at| candidate((10, 2_000 + at, 0)));
        let entries: Vec<_> = used.chain(scanned).collect();
        let victims = choose_victims(&entries, 1_000);
        assert!(victims.iter().all(|index| *index >= 50), "{victims:?}");
        assert_eq!(victims.len(), 50);
    }

    #[test]
    fn among_the_used_the_longest_unused_goes() {
        let entries: Vec<_> = [(10, 1, 9), (10, 1, 5), (10, 1, 7)].map(candidate).into();
        assert_eq!(choose_victims(&entries, 20), [1]);
    }
}
