//! Reading and writing little-endian integers at offsets, without a way to panic.

/// The `u32` at `offset`.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(offset..)?.first_chunk()?))
}

/// The `u64` at `offset`.
pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(offset..)?.first_chunk()?))
}

/// Puts `field` at `offset` of a head; the offsets are constants inside the head.
pub(crate) fn put_at(head: &mut [u8], offset: usize, field: &[u8]) {
    if let Some(place) = head.get_mut(offset..offset + field.len()) {
        place.copy_from_slice(field);
    } else {
        debug_assert!(false, "a field outside of its head");
    }
}
