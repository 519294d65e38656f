//! Every record of a segment that is whole, and the places between that are not: for verification
//! and salvage, which go on where recovery stops.

use std::path::{Path, PathBuf};

use nokv_env::FileSystem;

use super::{reader::SegmentBytes, record::record_bytes};
use crate::Error;

/// A record that is whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RecordPlace {
    pub(crate) offset: u64,
    /// With its head.
    pub(crate) bytes: u64,
    pub(crate) sequence: u64,
    /// What was known to be synced when it was written.
    pub(crate) synced: u64,
}

/// Bytes that are no record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Gap {
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
    /// Only zeros, up to the end: space written ahead.
    pub(crate) is_blank: bool,
}

/// A segment, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct SegmentScan {
    pub(crate) number: u64,
    pub(crate) path: PathBuf,
    /// Length of the file.
    pub(crate) bytes: u64,
    /// The sequence of its first record; `None` when the head is damaged.
    pub(crate) first_sequence: Option<u64>,
    pub(crate) records: Vec<RecordPlace>,
    pub(crate) gaps: Vec<Gap>,
}

/// Takes a segment apart, up to `limit`; `visit` gets each record with its payload.
///
/// # Errors
/// `Io`; `Unsupported`.
pub(crate) fn scan_segment(
    files: &dyn FileSystem,
    dir: &Path,
    (number, limit): (u64, Option<u64>),
    visit: &mut dyn FnMut(RecordPlace, &[u8]),
) -> Result<SegmentScan, Error> {
    let segment = SegmentBytes::load(files, dir, number)?;
    let end = limit.map_or(segment.len(), |limit| {
        usize::try_from(limit).map_or(segment.len(), |limit| limit.min(segment.len()))
    });
    let mut scan = SegmentScan {
        number,
        path: segment.path.clone(),
        bytes: segment.len() as u64,
        first_sequence: segment.head.map(|head| head.first_sequence),
        records: Vec::new(),
        gaps: Vec::new(),
    };
    let mut offset = SegmentBytes::first_offset();
    while offset < end {
        if let Some(record) = segment.record_at(offset) {
            let place = RecordPlace {
                offset: offset as u64,
                bytes: record_bytes(&record) as u64,
                sequence: record.sequence,
                synced: record.synced,
            };
            visit(place, record.payload);
            scan.records.push(place);
            offset += record_bytes(&record);
            continue;
        }
        let is_blank = segment.is_blank_from(offset);
        let next = if is_blank {
            end
        } else {
            // A damaged length hides where the next record begins: every byte is tried.
            let mut rest = offset + 1..end;
            rest.find(|start| segment.record_at(*start).is_some())
                .unwrap_or(end)
        };
        scan.gaps.push(Gap {
            offset: offset as u64,
            bytes: (next - offset) as u64,
            is_blank,
        });
        offset = next;
    }
    Ok(scan)
}
