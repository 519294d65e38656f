//! One record: encode its head, decode it from a segment.
//!
//! Invariant: the checksum covers everything of the record but itself: length, sequence, kind,
//! segment, payload. A record that was moved to another place of the log is not valid there.

use super::layout::{
    KIND_BATCH, RECORD_CHECKSUM, RECORD_HEAD_BYTES, RECORD_KIND, RECORD_LENGTH, RECORD_RESERVED,
    RECORD_SEGMENT, RECORD_SEQUENCE, RECORD_SYNCED,
};
use crate::{
    BATCH_BYTES_MAX,
    bytes_at::{put_at, u32_at, u64_at},
    checksum::crc32c,
    plant::{Plant, is_planted},
};

/// The head of a record, as written.
pub(super) type RecordHead = [u8; RECORD_HEAD_BYTES];

/// A decoded record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Record<'a> {
    pub(super) sequence: u64,
    /// Everything up to this sequence was synced when the record was written.
    pub(super) synced: u64,
    pub(super) payload: &'a [u8],
}

/// Where a record is and what the log knew when it was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Position {
    pub(super) segment: u64,
    pub(super) sequence: u64,
    pub(super) synced: u64,
}

/// The head for `payload`.
pub(super) fn encode_head(position: Position, payload: &[u8]) -> RecordHead {
    let mut head = [0; RECORD_HEAD_BYTES];
    let length = u32::try_from(payload.len()).expect("BATCH_BYTES_MAX fits in 32 bits");
    put_at(&mut head, RECORD_LENGTH, &length.to_le_bytes());
    put_at(&mut head, RECORD_SEQUENCE, &position.sequence.to_le_bytes());
    put_at(&mut head, RECORD_SYNCED, &position.synced.to_le_bytes());
    put_at(&mut head, RECORD_KIND, &[KIND_BATCH]);
    put_at(
        &mut head,
        RECORD_SEGMENT,
        &segment_tag(position.segment).to_le_bytes(),
    );
    let checksum = crc32c(&[head.get(RECORD_LENGTH..).unwrap_or_default(), payload]);
    put_at(&mut head, RECORD_CHECKSUM, &checksum.to_le_bytes());
    head
}

/// The record at the start of `bytes`, if a valid one of `segment` is there.
pub(super) fn decode(bytes: &[u8], segment: u64) -> Option<Record<'_>> {
    let payload = plausible_payload(bytes, segment)?;
    let covered = bytes.get(RECORD_LENGTH..RECORD_HEAD_BYTES)?;
    let is_whole = crc32c(&[covered, payload]) == u32_at(bytes, RECORD_CHECKSUM)?;
    if !is_whole && !is_planted(Plant::SkipLogChecksum) {
        return None;
    }
    Some(Record {
        sequence: u64_at(bytes, RECORD_SEQUENCE)?,
        synced: u64_at(bytes, RECORD_SYNCED)?,
        payload,
    })
}

/// The bytes that the record at the start of `bytes` occupies, judged by its length alone.
pub(super) fn record_bytes(record: &Record<'_>) -> usize {
    RECORD_HEAD_BYTES + record.payload.len()
}

/// What can be checked without the checksum: cheap enough to try at every byte of a damaged
/// segment.
fn plausible_payload(bytes: &[u8], segment: u64) -> Option<&[u8]> {
    let constant = bytes.get(RECORD_KIND..RECORD_SEGMENT)?;
    if constant != [KIND_BATCH, 0, 0, 0] || u32_at(bytes, RECORD_SEGMENT)? != segment_tag(segment) {
        return None;
    }
    let length = usize::try_from(u32_at(bytes, RECORD_LENGTH)?).ok()?;
    if length > BATCH_BYTES_MAX {
        return None;
    }
    bytes.get(RECORD_HEAD_BYTES..RECORD_HEAD_BYTES + length)
}

const _: () = assert!(RECORD_RESERVED + 3 == RECORD_SEGMENT);

/// The number of the segment in a record: 32 bits tell it from any other that can be around.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the low bits are enough to tell"
)]
const fn segment_tag(segment: u64) -> u32 {
    segment as u32
}
