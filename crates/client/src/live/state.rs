//! What a session knows of itself.

use nokv_namespace::{
    Announcement, Asker, HeldLock, HeldRanges, LockFamily, LockOwner, LockPlace, LockRange,
    LostClaims, WantedLock,
};
use nokv_types::{BranchId, ClientId, NodeId};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// A file, and which kind of its locks.
type LockedFile = (BranchId, NodeId, LockFamily);

/// Behind one lock, held for moments.
#[derive(Default)]
pub(super) struct State {
    /// How often it was announced: an answer to a request of an earlier epoch may be of a server
    /// that is gone.
    pub(super) epoch: u64,
    /// Monotonic: until then nobody else can have what this has.
    pub(super) assured_until: Duration,
    pub(super) is_over: bool,
    /// What an announcement could not bring back.
    pub(super) lost: LostClaims,
    /// How many times each node is open here.
    opens: HashMap<(BranchId, NodeId), u64>,
    locks: HashMap<LockedFile, HeldRanges>,
    last_number: u64,
    under_way: BTreeSet<u64>,
}

impl State {
    pub(super) fn new(assured_until: Duration) -> Self {
        Self {
            assured_until,
            ..Self::default()
        }
    }

    /// The number of a new request.
    pub(super) fn begin(&mut self) -> u64 {
        self.last_number += 1;
        self.under_way.insert(self.last_number);
        self.last_number
    }

    /// The answer of a request is here.
    pub(super) fn finish(&mut self, number: u64) {
        self.under_way.remove(&number);
    }

    /// Who asks, with a number that [`Self::begin`] gave.
    pub(super) fn asker(&self, client: ClientId, number: u64) -> Asker {
        let first = self.under_way.first();
        Asker {
            client,
            number,
            answered_below: first.copied().unwrap_or(self.last_number + 1),
        }
    }

    /// A node is open once more.
    pub(super) fn add_open(&mut self, key: (BranchId, NodeId)) {
        *self.opens.entry(key).or_default() += 1;
    }

    /// Once less; whether that was the last time.
    pub(super) fn remove_open(&mut self, key: (BranchId, NodeId)) -> bool {
        let Some(count) = self.opens.get_mut(&key) else {
            return false;
        };
        *count -= 1;
        if *count == 0 {
            self.opens.remove(&key);
            return true;
        }
        false
    }

    /// A lock is held.
    pub(super) fn add_lock(&mut self, client: ClientId, wanted: &WantedLock) {
        let place = wanted.place;
        let held = HeldLock {
            owner: owner(client, &place),
            process: wanted.process,
            kind: wanted.kind,
            range: wanted.range,
        };
        self.locks.entry(file(&place)).or_default().set(held);
    }

    /// It is held no more.
    pub(super) fn remove_lock(&mut self, client: ClientId, place: &LockPlace, range: LockRange) {
        let file = file(place);
        if let Some(held) = self.locks.get_mut(&file) {
            held.clear(owner(client, place), range);
            if held.is_empty() {
                self.locks.remove(&file);
            }
        }
    }

    /// All that it has.
    pub(super) fn claims(&self) -> Announcement {
        let locks = self
            .locks
            .iter()
            .flat_map(|((branch, node, family), held)| {
                held.iter().map(|held| WantedLock {
                    place: LockPlace {
                        branch: *branch,
                        node: *node,
                        family: *family,
                        owner: held.owner.number,
                    },
                    process: held.process,
                    kind: held.kind,
                    range: held.range,
                })
            });
        Announcement {
            opens: self.opens.keys().copied().collect(),
            locks: locks.collect(),
        }
    }

    /// It does not have these any more.
    pub(super) fn lose(&mut self, client: ClientId, lost: LostClaims) {
        for key in &lost.opens {
            self.opens.remove(key);
        }
        for claim in &lost.locks {
            self.remove_lock(client, &claim.place, claim.range);
        }
        self.lost.opens.extend(lost.opens);
        self.lost.locks.extend(lost.locks);
    }
}

const fn file(place: &LockPlace) -> LockedFile {
    (place.branch, place.node, place.family)
}

const fn owner(client: ClientId, place: &LockPlace) -> LockOwner {
    LockOwner {
        client,
        number: place.owner,
    }
}
