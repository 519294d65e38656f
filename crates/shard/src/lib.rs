//! A shard: an ordered, durable log of commands and the versioned keyspace that they produce.
//!
//! Purpose: the one place where state changes. A [`Command`] is data; its checks are evaluated in log order,
//! and if all hold its writes, adds, change record and dedupe record become one engine batch. Reads run beside
//! the writer, at any version.

mod durability;
mod options;

pub use durability::Durability;
pub use options::Options;
