//! Who waits for whom: finding circles.
//!
//! One waits for those who hold what he wants (they must give it back: a circle of these never
//! ends), and for those who waited for it before him (only because the first comes first: a circle
//! with one of these is opened by letting him go before them).

use super::range::{HeldLock, LockFamily, LockOwner};
use super::table::{LockKey, LockTable, WaitId};
use rustc_hash::FxHashSet;

/// Most owners that are looked at in search of a circle: a longer chain is taken for none, and
/// those in it wait until somebody gives up.
const OWNERS_MAX: usize = 10_000;

/// Why one waits for another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Because {
    Holds,
    /// He came before.
    Before(WaitId),
}

/// Which reasons count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reasons {
    Holds,
    All,
}

impl LockTable {
    /// Whether those who hold what is wanted wait, through others perhaps, for the one who wants
    /// it. Whole-file locks are not looked at: flock(2) knows no deadlock.
    pub(super) fn closes_circle(&self, key: LockKey, wanted: &HeldLock) -> bool {
        if key.family == LockFamily::Whole || self.waits.is_empty() {
            return false;
        }
        let Some(file) = self.files.get(&key) else {
            return false;
        };
        let against = file.held.iter().filter(|held| held.excludes(wanted));
        let first = against.map(|held| (held.owner, Because::Holds)).collect();
        self.search(key.family, first, wanted.owner, Reasons::Holds)
            .is_some()
    }

    /// Opens every circle through an owner that is one only because of who came before.
    pub(super) fn open_circles(&mut self, family: LockFamily, owner: LockOwner) {
        let first = self.blockers(family, owner, Reasons::All);
        if first.is_empty() {
            return;
        }
        let mut first = first;
        while let Some(trail) = self.search(family, first, owner, Reasons::All) {
            let mut keys = Vec::new();
            for because in trail {
                let Because::Before(id) = because else {
                    continue;
                };
                if let Some(wait) = self.wait_mut(id) {
                    wait.overtakes = true;
                }
                keys.extend(self.waits.get(&id).copied());
            }
            if keys.is_empty() {
                return;
            }
            for key in keys {
                self.settle(key);
            }
            first = self.blockers(family, owner, Reasons::All);
        }
    }

    /// The reasons on the way from the first to `goal`, if there is a way.
    fn search(
        &self,
        family: LockFamily,
        first: Vec<(LockOwner, Because)>,
        goal: LockOwner,
        reasons: Reasons,
    ) -> Option<Vec<Because>> {
        let mut seen = FxHashSet::default();
        // Each with its reason and where it was reached from.
        let mut reached: Vec<(LockOwner, Because, Option<usize>)> = Vec::new();
        for (owner, because) in first {
            if seen.insert(owner) {
                reached.push((owner, because, None));
            }
        }
        let mut next = 0;
        while let Some((owner, ..)) = reached.get(next).copied() {
            if owner == goal {
                return Some(trail(&reached, next));
            }
            if reached.len() > OWNERS_MAX {
                return None;
            }
            for (blocker, because) in self.blockers(family, owner, reasons) {
                if seen.insert(blocker) {
                    reached.push((blocker, because, Some(next)));
                }
            }
            next += 1;
        }
        None
    }

    /// For whom an owner waits.
    fn blockers(
        &self,
        family: LockFamily,
        owner: LockOwner,
        reasons: Reasons,
    ) -> Vec<(LockOwner, Because)> {
        let mut blockers = Vec::new();
        for id in self.waits_of.get(&(family, owner)).into_iter().flatten() {
            let Some((key, wait)) = self.wait(*id) else {
                continue;
            };
            let Some(file) = self.files.get(&key) else {
                continue;
            };
            let held = file.held.iter().filter(|held| held.excludes(&wait.wanted));
            blockers.extend(held.map(|held| (held.owner, Because::Holds)));
            if reasons == Reasons::All && !wait.overtakes {
                let before = file.queue.iter().take_while(|other| other.id != *id);
                let before = before.filter(|other| other.wanted.excludes(&wait.wanted));
                blockers.extend(before.map(|other| (other.wanted.owner, Because::Before(*id))));
            }
        }
        blockers
    }
}

fn trail(reached: &[(LockOwner, Because, Option<usize>)], end: usize) -> Vec<Because> {
    let mut trail = Vec::new();
    let mut current = Some(end);
    while let Some((_, because, from)) = current.and_then(|index| reached.get(index)) {
        trail.push(*because);
        current = *from;
    }
    trail
}
