//! Whole trees between local directories and the store.
//!
//! Reading order: [`options`] (what the caller chooses and learns), [`local_walk`] and [`put`]
//! (in), [`local_dir`] and [`get`] (out).

mod get;
mod local_dir;
mod local_walk;
mod options;
mod put;

pub(crate) use local_walk::{
    AHEAD_ENTRIES_MAX, Found, LocalEntry, What, local_failure, walk_local,
};
pub use options::{
    Existing, GetEvent, GetOptions, GetReport, OnGet, OnPut, Placement, PutEvent, PutOptions,
    PutReport, Skipped, WriteOptions,
};
