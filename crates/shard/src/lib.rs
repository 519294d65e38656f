//! Shards: ordered, durable logs of commands and the versioned keyspace that they produce.
//!
//! Purpose: the one place where state changes. A [`Command`] is data; its checks are evaluated in
//! log order, and if all hold its writes, adds, change record and dedupe record become part of one
//! engine batch. A command may touch several shards of the store: then each of their logs gets its
//! part, all under one version and in one batch. Reads run beside the writer, at any version.
//!
//! Reading order: [`key`] and [`codec`] (bytes), [`counter`], [`command`] (what is asked),
//! [`apply`] (what it does, pure), [`record`] (the log's own records), [`group`] (commands into
//! batches), [`combiner`] (callers into groups), [`shards`] (the handle), [`merged`] (all logs in
//! one order), [`history`] (reading them), [`trim`] (forgetting them) and [`load`] (which is busy).
//!
//! Invariants:
//! - effects and change record of a command are durable together or not at all;
//! - versions of commands only grow, and are assigned when the command is applied;
//! - a request is applied at most once within its window, whichever shards it touched;
//! - the logs of all shards, merged by version, are the order in which everything happened.

mod apply;
pub mod codec;
mod combiner;
mod command;
mod counter;
mod error;
mod group;
mod history;
mod key;
mod load;
mod merged;
mod options;
mod record;
mod shards;
mod trim;

pub use apply::{Effect, State, Verdict, apply};
pub use command::{
    Add, Applied, AtZero, Check, Command, Events, Outcome, Participants, Request, Write,
};
pub use counter::{Change, Counter, SLOT_COUNT, Slot};
pub use error::Error;
pub use history::{LogPage, LogRecord};
pub use key::{Key, Route, prefix_end};
pub use nokv_engine::Durability;
pub use options::Options;
pub use record::KEYSPACE_RESERVED_MIN;
pub use shards::{Position, SHARDS_MAX, Shards};
pub use trim::Trimmed;
