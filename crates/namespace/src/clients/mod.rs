//! Client sessions: who has files open and holds locks, and for how long.
//!
//! That a session exists is on disk; what it has open and locked is in memory here and at the
//! client. A client renews its session in time; if it does not, the session ends with all it has.
//! After a restart every session that was on disk is *unannounced*: its client must say again what
//! it has, within its time to live, else it ends. Until all have, or have ended, no lock is granted
//! and no file without a name is reclaimed. Why not on disk: a lock would be a commit and an fsync,
//! and a file that is opened another; whoever holds a lock must be alive to use it, so it can say
//! so.
//!
//! Invariants:
//! - the end of a session is on disk before anybody else gets what it had;
//! - the end of a lease only moves away: a renewal never brings it nearer, and a restart gives
//!   every session its whole time to live again;
//! - a node whose last name goes while a session has it open stays, on disk, in the same command;
//! - no open falls between looking whether a node is open and taking it away
//!   ([`opens::Opens::going`]);
//! - a numbered request is done once ([`done::Done`]).
//!
//! What breaks otherwise: two holders of one lock, files deleted under a reader.
//!
//! Reading order: [`done`], [`opens`], [`session`], [`state`] (all of it, behind one lock),
//! [`opening`], [`locking`], [`claims`].

mod claims;
mod done;
mod locking;
mod opening;
mod opens;
mod session;
mod state;

pub(crate) use done::Outcome;
pub(crate) use opening::Going;
pub(crate) use opens::OpenKey;
pub(crate) use session::Lapsed;
pub(crate) use state::{Clients, LockAnswer, Stored, Visit};
