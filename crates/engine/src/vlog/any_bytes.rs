//! Any bytes, given to every decoder of the value log: for the fuzz target and the property test.
//!
//! Invariant: none panics, and what is taken for an entry is one: written again, it gives the same
//! bytes.

use std::path::Path;

use super::{
    entry::encode_head, file::FileHead, layout::HEAD_BYTES, list::walk, pointer::Pointer,
    refs::ValueRefs,
};

/// The number of the file that the bytes are taken for.
const NUMBER: u64 = 1;

/// Reads the bytes as a pointer, as references, as a head and as a whole file.
pub(crate) fn any_bytes(bytes: &[u8]) {
    if let Some(pointer) = Pointer::decode(bytes) {
        assert_eq!(pointer.encode(), bytes);
    }
    ValueRefs::decode(&mut &*bytes);
    FileHead::decode(bytes, NUMBER, Path::new("x")).ok();
    let mut last = HEAD_BYTES as u64;
    let walk = walk(NUMBER, bytes, &mut |offset, entry| {
        assert!(offset >= last);
        let (head, _) = encode_head(NUMBER, entry);
        let written = [&head, entry.key, entry.stored].concat();
        let place = usize::try_from(offset).expect("within the bytes");
        assert!(
            bytes
                .get(place..)
                .is_some_and(|rest| rest.starts_with(&written))
        );
        last = offset + written.len() as u64;
    });
    assert!(walk.entry_bytes + walk.torn_bytes <= bytes.len() as u64);
}
