//! Any bytes as `manifest`. The same function as the property test of the engine (`fuzzing.rs`).
//!
//! `cargo +nightly fuzz run manifest`

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nokv_engine::fuzzing::manifest(bytes));
