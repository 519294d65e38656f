//! Deleting what nobody can see any more.
//!
//! The namespace decides *what* is garbage (it knows sessions, versions and references), this
//! module *when and how much*, and does it. One round has five phases, each bounded, each
//! repeatable from the start after a crash: sessions that are over are swept by one listing each
//! ([`sweep`]); bodies that no retained version sees lose their references, by which objects become
//! doomed (the namespace's part); doomed objects are deleted, then forgotten ([`doomed`]); objects
//! that are mostly dead are emptied ([`compact`]); objects that belong to nothing at all are looked
//! for now and then ([`orphans`]).
//!
//! Invariants:
//! - an object is deleted only when no reference to it exists, that fact is on disk, and none can
//!   come: its session is closed, and other sessions can't reference what nobody references;
//! - the record of a duty (session, doomed object) goes after the duty is done, so a crash repeats,
//!   never forgets;
//! - what fails is passed by: a round goes on where the last one stopped, so nothing waits behind
//!   what can't be done;
//! - nothing here grows with the store: lists are pages, memories of failures are bounded.
//!
//! What breaks otherwise: bodies whose blocks are gone, or a bucket that only grows.
//!
//! Reading order: [`options`], [`report`], [`collector`] (the round), [`sweep`], [`doomed`],
//! [`compact`] and [`moving`], [`orphans`], [`delete`] (how, and how much), [`lap`] (fairness),
//! [`ledger`] (what is asked of the namespace).

mod collector;
#[cfg(test)]
mod collector_test;
mod compact;
#[cfg(test)]
mod compact_test;
mod delete;
mod doomed;
mod lap;
mod ledger;
mod moving;
mod options;
mod orphans;
mod report;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod simulation_clients;
#[cfg(test)]
mod simulation_test;
mod sweep;
#[cfg(test)]
mod world_test;

pub use collector::Collector;
pub use compact::CompactOptions;
pub use options::{CollectOptions, LATE_GRACE_MS_DEFAULT, Orphans};
pub use orphans::RESERVED_SESSION;
pub use report::Report;
