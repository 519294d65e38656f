//! Making a damaged store open again, with as much as can be read.
//!
//! How it fits: [`plan`] decides from a look at every file and changes nothing; [`apply`] does what
//! was decided.
//!
//! # What is done
//! | | what is damaged | what is done |
//! |---|---|---|
//! | a | nothing | nothing |
//! | b | `CURRENT` or mark; the manifest that counts is whole | a new manifest with the same state |
//! | c | a table | a table of its whole blocks takes its number, so also its place among the others |
//! | d | a table has nothing that can be read, or is missing | it is left out |
//! | e | the log | all records that can be read become tables of level 0, in order; the log begins anew |
//! | f | the manifest | levels can't be known: all tables (but those that an edit removed) and the log are merged, by version, into one level |
//!
//! Row f merges because an order of sources is never guessed: a number does not say which table is
//! newer, versions do, entry by entry. Row e keeps records behind a hole: a batch is whole or
//! absent, but one before others may be missing, and the plan says so.
//!
//! Invariants:
//! - nothing is removed: what is replaced goes to `lost+found` in the store's folder;
//! - new files are durable before `CURRENT` names a manifest that needs them; a repair that was cut
//!   off is repeated.

mod apply;
mod plan;
mod salvage;

pub use plan::{Loss, RepairAction, RepairPlan};
