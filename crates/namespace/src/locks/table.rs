//! All locks of a store: asking, giving back, looking.
//!
//! Decisions, for one who asks:
//!
//! | | held by others | others wait for it | asks once | waits |
//! |---|---|---|---|---|
//! | a | no | no | granted | granted |
//! | b | no | yes | granted: `F_SETLK` fails only because of a lock | waits behind them, unless that closes a circle |
//! | c | yes | | told who | waits; `Deadlock` if the holders wait for him |
//!
//! A whole-file lock of another kind is given back before the new one is asked for, as flock(2)
//! does: two that want to change from shared to exclusive don't wait for each other.

use super::held::HeldRanges;
use super::queue::Wait;
use super::range::{HeldLock, LockFamily, LockOwner, LockRange};
use nokv_types::{BranchId, ClientId, NodeId};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::VecDeque;
use std::time::Duration;

/// Most pieces held of one file: a change looks at all of them, some tens of microseconds.
const PIECES_PER_FILE_MAX: usize = 16_384;
/// Most pieces held in a store, about 100 bytes each.
const PIECES_MAX: usize = 1 << 20;
/// Most who wait for one file: granting looks at each beside each.
const WAITS_PER_FILE_MAX: usize = 4_096;
/// Most who wait in a store, about a KiB each with their task.
const WAITS_MAX: usize = 100_000;

/// A file, and which kind of its locks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct LockKey {
    pub(crate) branch: BranchId,
    pub(crate) node: NodeId,
    pub(crate) family: LockFamily,
}

/// One who waits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct WaitId(pub(super) u64);

/// How somebody asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Request {
    /// Now or not at all.
    Once,
    /// Whenever it can be had.
    Waits,
}

/// What one who asks is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Asked {
    Granted,
    /// This is in the way.
    Held(HeldLock),
    /// He may be among those who are granted already.
    Waiting(WaitId),
    /// Those in the way wait for the one who asks.
    Deadlock,
    /// What others hold is not known yet: ask again, or wait.
    Frozen,
    /// A limit is reached.
    Full,
}

/// One file of one family.
#[derive(Default)]
pub(super) struct File {
    pub(super) held: HeldRanges,
    pub(super) queue: VecDeque<Wait>,
}

/// All locks.
#[derive(Default)]
pub(crate) struct LockTable {
    pub(super) files: FxHashMap<LockKey, File>,
    /// Where those who wait do so.
    pub(super) waits: FxHashMap<WaitId, LockKey>,
    /// For what an owner waits.
    pub(super) waits_of: FxHashMap<(LockFamily, LockOwner), Vec<WaitId>>,
    /// Where a client may hold or wait.
    of_client: FxHashMap<ClientId, FxHashSet<LockKey>>,
    pub(super) pieces: usize,
    next_wait: u64,
    /// Nobody is granted anything: what others hold is not known yet.
    pub(super) is_frozen: bool,
    /// Granted, still to be told.
    pub(super) granted: Vec<WaitId>,
}

impl LockTable {
    /// Asks for a lock.
    pub(crate) fn ask(&mut self, key: LockKey, wanted: HeldLock, request: Request) -> Asked {
        if !self.has_room(key) {
            return Asked::Full;
        }
        match request {
            Request::Once if self.is_frozen => return Asked::Frozen,
            Request::Waits if self.is_frozen => return self.enqueue(key, wanted),
            _ => {}
        }
        if key.family == LockFamily::Whole {
            self.give_back_other_kind(key, &wanted);
        }
        let held = self.files.get(&key).map(|file| &file.held);
        if let Some(against) = held.and_then(|held| held.first_against(&wanted)).copied() {
            return match request {
                Request::Once => Asked::Held(against),
                Request::Waits if self.closes_circle(key, &wanted) => Asked::Deadlock,
                Request::Waits => self.enqueue(key, wanted),
            };
        }
        if request == Request::Waits && self.is_behind_others(key, &wanted) {
            return self.enqueue(key, wanted);
        }
        self.hold(key, wanted);
        // An owner who holds less than before may let others in.
        self.settle(key);
        Asked::Granted
    }

    /// Puts back what somebody held before a restart; false when another has it.
    pub(crate) fn restore(&mut self, key: LockKey, lock: HeldLock) -> bool {
        let held = self.files.get(&key).map(|file| &file.held);
        let against = held.and_then(|held| held.first_against(&lock));
        if against.is_some() || !self.has_room(key) {
            return false;
        }
        self.hold(key, lock);
        true
    }

    /// Gives bytes back.
    pub(crate) fn give_back(&mut self, key: LockKey, owner: LockOwner, range: LockRange) {
        let Some(file) = self.files.get_mut(&key) else {
            return;
        };
        let before = file.held.len();
        let cleared = file.held.clear(owner, range);
        self.pieces = self.pieces + file.held.len() - before;
        if cleared {
            self.settle(key);
        }
        self.forget_if_empty(key);
    }

    /// Gives back all that a client has, and ends its waiting; returns who waited.
    pub(crate) fn end_client(&mut self, client: ClientId) -> Vec<WaitId> {
        let mut ended = Vec::new();
        for key in self.of_client.remove(&client).unwrap_or_default() {
            let Some(file) = self.files.get_mut(&key) else {
                continue;
            };
            let before = file.held.len();
            file.held.clear_all(|owner| owner.client == client);
            self.pieces = self.pieces + file.held.len() - before;
            let of_client = file
                .queue
                .iter()
                .filter(|wait| wait.wanted.owner.client == client);
            let ids: Vec<_> = of_client.map(|wait| wait.id).collect();
            for id in ids {
                self.remove_wait(id);
                ended.push(id);
            }
            self.settle(key);
            self.forget_if_empty(key);
        }
        ended
    }

    /// The first lock that is in the way of `wanted`.
    pub(crate) fn test(&self, key: LockKey, wanted: &HeldLock) -> Option<HeldLock> {
        let file = self.files.get(&key)?;
        file.held.first_against(wanted).copied()
    }

    /// Stops granting until [`Self::thaw`].
    pub(crate) fn freeze(&mut self) {
        self.is_frozen = true;
    }

    /// Grants again.
    pub(crate) fn thaw(&mut self) {
        self.is_frozen = false;
        let keys: Vec<_> = self.files.keys().copied().collect();
        for key in keys {
            self.settle(key);
        }
    }

    /// Those who were granted since this was last asked.
    pub(crate) fn granted(&mut self) -> Vec<WaitId> {
        std::mem::take(&mut self.granted)
    }

    /// Those who are to be told later after all.
    pub(crate) fn put_back_granted(&mut self, granted: Vec<WaitId>) {
        self.granted = granted;
    }

    pub(super) fn hold(&mut self, key: LockKey, lock: HeldLock) {
        let file = self.files.entry(key).or_default();
        let before = file.held.len();
        file.held.set(lock);
        self.pieces = self.pieces + file.held.len() - before;
        self.remember(lock.owner.client, key);
    }

    pub(super) fn remember(&mut self, client: ClientId, key: LockKey) {
        self.of_client.entry(client).or_default().insert(key);
    }

    pub(super) fn forget_if_empty(&mut self, key: LockKey) {
        let is_empty = |file: &File| file.held.is_empty() && file.queue.is_empty();
        if self.files.get(&key).is_some_and(is_empty) {
            self.files.remove(&key);
        }
    }

    fn has_room(&self, key: LockKey) -> bool {
        // One lock may cut another in two.
        let (pieces, waits) = match self.files.get(&key) {
            None => (0, 0),
            Some(file) => (file.held.len(), file.queue.len()),
        };
        pieces + 2 <= PIECES_PER_FILE_MAX
            && self.pieces + 2 <= PIECES_MAX
            && waits < WAITS_PER_FILE_MAX
            && self.waits.len() < WAITS_MAX
    }

    fn give_back_other_kind(&mut self, key: LockKey, wanted: &HeldLock) {
        let Some(file) = self.files.get(&key) else {
            return;
        };
        let is_other = |held: &HeldLock| held.owner == wanted.owner && held.kind != wanted.kind;
        let has_other = file.held.iter().any(is_other);
        if has_other {
            self.give_back(key, wanted.owner, LockRange::ALL);
        }
    }

    fn enqueue(&mut self, key: LockKey, wanted: HeldLock) -> Asked {
        let id = WaitId(self.next_wait);
        self.next_wait += 1;
        self.add_wait(key, Wait::new(id, wanted));
        self.open_circles(key.family, wanted.owner);
        Asked::Waiting(id)
    }

    /// When the one who has gone away for a while is given up: see [`Wait`].
    pub(crate) fn sweep(&mut self, now: Duration) -> Vec<WaitId> {
        let mut late = Vec::new();
        let keys: FxHashSet<_> = self.waits.values().collect();
        for file in keys.into_iter().filter_map(|key| self.files.get(key)) {
            let gone = file.queue.iter().filter(|wait| wait.is_late(now));
            late.extend(gone.map(|wait| wait.id));
        }
        for id in &late {
            self.end_wait(*id);
        }
        late
    }
}
