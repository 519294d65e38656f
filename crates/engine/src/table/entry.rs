//! The head of one entry of a data block.
//!
//! An entry: `shared`, `rest` (lengths of the key's parts: taken from the key before, and stored),
//! `value length << 3 | kind`, all varints; then `version - base` in as many bytes as the block
//! says; then the stored part of the key, then the value. At a restart point `shared` is the length
//! of the block's prefix.

use std::ops::Range;

use super::malformed::Malformed;
use crate::{entry::EntryKind, varint};

/// Bits of the kind below the length of the value.
const KIND_BITS: u32 = 3;

/// One entry, with the places of its bytes in the block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) version: u64,
    shared: u32,
    rest_start: u32,
    rest_end: u32,
    value_end: u32,
    pub(crate) kind: EntryKind,
}

impl Entry {
    /// Length of the key's beginning that the key before has too.
    #[inline]
    pub(crate) fn shared(&self) -> usize {
        self.shared as usize
    }

    /// The place of the rest of the key.
    #[inline]
    pub(crate) fn rest(&self) -> Range<usize> {
        self.rest_start as usize..self.rest_end as usize
    }

    #[inline]
    pub(crate) fn value(&self) -> Range<usize> {
        self.rest_end as usize..self.value_end as usize
    }

    /// Where the next entry begins.
    #[inline]
    pub(crate) fn end(&self) -> usize {
        self.value_end as usize
    }
}

/// How the versions of a block are stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VersionForm {
    pub(crate) base: u64,
    /// 0 to 8.
    pub(crate) bytes: usize,
}

/// Appends the head.
pub(crate) fn put_head(
    out: &mut Vec<u8>,
    (shared, rest): (usize, usize),
    (value_bytes, kind): (usize, EntryKind),
    (form, version): (VersionForm, u64),
) {
    varint::put(out, shared as u64);
    varint::put(out, rest as u64);
    varint::put(
        out,
        ((value_bytes as u64) << KIND_BITS) | u64::from(kind.number()),
    );
    let delta = (version - form.base).to_le_bytes();
    out.extend_from_slice(delta.get(..form.bytes).unwrap_or_default());
}

/// Decodes the entry at `offset` of a payload, which ends with the entries.
#[inline(always)]
pub(crate) fn decode(entries: &[u8], offset: usize, form: VersionForm) -> Result<Entry, Malformed> {
    decode_or_none(entries, offset, form).ok_or_else(|| no_entry(offset))
}

#[cold]
fn no_entry(offset: usize) -> Malformed {
    Malformed::new("an entry", format!("none at byte {offset} of the payload"))
}

#[inline(always)]
fn decode_or_none(entries: &[u8], offset: usize, form: VersionForm) -> Option<Entry> {
    let mut bytes = entries.get(offset..)?;
    let shared = u32::try_from(take(&mut bytes)?).ok()?;
    let rest = u32::try_from(take(&mut bytes)?).ok()?;
    let value = take(&mut bytes)?;
    let kind = EntryKind::from_number((value & ((1 << KIND_BITS) - 1)) as u8)?;
    let delta = match (form.bytes, bytes.first_chunk::<8>()) {
        (0, _) => 0,
        (width, Some(chunk)) => u64::from_le_bytes(*chunk) & (u64::MAX >> (64 - 8 * width)),
        // The last bytes of the block.
        (width, None) => {
            let stored = bytes.get(..width)?;
            stored
                .iter()
                .rev()
                .fold(0, |number, byte| (number << 8) | u64::from(*byte))
        }
    };
    let rest_start = u32::try_from(entries.len() - bytes.len() + form.bytes).ok()?;
    let rest_end = rest_start.checked_add(rest)?;
    let value_end = rest_end.checked_add(u32::try_from(value >> KIND_BITS).ok()?)?;
    if value_end as usize > entries.len() {
        return None;
    }
    if (value >> KIND_BITS) < kind.prefix_bytes() as u64 {
        return None;
    }
    let version = form.base.checked_add(delta)?;
    Some(Entry {
        version,
        shared,
        rest_start,
        rest_end,
        value_end,
        kind,
    })
}

/// A varint; the usual cases of one and two bytes first.
#[inline]
fn take(bytes: &mut &[u8]) -> Option<u64> {
    match bytes {
        [first, rest @ ..] if *first < 0x80 => {
            *bytes = rest;
            Some(u64::from(*first))
        }
        [first, second, rest @ ..] if *second < 0x80 => {
            *bytes = rest;
            Some(u64::from(*first & 0x7F) | (u64::from(*second) << 7))
        }
        _ => varint::take(bytes),
    }
}
