//! The head of one entry of a data block.
//!
//! An entry: `shared`, `rest` (lengths of the key's parts: taken from the entry before, and stored), `value length
//! << 3 | kind`, `version - base`; all varints; then the stored part of the key, then the value.

use std::ops::Range;

use super::malformed::Malformed;
use crate::{
    entry::EntryKind,
    varint::{self, VARINT_BYTES_MAX},
};

/// Bits of the kind below the length of the value.
const KIND_BITS: u32 = 3;

/// The longest head, bytes.
pub(crate) const HEAD_BYTES_MAX: usize = 4 * VARINT_BYTES_MAX;

/// One entry, with the places of its bytes in the block.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Length of the key's beginning that the entry before has too.
    pub(crate) shared: usize,
    /// The rest of the key.
    pub(crate) rest: Range<usize>,
    pub(crate) version: u64,
    pub(crate) kind: EntryKind,
    pub(crate) value: Range<usize>,
}

/// Appends the head.
pub(crate) fn put_head(
    out: &mut Vec<u8>,
    (shared, rest): (usize, usize),
    (value_bytes, kind): (usize, EntryKind),
    version_delta: u64,
) {
    varint::put(out, shared as u64);
    varint::put(out, rest as u64);
    varint::put(
        out,
        (value_bytes as u64) << KIND_BITS | u64::from(kind.number()),
    );
    varint::put(out, version_delta);
}

/// Decodes the entry at `offset` of `entries`, the part of the block that holds entries.
#[inline]
pub(crate) fn decode(entries: &[u8], offset: usize, base_version: u64) -> Result<Entry, Malformed> {
    decode_or_none(entries, offset, base_version)
        .ok_or_else(|| Malformed::new("an entry", format!("none at byte {offset} of the payload")))
}

#[inline]
fn decode_or_none(entries: &[u8], offset: usize, base_version: u64) -> Option<Entry> {
    let mut bytes = entries.get(offset..)?;
    let shared = take(&mut bytes)?;
    let rest = take(&mut bytes)?;
    let value = take(&mut bytes)?;
    let version = base_version.checked_add(take(&mut bytes)?)?;
    #[expect(clippy::cast_possible_truncation, reason = "masked to three bits")]
    let kind = EntryKind::from_number((value & ((1 << KIND_BITS) - 1)) as u8)?;
    let rest_start = entries.len() - bytes.len();
    let rest_end = rest_start.checked_add(usize::try_from(rest).ok()?)?;
    let value_end = rest_end.checked_add(usize::try_from(value >> KIND_BITS).ok()?)?;
    if value_end > entries.len() {
        return None;
    }
    Some(Entry {
        shared: usize::try_from(shared).ok()?,
        rest: rest_start..rest_end,
        version,
        kind,
        value: rest_end..value_end,
    })
}

/// A varint; the usual one-byte case first.
#[inline]
fn take(bytes: &mut &[u8]) -> Option<u64> {
    match bytes.split_first() {
        Some((byte, rest)) if *byte < 0x80 => {
            *bytes = rest;
            Some(u64::from(*byte))
        }
        _ => varint::take(bytes),
    }
}
