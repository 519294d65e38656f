//! The log: which places that hold no record are damage.
//!
//! A place is damage when the record that should be there was promised, or when a later record is
//! there (records are written in order, so a later one proves this one, unless neither was
//! promised: then it is the torn tail of a crash). Recovery stops at the first; this goes on.

use super::damage::Damage;
use crate::wal::{LogStart, SegmentScan};

/// What is wrong with a log that begins at `start` and of which records up to `promised` were
/// durable.
pub(super) fn check_log(start: LogStart, scans: &[SegmentScan], promised: u64) -> Vec<Damage> {
    let synced = scans.iter().flat_map(|scan| scan.records.iter());
    let promised = synced
        .map(|record| record.synced)
        .max()
        .unwrap_or(0)
        .max(promised);
    let mut damages = Vec::new();
    let mut expected = start.sequence;
    for scan in scans.iter().filter(|scan| scan.number >= start.segment) {
        if expected <= promised {
            check_head(scan, expected, &mut damages);
        }
        let mut gaps = scan.gaps.iter().peekable();
        for record in &scan.records {
            let gap = gaps.next_if(|gap| gap.offset < record.offset);
            if record.sequence < expected {
                continue;
            }
            if record.sequence > expected && expected <= promised {
                let offset = gap.map_or(record.offset, |gap| gap.offset);
                damages.push(missing(scan, offset, expected, record.sequence - 1));
            }
            expected = record.sequence + 1;
        }
    }
    if expected <= promised {
        damages.push(missing_end(scans, expected, promised));
    }
    damages
}

fn check_head(scan: &SegmentScan, expected: u64, damages: &mut Vec<Damage>) {
    if scan.first_sequence.is_none() {
        let found = "bytes that fail their checksum";
        damages.push(Damage::new(&scan.path, 0, "the head of a segment", found));
        return;
    }
    if scan.first_sequence.is_some_and(|first| first > expected) {
        let found = format!("{}", scan.first_sequence.unwrap_or(0));
        let expected = format!("a segment that begins with record {expected}");
        damages.push(Damage::new(&scan.path, 24, expected, found));
    }
}

fn missing(scan: &SegmentScan, offset: u64, first: u64, last: u64) -> Damage {
    let expected = if first == last {
        format!("record {first}")
    } else {
        format!("records {first} to {last}")
    };
    let found = "bytes that fail their checksum";
    Damage::new(&scan.path, offset, expected, found)
}

/// The log ends before what was promised.
fn missing_end(scans: &[SegmentScan], first: u64, promised: u64) -> Damage {
    let expected = format!("records {first} to {promised}, which were synced");
    let Some(scan) = scans.last() else {
        let path = std::path::Path::new("(log)");
        return Damage::new(path, 0, expected, "no segment of the log");
    };
    let end = scan
        .records
        .last()
        .map_or(0, |record| record.offset + record.bytes);
    let gap = scan.gaps.iter().find(|gap| gap.offset >= end);
    let found = match gap {
        Some(gap) if !gap.is_blank => "bytes that fail their checksum",
        Some(_) => "only zeros",
        None => "the end of the file",
    };
    Damage::new(
        &scan.path,
        gap.map_or(scan.bytes, |gap| gap.offset),
        expected,
        found,
    )
}
