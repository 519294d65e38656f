//! Any bytes as `mark`. The same function as the property test of the engine (`fuzzing.rs`).
//!
//! `cargo +nightly fuzz run mark`

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nokv_engine::fuzzing::mark(bytes));
