//! Keys and ranges of callers, as the engine takes them.

use std::ops::{Bound, RangeBounds};

use crate::{Error, KEY_BYTES_MAX, KeyRange};

/// # Errors
/// `Invalid` for a key that is empty or too long.
pub(super) fn check_key(key: &[u8]) -> Result<(), Error> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Err(Error::Invalid(format!(
            "a key of {} bytes: it must have 1 to {KEY_BYTES_MAX}",
            key.len()
        )));
    }
    Ok(())
}

/// The first key after `key`.
fn after(key: &[u8]) -> Vec<u8> {
    let mut after = Vec::with_capacity(key.len() + 1);
    after.extend_from_slice(key);
    after.push(0);
    after
}

/// The first key of a range, and the first one after it.
pub(super) fn ends<K: AsRef<[u8]>>(range: &impl RangeBounds<K>) -> (Vec<u8>, Option<Vec<u8>>) {
    let start = match range.start_bound() {
        Bound::Included(key) => key.as_ref().to_vec(),
        Bound::Excluded(key) => after(key.as_ref()),
        Bound::Unbounded => Vec::new(),
    };
    let end = match range.end_bound() {
        Bound::Included(key) => Some(after(key.as_ref())),
        Bound::Excluded(key) => Some(key.as_ref().to_vec()),
        Bound::Unbounded => None,
    };
    (start, end)
}

pub(super) fn key_range<K: AsRef<[u8]>>(range: &impl RangeBounds<K>) -> KeyRange {
    match ends(range) {
        (start, Some(end)) => KeyRange::between(start, end),
        (start, None) => KeyRange::from(start),
    }
}
