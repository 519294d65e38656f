//! Object stores that fail on purpose.
//!
//! [`FaultStore`] stands before any [`crate::BlockStore`] and asks a plan, call by call, what
//! should go wrong: errors, lost acknowledgements, deletions half done, wrong bytes, missing and
//! truncated objects. [`Chance`] is a plan from a seed: the same seed fails the same calls,
//! whatever order tasks run in.

mod chance;
mod fault_store;
#[cfg(test)]
mod round_trip_test;

pub use chance::{Chance, Trouble};
pub use fault_store::{Call, Fault, FaultStore, Operation};
