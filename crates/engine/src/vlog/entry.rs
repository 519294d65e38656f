//! One entry of a value-log file: encode its head, decode it.
//!
//! Invariants: the checksum covers everything of the entry but itself: lengths, file, version,
//! kind, key, value. An entry says all that a salvage needs: it can be read without any table.

use super::layout::{
    ENTRY_CHECKSUM, ENTRY_FILE, ENTRY_HEAD_BYTES, ENTRY_KEY_BYTES, ENTRY_KIND, ENTRY_STORED_BYTES,
    ENTRY_VERSION, STORED_BYTES_MAX,
};
use crate::{
    bytes_at::{put_at, u32_at, u64_at},
    checksum::crc32c,
    entry::EntryKind,
    keyspace::INTERNAL_KEY_BYTES_MAX,
};

/// The head of an entry, as written.
pub(super) type EntryHead = [u8; ENTRY_HEAD_BYTES];

/// A value with the key and version that it belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ValueEntry<'a> {
    /// Internal.
    pub(crate) key: &'a [u8],
    pub(crate) version: u64,
    /// A kind with a value in place: never a pointer.
    pub(crate) kind: EntryKind,
    pub(crate) stored: &'a [u8],
}

/// The lengths that the head of an entry says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Lengths {
    pub(super) key_bytes: usize,
    pub(super) stored_bytes: usize,
}

/// Bytes of an entry in its file.
pub(super) fn entry_bytes(key_bytes: usize, stored_bytes: usize) -> u64 {
    (ENTRY_HEAD_BYTES + key_bytes + stored_bytes) as u64
}

/// The head of the entry in file `file`, and its checksum.
pub(super) fn encode_head(file: u64, entry: &ValueEntry<'_>) -> (EntryHead, u32) {
    let mut head = [0; ENTRY_HEAD_BYTES];
    let key_bytes = u32::try_from(entry.key.len()).expect("KEY_BYTES_MAX fits in 32 bits");
    let stored_bytes = u32::try_from(entry.stored.len()).expect("VALUE_BYTES_MAX fits in 32 bits");
    put_at(&mut head, ENTRY_KEY_BYTES, &key_bytes.to_le_bytes());
    put_at(&mut head, ENTRY_STORED_BYTES, &stored_bytes.to_le_bytes());
    put_at(&mut head, ENTRY_FILE, &file_tag(file).to_le_bytes());
    put_at(&mut head, ENTRY_VERSION, &entry.version.to_le_bytes());
    put_at(&mut head, ENTRY_KIND, &[entry.kind.number()]);
    let covered = head.get(ENTRY_KEY_BYTES..).unwrap_or_default();
    let checksum = crc32c(&[covered, entry.key, entry.stored]);
    put_at(&mut head, ENTRY_CHECKSUM, &checksum.to_le_bytes());
    (head, checksum)
}

/// The entry of file `file` at the start of `bytes`, if a valid one is there.
pub(super) fn decode(file: u64, bytes: &[u8]) -> Option<ValueEntry<'_>> {
    let lengths = decode_lengths(file, bytes)?;
    let end = ENTRY_HEAD_BYTES + lengths.key_bytes + lengths.stored_bytes;
    let covered = bytes.get(ENTRY_KEY_BYTES..end)?;
    if crc32c(&[covered]) != u32_at(bytes, ENTRY_CHECKSUM)? {
        return None;
    }
    let rest = bytes.get(ENTRY_HEAD_BYTES..end)?;
    let (key, stored) = rest.split_at_checked(lengths.key_bytes)?;
    Some(ValueEntry {
        key,
        version: u64_at(bytes, ENTRY_VERSION)?,
        kind: value_kind(*bytes.get(ENTRY_KIND)?)?,
        stored,
    })
}

/// What the head of an entry says, if it can be one: all that can be known without the checksum.
pub(super) fn decode_lengths(file: u64, head: &[u8]) -> Option<Lengths> {
    let lengths = Lengths {
        key_bytes: usize::try_from(u32_at(head, ENTRY_KEY_BYTES)?).ok()?,
        stored_bytes: usize::try_from(u32_at(head, ENTRY_STORED_BYTES)?).ok()?,
    };
    let [kind, reserved @ ..] = head.get(ENTRY_KIND..ENTRY_HEAD_BYTES)? else {
        return None;
    };
    let prefix_bytes = value_kind(*kind)?.prefix_bytes();
    let is_possible = u32_at(head, ENTRY_FILE)? == file_tag(file)
        && reserved == [0; 3]
        && (1..=INTERNAL_KEY_BYTES_MAX).contains(&lengths.key_bytes)
        && (prefix_bytes..=STORED_BYTES_MAX).contains(&lengths.stored_bytes);
    is_possible.then_some(lengths)
}

/// The checksum that the bytes of an entry say.
pub(super) fn stored_checksum(bytes: &[u8]) -> Option<u32> {
    u32_at(bytes, ENTRY_CHECKSUM)
}

fn value_kind(number: u8) -> Option<EntryKind> {
    match EntryKind::from_number(number)? {
        kind @ (EntryKind::Put | EntryKind::PutExpiring) => Some(kind),
        EntryKind::Delete | EntryKind::Pointer | EntryKind::PointerExpiring => None,
    }
}

/// The number of the file in an entry: 32 bits tell it from any other that can be around.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the low bits are enough to tell"
)]
const fn file_tag(file: u64) -> u32 {
    file as u32
}
