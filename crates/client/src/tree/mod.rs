//! Whole trees between local directories and the store.
//!
//! Reading order: [`options`] (what the caller chooses and learns).

mod options;

pub use options::{
    Existing, GetEvent, GetOptions, GetReport, Placement, PutEvent, PutOptions, PutReport, Skipped,
    WriteOptions,
};
