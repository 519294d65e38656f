//! Any bytes as `batch`. The same function as the property test of the engine (`fuzzing.rs`).
//!
//! `cargo +nightly fuzz run batch`

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nokv_engine::fuzzing::batch(bytes));
