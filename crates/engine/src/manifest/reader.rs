//! Reading a manifest back.
//!
//! | row | at the first place that holds no valid record | decision | why |
//! |---|---|---|---|
//! | a | end of the file, at or past what the mark promises | end | all was read |
//! | b | before what the mark promises | `Corrupt` | it was durable and is not there |
//! | c | a valid record of a later edit follows | `Corrupt` | edits are synced one by one, so a later one proves this one |
//! | d | other bytes | cut here | the torn tail of an edit that nobody acted on |
//! | e | a valid record that does not decode or apply | `Corrupt` | the checksum says that it was written so |
//! | f | the head, or the first edit | `Corrupt` | `CURRENT` names it only when both are durable |

use std::path::Path;

use super::{
    edit::Edit,
    layout::{
        EDIT_BYTES_MAX, FORMAT_VERSION, FORMAT_VERSION_MIN, HEAD_BYTES, HEAD_CHECKSUM, HEAD_FORMAT,
        HEAD_NUMBER, MAGIC, RECORD_CHECKSUM, RECORD_HEAD_BYTES, RECORD_LENGTH, RECORD_SEQUENCE,
    },
    state::State,
};
use crate::{
    Error, LogMode,
    bytes_at::{put_at, u32_at, u64_at},
    checksum::crc32c,
};

/// What was read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) state: State,
    /// Where the next record goes.
    pub(super) offset: u64,
    /// The number of the next edit.
    pub(super) sequence: u64,
    /// Bytes of the first edit: a measure of the state.
    pub(super) first_bytes: u64,
}

/// The head of manifest `number`.
pub(super) fn encode_head(number: u64) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    put_at(&mut head, 0, &MAGIC);
    put_at(&mut head, HEAD_FORMAT, &FORMAT_VERSION.to_le_bytes());
    put_at(&mut head, HEAD_NUMBER, &number.to_le_bytes());
    let checksum = crc32c(&[head.get(..HEAD_CHECKSUM).unwrap_or_default()]);
    put_at(&mut head, HEAD_CHECKSUM, &checksum.to_le_bytes());
    head
}

/// The record of an edit.
pub(super) fn encode_record(number: u64, sequence: u64, edit: &Edit) -> Result<Vec<u8>, Error> {
    let payload = edit.encode();
    let length = u32::try_from(payload.len())
        .ok()
        .filter(|_| payload.len() <= EDIT_BYTES_MAX);
    let Some(length) = length else {
        return Err(Error::Invalid(format!(
            "an edit of {} bytes",
            payload.len()
        )));
    };
    let mut record = vec![0; RECORD_HEAD_BYTES];
    put_at(&mut record, RECORD_LENGTH, &length.to_le_bytes());
    put_at(&mut record, RECORD_SEQUENCE, &sequence.to_le_bytes());
    record.extend_from_slice(&payload);
    let covered = record.get(RECORD_LENGTH..).unwrap_or_default();
    let checksum = crc32c(&[&number.to_le_bytes(), covered]);
    put_at(&mut record, RECORD_CHECKSUM, &checksum.to_le_bytes());
    Ok(record)
}

/// The payload and sequence of the record at the start of `bytes`, if it is valid.
pub(super) fn decode_record(number: u64, bytes: &[u8]) -> Option<(u64, &[u8])> {
    let length = usize::try_from(u32_at(bytes, RECORD_LENGTH)?).ok()?;
    if length > EDIT_BYTES_MAX {
        return None;
    }
    let covered = bytes.get(RECORD_LENGTH..RECORD_HEAD_BYTES + length)?;
    if crc32c(&[&number.to_le_bytes(), covered]) != u32_at(bytes, RECORD_CHECKSUM)? {
        return None;
    }
    Some((
        u64_at(bytes, RECORD_SEQUENCE)?,
        bytes.get(RECORD_HEAD_BYTES..RECORD_HEAD_BYTES + length)?,
    ))
}

/// Reads manifest `number` from its bytes, of which `promised` are known to have been durable.
pub(super) fn read(path: &Path, number: u64, bytes: &[u8], promised: u64) -> Result<Read, Error> {
    check_head(path, number, bytes)?;
    let mut state = State::new(LogMode::Own);
    let mut offset = HEAD_BYTES;
    let mut sequence = 0;
    let mut first_bytes = 0;
    while let Some((found, payload)) =
        decode_record(number, bytes.get(offset..).unwrap_or_default())
    {
        if found != sequence {
            break;
        }
        let at = offset as u64;
        let edit = Edit::decode(payload)
            .ok_or_else(|| Error::corrupt(path, at, "an edit", "one that does not decode"))?;
        state
            .apply(&edit)
            .map_err(|found| Error::corrupt(path, at, "an edit", found))?;
        offset += RECORD_HEAD_BYTES + payload.len();
        if sequence == 0 {
            first_bytes = offset as u64;
        }
        sequence += 1;
    }
    let is_promised = (offset as u64) < promised || sequence == 0;
    if is_promised || later_record_follows(number, bytes, offset, sequence) {
        let found = if offset >= bytes.len() {
            "the end of the file"
        } else {
            "bytes that fail their checksum"
        };
        return Err(Error::corrupt(
            path,
            offset as u64,
            format!("edit {sequence}"),
            found,
        ));
    }
    Ok(Read {
        state,
        offset: offset as u64,
        sequence,
        first_bytes,
    })
}

fn check_head(path: &Path, number: u64, bytes: &[u8]) -> Result<(), Error> {
    let valid = bytes.starts_with(&MAGIC)
        && u32_at(bytes, HEAD_CHECKSUM)
            == Some(crc32c(&[bytes.get(..HEAD_CHECKSUM).unwrap_or_default()]))
        && u64_at(bytes, HEAD_NUMBER) == Some(number);
    if !valid {
        return Err(Error::corrupt(
            path,
            0,
            "the head of a manifest",
            "other bytes",
        ));
    }
    match u32_at(bytes, HEAD_FORMAT) {
        Some(FORMAT_VERSION_MIN..=FORMAT_VERSION) => Ok(()),
        found => Err(Error::Unsupported {
            file: path.display().to_string(),
            found: found.unwrap_or(0),
            supported: FORMAT_VERSION,
        }),
    }
}

/// Row c.
fn later_record_follows(number: u64, bytes: &[u8], offset: usize, sequence: u64) -> bool {
    let plausible = |rest: &&[u8]| {
        // Cheap before the checksum: the high bytes of a sequence are zero for the first 2^32
        // edits.
        u64_at(rest, RECORD_SEQUENCE).is_some_and(|found| found > sequence && found >> 32 == 0)
    };
    (offset + 1..bytes.len())
        .filter_map(|start| bytes.get(start..))
        .filter(plausible)
        .any(|rest| decode_record(number, rest).is_some())
}
