//! The disk of a cache: immutable runs, a file each, shared by all processes of a machine.
//!
//! Reading order: [`layout`] (names and files), [`files`] (writing and removing), [`opened`]
//! (verified reads), [`choose`] (which entries go: pure), [`scan`] (all that is there), [`ledger`]
//! (how much that may be), [`writer`] (behind the reader's back), [`disk_runs`] (the whole),
//! [`directory`] (for whoever looks after it).

mod choose;
mod directory;
mod disk_runs;
mod files;
mod layout;
mod ledger;
mod opened;
mod scan;
mod writer;

pub use directory::{CacheDirectory, CachedEntry, CachedStore, DamagedEntry, Evictions, OnDamage};
pub(super) use disk_runs::DiskRuns;
pub(super) use ledger::{Limits, used_bytes};
