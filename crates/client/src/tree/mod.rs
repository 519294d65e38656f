//! Whole trees between local directories and the store.
//!
//! Reading order: [`options`] (what the caller chooses and learns), [`local_walk`] and [`put`]
//! (in), [`local_dir`] and [`get`] (out).

mod get;
mod local_dir;
mod local_walk;
mod options;
mod put;

pub use options::{
    Existing, GetEvent, GetOptions, GetReport, OnGet, OnPut, Placement, PutEvent, PutOptions,
    PutReport, Skipped, WriteOptions,
};
