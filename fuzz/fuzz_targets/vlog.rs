//! Any bytes as a file of the value log, and as a pointer into one. The same function as the
//! property test of the engine.
//!
//! `cargo +nightly fuzz run vlog`

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nokv_engine::fuzzing::value_file(bytes));
