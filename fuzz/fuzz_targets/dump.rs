//! Any bytes as a dump of either form, and as the items of a frame.
//!
//! `cargo +nightly fuzz run dump`

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok((mut reader, _)) = nokv_dump::DumpReader::new(bytes) {
        while let Ok(Some(_)) = reader.next_item() {}
    }
    nokv_dump::Items::new(bytes::Bytes::copy_from_slice(bytes)).for_each(drop);
});
