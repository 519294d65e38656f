//! The memtable against an ordered map; the same function as the property test of crates/art.
//!
//! `cargo +nightly fuzz run art`

#![no_main]

#[path = "../../crates/art/tests/it/model.rs"]
mod model;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| model::check(bytes));
