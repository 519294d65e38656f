//! Any bytes as an index block of a table. The same function as the property test of the engine.
//!
//! `cargo +nightly fuzz run table_index`

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nokv_engine::fuzzing::index(bytes));
