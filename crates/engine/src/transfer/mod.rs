//! Tables that travel: written outside of a store, moved as files, taken into a store whole.
//!
//! How it fits: a [`TableSink`] turns sorted entries into table files in a folder of their own with
//! a [`catalog`] of them; [`export`] feeds it with the state of a store at one version;
//! [`ingest`] proves every byte of such a folder and makes it part of a store by one edit of its
//! manifest. docs/format/export.md is the format.
//!
//! Invariants:
//! - the catalog names a file only when the file is complete and durable, and says that the folder
//!   is complete only when all files are: a crash leaves a folder that can be gone on with;
//! - nothing of a folder is visible in a store before all of it was read and found whole;
//! - what is ingested is newer than all that the store knows in its range of keys, so "the newest
//!   source that knows a key decides" stays true.
//!
//! Reading order: [`layout`], [`catalog`], [`hashing`], [`sink`], [`export`], [`ingest`].

#[cfg(any(test, fuzzing))]
pub(crate) mod any_bytes;
mod catalog;
mod export;
mod hashing;
mod ingest;
mod layout;
mod sink;
#[cfg(test)]
mod transfer_test;

pub use export::ExportOptions;
pub(crate) use ingest::{Candidate, IsVisible, conflict, copy, copy_prefix, link};
pub use ingest::{IngestOptions, Ingested, Transfer};
pub use sink::{Export, SinkOptions, TableSink};
