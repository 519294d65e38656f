//! Looking at the files of a store: what is in them, what is damaged, what can be saved.
//!
//! How it fits: [`verify`] reads every byte, of a running store ([`crate::Engine::verify_with`]) or
//! of a stopped one; [`StoppedStore`] lists each kind of file by itself; [`repair`] plans and does
//! what makes a damaged store open again.
//!
//! Invariants:
//! - nothing but [`StoppedStore::repair`] writes anything;
//! - each kind of file is read without the others where that is possible: a damaged manifest does
//!   not hide tables and log;
//! - damage is told with file, offset, expected and found, and the look goes on behind it.
//!
//! Reading order: [`damage`], [`value_check`], [`table_check`], [`log_check`], [`verify`],
//! [`stopped`], [`listing`], [`repair`].

mod damage;
#[cfg(test)]
mod forensics_test;
mod listing;
mod log_check;
mod repair;
mod stopped;
mod table_check;
mod value_check;
mod verify;

pub use damage::Damage;
pub use listing::{
    BlockListing, EditListing, ManifestListing, OperationListing, RecordListing, SegmentListing,
    StoreSummary, TableListing,
};
pub use repair::{Loss, RepairAction, RepairPlan};
pub use stopped::StoppedStore;
pub use verify::{Verification, VerifyOptions, VerifyProgress};
