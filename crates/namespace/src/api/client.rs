//! Client sessions, what they have open, and what they lock.

use crate::locks::LockKey;
use crate::{HeldLock, LockFamily, LockKind, LockOwner, LockRange};
use nokv_types::{BranchId, ClientId, NodeId};

/// A client session that is to be opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewClientSession {
    /// Who it is, for a person: at most [`CLIENT_LABEL_BYTES_MAX`] bytes.
    pub label: String,
    /// How long it lives after its last renewal: [`CLIENT_TTL_MS_MIN`] to [`CLIENT_TTL_MS_MAX`].
    pub ttl_ms: u64,
}

/// Longest label of a client session.
pub const CLIENT_LABEL_BYTES_MAX: usize = 255;
/// Shortest life: below it, a slow fsync ends a session that is alive.
pub const CLIENT_TTL_MS_MIN: u64 = 1_000;
/// Longest life, an hour: so long may a lock outlive its holder, and a restart hold up locks.
pub const CLIENT_TTL_MS_MAX: u64 = 3_600_000;

/// A client session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientSession {
    /// Its number: never given again.
    pub id: ClientId,
    /// Who it is.
    pub label: String,
    /// How long it lives after a renewal.
    pub ttl_ms: u64,
    /// How long it lives still.
    pub left_ms: u64,
    /// How many nodes it has open.
    pub open_count: u64,
    /// Whether it must be announced.
    pub phase: ClientPhase,
    /// Another one than before means that the store was opened anew.
    pub incarnation: u64,
}

/// Whether the store knows what a session has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientPhase {
    /// It is from before the store was opened: see [`crate::Namespace::announce_client`].
    Unannounced,
    /// It does.
    Live,
}

/// Who asks, and which of his requests this is.
///
/// A request that is sent again with its number is done once. `number` 0: not numbered, for callers
/// in the same process, who always get their answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asker {
    /// The session.
    pub client: ClientId,
    /// The number of the request, one more for each; from 1.
    pub number: u64,
    /// The caller has the answers of all requests below this number.
    pub answered_below: u64,
}

impl Asker {
    /// A session in the same process.
    #[must_use]
    pub const fn of(client: ClientId) -> Self {
        Self {
            client,
            number: 0,
            answered_below: 0,
        }
    }
}

/// A file that is locked, and for whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LockPlace {
    /// The branch.
    pub branch: BranchId,
    /// The file.
    pub node: NodeId,
    /// Which kind of locks.
    pub family: LockFamily,
    /// The owner within the session: an open file for [`LockFamily::Whole`], a process for
    /// [`LockFamily::Range`].
    pub owner: u64,
}

/// A lock as somebody wants it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WantedLock {
    /// Where, and for whom.
    pub place: LockPlace,
    /// The process, told to others by [`crate::Namespace::test_lock`].
    pub process: u32,
    /// How.
    pub kind: LockKind,
    /// Which bytes; [`LockRange::ALL`] for [`LockFamily::Whole`].
    pub range: LockRange,
}

impl WantedLock {
    /// The file, and the lock as it would be held.
    pub(crate) const fn parts(&self, client: ClientId) -> (LockKey, HeldLock) {
        let number = self.place.owner;
        let held = HeldLock {
            owner: LockOwner { client, number },
            process: self.process,
            kind: self.kind,
            range: self.range,
        };
        (self.place.key(), held)
    }
}

impl LockPlace {
    pub(crate) const fn key(&self) -> LockKey {
        LockKey {
            branch: self.branch,
            node: self.node,
            family: self.family,
        }
    }
}

/// What came of asking for a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LockOutcome {
    /// It is held now.
    Granted,
    /// Somebody else has this.
    Held(HeldLock),
    /// Not yet: ask again with the same number, soon, to keep the place.
    Waiting,
}

/// What a client still had when the store was opened anew.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Announcement {
    /// Nodes that it has open.
    pub opens: Vec<(BranchId, NodeId)>,
    /// Locks that it holds.
    pub locks: Vec<WantedLock>,
}

/// What of an announcement it does not have any more.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LostClaims {
    /// Nodes that are gone.
    pub opens: Vec<(BranchId, NodeId)>,
    /// Locks that somebody else has.
    pub locks: Vec<WantedLock>,
}

/// Most opens and locks of one announcement: a client with more sends several.
pub const ANNOUNCEMENT_ITEMS_MAX: usize = 65_536;

/// Whether more announcements follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AnnouncementEnd {
    /// This one is not the last.
    MoreFollows,
    /// That is all.
    Complete,
}
