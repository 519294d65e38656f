//! The manifest: which tables make up the store, and where the log that is still needed begins.
//!
//! How it fits: a log of [`edit`]s in a file of its own; `CURRENT` names the file. Replaying the
//! edits gives the [`state`]. docs/format/manifest.md is the format.
//!
//! Invariants:
//! - an edit is durable before anything acts on it: before a table that it adds serves reads from
//!   disk alone, before a file that it makes useless is removed;
//! - `CURRENT` is replaced in one step and names a manifest whose first edit, a whole state, is
//!   durable;
//! - a table file that no edit names is garbage of an unfinished flush or compaction and is removed
//!   at open.
//!
//! Reading order: [`layout`], [`edit`], [`state`], [`reader`], [`writer`], [`current`].

#[cfg(any(test, fuzzing))]
pub(crate) mod any_bytes;
mod current;
mod edit;
mod layout;
#[cfg(test)]
mod manifest_test;
mod reader;
mod scan;
mod state;
mod writer;

pub(crate) use current::manifest_path;
pub(crate) use edit::{Edit, TableMeta};
pub(crate) use layout::LEVELS_MAX;
pub(crate) use scan::{EditPlace, ManifestScan, current_number, scan_manifest};
pub(crate) use state::State;
pub(crate) use writer::{Manifest, manifest_number};
