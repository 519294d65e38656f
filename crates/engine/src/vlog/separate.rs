//! A batch with pointers instead of its large values.

use std::borrow::Cow;

use super::{entry::ValueEntry, layout::POINTER_BYTES, pointer::Pointer};
use crate::{
    Error,
    batch::{Operation, Operations},
    entry::EntryKind,
    varint,
};

/// The payload with what `place` says instead of each value of at least `separation_bytes`.
///
/// # Errors
/// `Invalid` when the payload is not one that a batch builds; what `place` says.
pub(super) fn rewrite<'a>(
    payload: &'a [u8],
    separation_bytes: usize,
    place: &mut dyn FnMut(ValueEntry<'a>) -> Result<Pointer, Error>,
) -> Result<Cow<'a, [u8]>, Error> {
    let mut operations = Operations::new(payload);
    let mut rewritten = Vec::new();
    // Up to here the payload is in `rewritten`.
    let mut copied = 0;
    loop {
        let begin = payload.len() - operations.rest_bytes();
        let Some(operation) = operations.next() else {
            break;
        };
        let operation =
            operation.map_err(|_| Error::Invalid("a batch that does not decode".to_owned()))?;
        let Operation::Entry {
            key,
            version,
            kind,
            value: stored,
        } = operation
        else {
            continue;
        };
        let Some(pointer_kind) = kind.separated() else {
            continue;
        };
        if stored.len().saturating_sub(kind.prefix_bytes()) < separation_bytes {
            continue;
        }
        let end = payload.len() - operations.rest_bytes();
        let stored_begin = end - stored.len() - varint::length(stored.len() as u64);
        let entry = ValueEntry {
            key,
            version,
            kind,
            stored,
        };
        let pointer = place(entry)?;
        rewritten.extend_from_slice(payload.get(copied..begin).unwrap_or_default());
        let tag = payload.get(begin).copied().unwrap_or_default();
        rewritten.push(tag - kind.number() + pointer_kind.number());
        rewritten.extend_from_slice(payload.get(begin + 1..stored_begin).unwrap_or_default());
        put_stored(&mut rewritten, (kind, stored), &pointer);
        copied = end;
    }
    if copied == 0 {
        return Ok(Cow::Borrowed(payload));
    }
    rewritten.extend_from_slice(payload.get(copied..).unwrap_or_default());
    Ok(Cow::Owned(rewritten))
}

fn put_stored(out: &mut Vec<u8>, (kind, stored): (EntryKind, &[u8]), pointer: &Pointer) {
    let prefix = stored.get(..kind.prefix_bytes()).unwrap_or_default();
    varint::put(out, (prefix.len() + POINTER_BYTES) as u64);
    out.extend_from_slice(prefix);
    out.extend_from_slice(&pointer.encode());
}
