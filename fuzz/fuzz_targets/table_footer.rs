//! Any bytes as a whole table file: footer first. The same function as the property test of the
//! engine.
//!
//! `cargo +nightly fuzz run table_footer`

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nokv_engine::fuzzing::file(bytes));
