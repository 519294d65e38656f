//! The engine as a user has it: real files, real threads.

#![expect(
    clippy::unwrap_used,
    reason = "a test says what went wrong by panicking"
)]

mod kill;
mod store;
