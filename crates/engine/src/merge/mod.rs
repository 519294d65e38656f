//! Merging ordered sources: for scans (each visible key once) and for compactions (every entry).
//!
//! How it fits: [`level`] walks the tables of one level as if they were one; [`visible`] turns such
//! a walk, and a memtable's, into a [`Source`]: the newest entry at or below one version of each
//! key; [`scan`] merges sources and leaves out what is deleted; [`entries`] merges levels for a
//! compaction.
//!
//! Invariants: sources are given newest first, and of two entries with the same key and version the
//! earlier source's counts; no entry is copied but its key, into a buffer that is used again.

mod entries;
mod heap;
mod level;
mod scan;
mod visible;

#[cfg(test)]
mod merge_test;

pub(crate) use entries::EntryMerge;
pub(crate) use level::LevelCursor;
pub(crate) use scan::{Cover, Source, VisibleMerge};
pub(crate) use visible::TableSource;
