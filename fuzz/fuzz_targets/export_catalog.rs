//! Any bytes as the catalog of an export. The same function as the property test (`fuzzing.rs`).
//!
//! `cargo +nightly fuzz run export_catalog`

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nokv_engine::fuzzing::catalog(bytes));
