//! Figures that a person reads and that are no timed tests: the machine under them is never quiet
//! enough.
//!
//! [`first_try`] is what somebody meets in the first minute, [`real_input`] what they came for,
//! [`measure`] how a process is watched.

mod first_try;
mod measure;
mod real_input;

pub(crate) use first_try::first_try;
pub(crate) use real_input::real_input;
