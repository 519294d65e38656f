//! Checkpoints: whole, openable copies of a running store.
//!
//! How it fits: the store is captured at one moment ([`crate::db`]), its tables are linked, the
//! small rest of its log is copied, and a manifest, `CURRENT` and mark of its own make the folder a
//! store. docs/format/checkpoint.md shows what is where.
//!
//! Invariants:
//! - a checkpoint is made under another name and gets its own last: a crash leaves nothing under
//!   it, or all;
//! - it shares only files that nobody ever writes again: tables and value files that are complete.
//!   **Segments of the log are copied, never linked**: the last segment of a store is written on
//!   after a recovery, whichever it was before, and with a shared file the store would write into
//!   the checkpoint's log, or the checkpoint into the store's.

#[cfg(test)]
mod checkpoint_test;
mod make;

pub use make::Checkpoint;
