//! A local tree as one publish: all of it visible at once, or nothing.
//!
//! The uploads come first, in an upload session that outlives this process; a journal on this
//! machine says which files are through, so that the next attempt sends only the rest. Then one
//! command makes everything visible, and moves a pointer to it.
//!
//! Invariants:
//! - nothing is visible before everything is durable;
//! - no object id is used twice: each attempt takes a range of its session's numbers that is on
//!   disk as taken before its first upload;
//! - a file is taken from the journal only if size, times and inode are those that were uploaded,
//!   and the object store still has its objects in full.
//!
//! Reading order: [`options`], [`journal`], [`publish_tree`].

mod journal;
mod options;
mod publish_tree;

pub use options::{PublishExpect, PublishOptions, PublishReport};
