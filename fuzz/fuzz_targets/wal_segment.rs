//! Any bytes as `wal_segment`. The same function as the property test of the engine (`fuzzing.rs`).
//!
//! `cargo +nightly fuzz run wal_segment`

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nokv_engine::fuzzing::segment(bytes));
