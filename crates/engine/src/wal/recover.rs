//! Reading the log back, and what a damaged place means.
//!
//! The log is read in order of sequence. At the first place where the next record (sequence *e*) is
//! not valid, one of these rows decides. *Attested* is the highest sequence that the mark file, or
//! any valid record after the place, in this segment or a later one, says was synced. *Next* is the
//! next segment, if there is one.
//!
//! | row | here | next begins with | attested | decision | why |
//! |---|---|---|---|---|---|
//! | a | end or zeros | *e* | any | go on in next | the segment was full |
//! | b | anything | any but *e*, or none | at least *e* | `Corrupt` | it was promised and is not there |
//! | c | end or zeros | none | below *e* | end of log | all that was written was read |
//! | d | other bytes | none | below *e* | cut here | the torn tail of what was never promised |
//! | e | anything | another sequence | below *e* | cut here, drop later segments | unsynced writes reach a disk in any order; only a prefix may be kept |
//! | f | other bytes | *e* | below *e* | go on in next | an earlier recovery cut here and was cut off before it could |
//! | g | other bytes | *e* | at least *e* | go on in next | as f, and more was written since |
//! | h | segment head not valid | – | below *e* | drop it and later segments | it was just being made |
//! | i | segment head not valid | – | at least *e* | `Corrupt` | it was promised and is not there |
//! | j | a valid record of another sequence | as for other bytes | | | no writer skips a sequence, so the bytes are not what was written |
//! | k | a valid record whose payload does not decode | – | any | `Corrupt` | the checksum says that it was written so |
//! | l | a valid record that points at a value that is not whole | as for other bytes | | | the value is a part of the record: both are synced before it is promised, and reach a disk in any order |
//!
//! Rows f and g hold because a cut is made durable before the next segment is started; then bytes
//! after the cut can only be older than the next segment.

use std::path::Path;

use nokv_env::{Env, FileSystem};

use super::{
    reader::SegmentBytes,
    record::record_bytes,
    segment::{segment_number, segment_path},
    writer::LogStart,
};
use crate::{Error, batch::Malformed};

/// Why a valid record can't be taken.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Its payload is not a batch.
    Malformed,
    /// A value that it points at is not there, whole: what is wrong with it.
    Torn(Error),
    /// Whether it can be taken could not be found out.
    Failed(Error),
}

impl From<Malformed> for Refused {
    fn from(Malformed: Malformed) -> Self {
        Self::Malformed
    }
}

/// What recovery found: where the log goes on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Recovered {
    /// The sequence of the next record.
    pub(crate) next_sequence: u64,
    /// The segment to append to and the offset in it; `None` when there is none.
    pub(crate) tail: Option<Tail>,
    /// Records that were read.
    pub(crate) record_count: u64,
    /// Bytes that were cut off as torn, in all segments.
    pub(crate) cut_bytes: u64,
    /// The lowest number that a new segment may get.
    pub(crate) next_segment: u64,
    /// The segments that were read, in order.
    pub(crate) segments: Vec<u64>,
}

impl Recovered {
    /// There is no log: the next record would be the first at `start`.
    pub(crate) fn nothing(start: LogStart) -> Self {
        Self {
            next_sequence: start.sequence,
            tail: None,
            record_count: 0,
            cut_bytes: 0,
            next_segment: start.segment,
            segments: Vec::new(),
        }
    }
}

/// Where the log goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tail {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    /// The file is longer than `offset`, or has bytes of a cut record there.
    pub(crate) must_cut: bool,
}

/// What recovery may do to the files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Repair {
    /// Remove segments that are no longer needed or come after a cut.
    Allowed,
    /// Change nothing.
    Forbidden,
}

/// Reads every record from `start` on and gives it to `apply` with the place where its segment
/// begins and its sequence.
///
/// # Errors
/// `Corrupt` by the table; `Io`.
pub(crate) fn recover(
    env: &Env,
    dir: &Path,
    start: LogStart,
    mark_sequence: u64,
    repair: Repair,
    mut apply: impl FnMut(LogStart, u64, &[u8]) -> Result<(), Refused>,
) -> Result<Recovered, Error> {
    let files = env.files.as_ref();
    let all = list_segments(files, dir)?;
    let next_segment = all
        .last()
        .map_or(start.segment, |last| (last + 1).max(start.segment));
    let mut walk = Walk {
        expected: start.sequence,
        tail: None,
        record_count: 0,
        cut_bytes: 0,
        segments: Vec::new(),
    };
    let numbers: Vec<u64> = all
        .iter()
        .copied()
        .filter(|number| *number >= start.segment)
        .collect();
    let mut read_count = 0;
    for number in &numbers {
        let segment = SegmentBytes::load(files, dir, *number)?;
        // Rows e, h, i (and b when the segment before it lost its end).
        if segment
            .head
            .is_none_or(|head| head.first_sequence != walk.expected)
        {
            break;
        }
        walk.read(&segment, &mut apply)?;
        read_count += 1;
    }
    let dropped = numbers.get(read_count..).unwrap_or_default();
    judge(files, dir, &walk, dropped, mark_sequence)?;
    if repair == Repair::Allowed {
        let useless: Vec<u64> = all
            .iter()
            .copied()
            .filter(|number| *number < start.segment)
            .collect();
        remove_segments(files, dir, &useless)?;
        remove_segments(files, dir, dropped)?;
        if !dropped.is_empty() {
            // Before anything is appended: a segment that came back would hold records of other
            // sequences.
            files
                .sync_dir(dir)
                .map_err(|error| Error::io("syncing", dir, error))?;
        }
    }
    Ok(walk.into_recovered(next_segment))
}

/// Highest first, so that what a crash leaves of them is still after a hole.
fn remove_segments(files: &dyn FileSystem, dir: &Path, numbers: &[u64]) -> Result<(), Error> {
    for number in numbers.iter().rev() {
        let path = segment_path(dir, *number);
        files
            .remove(&path)
            .map_err(|error| Error::io("removing", &path, error))?;
    }
    Ok(())
}

/// How far reading came.
struct Walk {
    /// The sequence of the next record.
    expected: u64,
    /// The end of the last segment that was read.
    tail: Option<End>,
    record_count: u64,
    cut_bytes: u64,
    segments: Vec<u64>,
}

#[derive(Clone)]
struct End {
    segment: u64,
    offset: usize,
    must_cut: bool,
    /// What the rest of the segment says was synced.
    attested: u64,
    found: String,
    /// Row l: what is wrong with a value of the record that is there.
    torn_value: Option<Error>,
}

impl Walk {
    fn into_recovered(self, next_segment: u64) -> Recovered {
        Recovered {
            next_sequence: self.expected,
            tail: self.tail.map(|end| Tail {
                segment: end.segment,
                offset: end.offset as u64,
                must_cut: end.must_cut,
            }),
            record_count: self.record_count,
            cut_bytes: self.cut_bytes,
            next_segment,
            segments: self.segments,
        }
    }

    fn read(
        &mut self,
        segment: &SegmentBytes,
        apply: &mut impl FnMut(LogStart, u64, &[u8]) -> Result<(), Refused>,
    ) -> Result<(), Error> {
        let mut offset = SegmentBytes::first_offset();
        let start = LogStart {
            segment: segment.number,
            sequence: self.expected,
        };
        self.segments.push(segment.number);
        let mut torn_value = None;
        while let Some(record) = segment.record_at(offset) {
            if record.sequence != self.expected {
                break;
            }
            match apply(start, self.expected, record.payload) {
                Ok(()) => {}
                Err(Refused::Malformed) => {
                    let found = "one that does not decode";
                    let at = offset as u64;
                    return Err(Error::corrupt(&segment.path, at, "a batch", found));
                }
                Err(Refused::Torn(error)) => {
                    torn_value = Some(error);
                    break;
                }
                Err(Refused::Failed(error)) => return Err(error),
            }
            offset += record_bytes(&record);
            self.expected += 1;
            self.record_count += 1;
        }
        let blank = segment.is_blank_from(offset);
        let attested = if blank {
            0
        } else {
            segment.attested_from(offset)
        };
        if !blank {
            self.cut_bytes += (segment.len() - offset) as u64;
        }
        let found = segment.describe(offset);
        self.tail = Some(End {
            segment: segment.number,
            offset,
            must_cut: !blank,
            attested,
            found,
            torn_value,
        });
        Ok(())
    }
}

/// Rows b and i: whether something at or after the expected record was promised.
fn judge(
    files: &dyn FileSystem,
    dir: &Path,
    walk: &Walk,
    dropped: &[u64],
    mark_sequence: u64,
) -> Result<(), Error> {
    let mut attested = mark_sequence.max(walk.tail.as_ref().map_or(0, |end| end.attested));
    for number in dropped {
        let segment = SegmentBytes::load(files, dir, *number)?;
        attested = attested.max(segment.attested_from(SegmentBytes::first_offset()));
    }
    if attested < walk.expected {
        return Ok(());
    }
    let expected = format!(
        "record {} (records up to {attested} were synced)",
        walk.expected
    );
    if let Some(error) = walk.tail.as_ref().and_then(|end| end.torn_value.clone()) {
        return Err(error);
    }
    if let Some(end) = &walk.tail {
        let path = segment_path(dir, end.segment);
        return Err(Error::corrupt(
            &path,
            end.offset as u64,
            expected,
            end.found.clone(),
        ));
    }
    match dropped.first() {
        Some(number) => {
            let found = "a damaged head, or a later segment";
            Err(Error::corrupt(
                &segment_path(dir, *number),
                0,
                expected,
                found,
            ))
        }
        None => Err(Error::corrupt(dir, 0, expected, "no segment of the log")),
    }
}

fn list_segments(files: &dyn FileSystem, dir: &Path) -> Result<Vec<u64>, Error> {
    let entries = files
        .list(dir)
        .map_err(|error| Error::io("listing", dir, error))?;
    let mut numbers: Vec<u64> = entries
        .iter()
        .filter_map(|entry| segment_number(&entry.name))
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}
