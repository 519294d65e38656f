//! A client session that lives: open files and locks that survive lost connections and restarts of
//! the server, and end with the client.
//!
//! It renews itself; it knows what it has, and says so to a server that was started anew; it
//! numbers its requests, so that one that is sent again is done once.
//!
//! Invariants:
//! - what a call has granted was held by the server that lives now, or was announced to it: an
//!   answer of an earlier one is asked for again ([`state::State::epoch`]);
//! - what is given back is forgotten here before the server is told: an announcement never claims
//!   it again;
//! - opens and closes of one node do not overtake each other.
//!
//! Reading order: [`state`] (what it knows), [`session`] (life, announcing), [`opens`], [`locks`].

mod locks;
mod opens;
mod session;
mod state;

pub use session::LiveSession;
