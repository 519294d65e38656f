//! Those who wait, and when they are granted.
//!
//! One who waits may go away for a while (his request is over, the next one is on its way): he
//! keeps his place for a time, and nothing is granted to him while he can't be told.

use super::range::HeldLock;
use super::table::{LockKey, LockTable, WaitId};
use std::time::Duration;

/// One who waits.
pub(super) struct Wait {
    pub(super) id: WaitId,
    pub(super) wanted: HeldLock,
    /// He need not let those before him go first.
    pub(super) overtakes: bool,
    presence: Presence,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Here,
    /// Gone; given up after this.
    AwayUntil(Duration),
}

impl Wait {
    pub(super) const fn new(id: WaitId, wanted: HeldLock) -> Self {
        Self {
            id,
            wanted,
            overtakes: false,
            presence: Presence::Here,
        }
    }

    pub(super) fn is_late(&self, now: Duration) -> bool {
        matches!(self.presence, Presence::AwayUntil(end) if end < now)
    }
}

impl LockTable {
    /// One who waits goes away, and comes back before `until` or never.
    pub(crate) fn leave(&mut self, id: WaitId, until: Duration) {
        if let Some(wait) = self.wait_mut(id) {
            wait.presence = Presence::AwayUntil(until);
        }
    }

    /// He is back; whether his place is still there. He may be granted at once.
    pub(crate) fn come_back(&mut self, id: WaitId) -> bool {
        let Some(wait) = self.wait_mut(id) else {
            return false;
        };
        wait.presence = Presence::Here;
        if let Some(key) = self.waits.get(&id).copied() {
            self.settle(key);
        }
        true
    }

    /// Ends somebody's waiting; whether he waited.
    pub(crate) fn end_wait(&mut self, id: WaitId) -> bool {
        let Some(key) = self.remove_wait(id) else {
            return false;
        };
        self.settle(key);
        self.forget_if_empty(key);
        true
    }

    /// Grants what can be granted of a file, in order.
    pub(super) fn settle(&mut self, key: LockKey) {
        while !self.is_frozen
            && let Some((id, wanted)) = self.first_grantable(key)
        {
            self.remove_wait(id);
            self.hold(key, wanted);
            self.granted.push(id);
        }
    }

    /// Whether somebody who waits for this file already comes before one who asks now.
    pub(super) fn is_behind_others(&self, key: LockKey, wanted: &HeldLock) -> bool {
        self.files.get(&key).is_some_and(|file| {
            let mut queue = file.queue.iter();
            queue.any(|wait| wait.wanted.excludes(wanted))
        })
    }

    pub(super) fn add_wait(&mut self, key: LockKey, wait: Wait) {
        let (id, owner) = (wait.id, wait.wanted.owner);
        self.waits.insert(id, key);
        self.waits_of
            .entry((key.family, owner))
            .or_default()
            .push(id);
        self.remember(owner.client, key);
        self.files.entry(key).or_default().queue.push_back(wait);
    }

    /// Takes one out; the file that he waited for.
    pub(super) fn remove_wait(&mut self, id: WaitId) -> Option<LockKey> {
        let key = self.waits.remove(&id)?;
        let queue = &mut self.files.get_mut(&key)?.queue;
        let at = queue.iter().position(|wait| wait.id == id)?;
        let owner = queue.remove(at)?.wanted.owner;
        let of_owner = (key.family, owner);
        if let Some(waits) = self.waits_of.get_mut(&of_owner) {
            waits.retain(|other| *other != id);
            if waits.is_empty() {
                self.waits_of.remove(&of_owner);
            }
        }
        Some(key)
    }

    pub(super) fn wait(&self, id: WaitId) -> Option<(LockKey, &Wait)> {
        let key = self.waits.get(&id)?;
        let mut queue = self.files.get(key)?.queue.iter();
        Some((*key, queue.find(|wait| wait.id == id)?))
    }

    pub(super) fn wait_mut(&mut self, id: WaitId) -> Option<&mut Wait> {
        let key = self.waits.get(&id)?;
        let mut queue = self.files.get_mut(key)?.queue.iter_mut();
        queue.find(|wait| wait.id == id)
    }

    fn first_grantable(&self, key: LockKey) -> Option<(WaitId, HeldLock)> {
        let file = self.files.get(&key)?;
        let waits = file.queue.iter().enumerate();
        let mut free = waits.filter(|(index, wait)| {
            let before = file.queue.iter().take(*index);
            let is_first = wait.overtakes
                || !before
                    .into_iter()
                    .any(|other| other.wanted.excludes(&wait.wanted));
            wait.presence == Presence::Here
                && is_first
                && file.held.first_against(&wait.wanted).is_none()
        });
        free.next().map(|(_, wait)| (wait.id, wait.wanted))
    }
}
