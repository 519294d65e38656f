//! Whether what bodies need is there, and right.
//!
//! [`check`] compares the listing of the object store with the counters of the namespace, in the
//! order of keys: what is missing, too short, or belongs to nothing. [`scrub`] reads every unit
//! back. Both go in steps, beside readers and writers, and can be broken off at any of them.
//!
//! Invariant: nothing here deletes what a body needs, a session may still publish, or is not known
//! to be this store's: [`check::delete_orphans`] asks again for each object, right before.

pub(crate) mod check;
mod scrub;
#[cfg(test)]
mod verify_test;

pub use check::{BodyCheck, BodyCheckPage, Finding, FindingKind, delete_orphans};
pub use scrub::{SCRUB_BYTES_MAX, ScrubStep, scrub};
