//! A shard: an ordered, durable log of commands and the versioned keyspace that they produce.
//!
//! Purpose: the one place where state changes. A [`Command`] is data; its checks are evaluated in
//! log order, and if all hold its writes, adds, change record and dedupe record become part of one
//! engine batch. Reads run beside the writer, at any version.
//!
//! Reading order: [`key`] and [`codec`] (bytes), [`counter`], [`command`] (what is asked),
//! [`apply`] (what it does, pure), [`record`] (the log's own records), [`group`] (commands into
//! batches), [`combiner`] (callers into groups), [`shard`] (the handle), [`history`] (reading the
//! log) and [`trim`] (forgetting it).
//!
//! Invariants:
//! - effects and change record of a command are durable together or not at all;
//! - versions of commands only grow, and are assigned when the command is applied;
//! - a request is applied at most once within its window.

mod apply;
pub mod codec;
mod combiner;
mod command;
mod counter;
mod error;
mod group;
mod history;
mod key;
mod options;
mod record;
mod shard;
mod trim;

pub use apply::{Effect, State, Verdict, apply};
pub use command::{Add, Applied, AtZero, Check, Command, Outcome, Request, Write};
pub use counter::{Change, Counter, SLOT_COUNT, Slot};
pub use error::Error;
pub use history::{LogPage, LogRecord};
pub use key::{Key, prefix_end};
pub use nokv_engine::Durability;
pub use options::Options;
pub use record::KEYSPACE_RESERVED_MIN;
pub use shard::Shard;
pub use trim::Trimmed;
