//! Any bytes as a block of a table: frame, data block, summary. The same function as the property
//! test of the engine.
//!
//! `cargo +nightly fuzz run table_block`

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nokv_engine::fuzzing::block(bytes));
