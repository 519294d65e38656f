//! The table of torn cases, row by row, and every bit of a log flipped.

use std::{path::Path, sync::Arc};

use nokv_env::{Env, FileSystem, MemoryFileSystem, OpenMode};

use super::{
    Appender, Log, LogStart, Recovered, Refused, Repair, recover,
    segment::{SegmentHead, segment_path},
};
use crate::{
    Error, LogMode,
    mark::{Mark, Promise},
    testing::still_env,
};

const DIR: &str = "/log";
const START: LogStart = LogStart {
    segment: 1,
    sequence: 1,
};

/// Bytes of the head of a segment and of a record with the payload of these tests.
const HEAD: u64 = 64;
const RECORD: u64 = 32 + 17;

struct Disk {
    files: MemoryFileSystem,
    env: Env,
}

/// A log in use.
struct Open {
    log: Log,
    appender: Appender,
}

impl Disk {
    fn new() -> Self {
        let files = MemoryFileSystem::new();
        files.create_dir_all(Path::new(DIR)).unwrap();
        Self {
            env: still_env(Arc::new(files.clone())),
            files,
        }
    }

    /// Reads the log back; the payloads and where it goes on.
    fn read(&self, mark: u64) -> Result<(Vec<Vec<u8>>, Recovered), Error> {
        let mut payloads = Vec::new();
        let dir = Path::new(DIR);
        let recovered = recover(
            &self.env,
            dir,
            START,
            mark,
            Repair::Allowed,
            |_, _, payload| {
                payloads.push(payload.to_vec());
                Ok(())
            },
        )?;
        Ok((payloads, recovered))
    }

    /// Recovers and goes on with segments of `segment_bytes`.
    fn open(&self, segment_bytes: u64, mark: u64) -> Open {
        let (_, recovered) = self.read(mark).unwrap();
        let dir = Path::new(DIR);
        let mark = Arc::new(Mark::open(&self.env, dir, Promise::default()).unwrap());
        let (log, appender) = Log::open(
            &self.env,
            dir,
            (segment_bytes, LogMode::Own),
            mark,
            &recovered,
        )
        .unwrap();
        Open { log, appender }
    }

    /// A log of `count` records, of which the first `synced` are synced, `per_segment` in a
    /// segment.
    fn with_log(count: u64, synced: u64, per_segment: u64) -> Self {
        let disk = Self::new();
        let mut open = disk.open(HEAD + per_segment * RECORD, 0);
        for number in 1..=count {
            open.append(number);
            if number == synced {
                open.log.sync(number).unwrap();
            }
        }
        disk
    }

    fn edit(&self, segment: u64, change: impl FnOnce(&mut Vec<u8>)) {
        let path = segment_path(Path::new(DIR), segment);
        let file = self.files.open(&path, OpenMode::ReadWrite).unwrap();
        let mut bytes = vec![0; file.len().unwrap() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        change(&mut bytes);
        file.set_len(0).unwrap();
        file.write_at(&bytes, 0).unwrap();
    }

    /// Cuts a segment after `count` records and `extra` bytes.
    fn cut(&self, segment: u64, count: u64, extra: u64) {
        self.edit(segment, |bytes| {
            bytes.truncate((HEAD + count * RECORD + extra) as usize)
        });
    }

    fn remove(&self, segment: u64) {
        self.files
            .remove(&segment_path(Path::new(DIR), segment))
            .unwrap();
    }

    /// The number of records that are read.
    fn count(&self, mark: u64) -> u64 {
        let (payloads, recovered) = self.read(mark).unwrap();
        for (number, payload) in (1..).zip(&payloads) {
            assert_eq!(payload, &payload_of(number));
        }
        assert_eq!(recovered.next_sequence, payloads.len() as u64 + 1);
        payloads.len() as u64
    }

    fn corrupt(&self, mark: u64) -> (String, u64) {
        match self.read(mark) {
            Err(Error::Corrupt { file, offset, .. }) => (file, offset),
            other => panic!("expected Corrupt, got {other:?}"),
        }
    }
}

impl Open {
    fn append(&mut self, number: u64) {
        let payload = payload_of(number);
        assert_eq!(
            self.log.append(&mut self.appender, &[&payload]).unwrap(),
            number
        );
    }
}

fn payload_of(number: u64) -> Vec<u8> {
    format!("payload {number:09}").into_bytes()
}

fn path(segment: u64) -> String {
    segment_path(Path::new(DIR), segment).display().to_string()
}

#[test]
fn a_whole_log_is_read_over_all_segments() {
    for per_segment in [1, 2, 3, 10] {
        assert_eq!(Disk::with_log(9, 0, per_segment).count(0), 9);
        assert_eq!(Disk::with_log(9, 9, per_segment).count(9), 9);
    }
}

#[test]
fn row_a_zeros_at_the_end_of_a_segment_are_no_end_of_the_log() {
    let disk = Disk::with_log(4, 0, 2);
    disk.edit(1, |bytes| bytes.extend([0; 500]));
    assert_eq!(disk.count(0), 4);
}

#[test]
fn row_b_a_missing_synced_record_is_told() {
    let disk = Disk::with_log(4, 4, 10);
    disk.cut(1, 3, 0);
    assert_eq!(disk.corrupt(4), (path(1), HEAD + 3 * RECORD));
    let disk = Disk::with_log(4, 4, 10);
    disk.cut(1, 3, 20);
    assert_eq!(disk.corrupt(4), (path(1), HEAD + 3 * RECORD));
}

#[test]
fn row_b_without_the_mark_a_later_record_proves_the_loss() {
    let disk = Disk::with_log(6, 3, 10);
    disk.edit(1, |bytes| bytes[(HEAD + RECORD + 40) as usize] ^= 1);
    assert_eq!(disk.corrupt(0), (path(1), HEAD + RECORD));
}

#[test]
fn row_b_a_missing_segment_is_told() {
    let disk = Disk::with_log(6, 4, 2);
    disk.remove(1);
    assert_eq!(disk.corrupt(0).1, 0);
    let disk = Disk::with_log(6, 4, 2);
    disk.remove(2);
    assert_eq!(disk.corrupt(0), (path(1), HEAD + 2 * RECORD));
    let disk = Disk::with_log(6, 6, 2);
    disk.remove(3);
    assert_eq!(disk.corrupt(6), (path(2), HEAD + 2 * RECORD));
}

#[test]
fn row_c_the_end_is_the_end() {
    let disk = Disk::with_log(4, 2, 10);
    disk.cut(1, 3, 0);
    assert_eq!(disk.count(2), 3);
    disk.edit(1, |bytes| bytes.extend([0; 700]));
    assert_eq!(disk.count(2), 3);
}

#[test]
fn row_d_a_torn_tail_is_cut_and_stays_cut() {
    for extra in 1..RECORD {
        let disk = Disk::with_log(4, 2, 10);
        disk.cut(1, 3, extra);
        assert_eq!(disk.count(2), 3, "{extra} bytes of the tail");
        let mut open = disk.open(1 << 20, 2);
        open.append(4);
        open.log.sync(4).unwrap();
        assert_eq!(disk.count(4), 4, "{extra} bytes of the tail");
    }
}

#[test]
fn row_e_what_comes_after_a_hole_is_dropped() {
    let disk = Disk::with_log(8, 1, 2);
    disk.cut(2, 1, 7);
    assert_eq!(disk.count(1), 3);
    assert!(!disk.files.exists(Path::new(&path(3))).unwrap());
    assert!(!disk.files.exists(Path::new(&path(4))).unwrap());
}

#[test]
fn rows_f_and_g_bytes_after_an_earlier_cut_do_not_matter() {
    for mark in [2, 4] {
        let disk = Disk::with_log(4, mark, 2);
        disk.edit(1, |bytes| bytes.extend([7; 90]));
        assert_eq!(disk.count(mark), 4);
    }
}

#[test]
fn rows_h_and_i_a_segment_without_a_head() {
    let disk = Disk::with_log(4, 2, 2);
    disk.edit(2, |bytes| bytes[3] ^= 1);
    assert_eq!(disk.count(2), 2);
    let disk = Disk::with_log(4, 4, 2);
    disk.edit(2, |bytes| bytes[3] ^= 1);
    assert_eq!(disk.corrupt(4).0, path(1));
    let disk = Disk::with_log(2, 2, 2);
    disk.edit(1, |bytes| bytes.truncate(10));
    assert_eq!(disk.corrupt(2), (path(1), 0));
}

#[test]
fn row_j_a_record_of_another_sequence_is_other_bytes() {
    let disk = Disk::with_log(3, 1, 10);
    disk.edit(1, |bytes| {
        bytes.drain((HEAD + RECORD) as usize..(HEAD + 2 * RECORD) as usize);
    });
    assert_eq!(disk.count(1), 1);
}

#[test]
fn row_l_a_record_without_its_value_ends_the_log_or_is_damage_when_promised() {
    for promised in [0, 2] {
        let disk = Disk::with_log(3, promised, 10);
        let dir = Path::new(DIR);
        let mut taken = 0;
        let torn = |_, sequence, _: &[u8]| {
            if sequence < 2 {
                taken += 1;
                return Ok(());
            }
            let path = Path::new("values");
            Err(Refused::Torn(Error::corrupt(path, 77, "a value", "zeros")))
        };
        let read = recover(&disk.env, dir, START, promised, Repair::Forbidden, torn);
        assert_eq!(taken, 1);
        if promised == 0 {
            let recovered = read.unwrap();
            assert_eq!((recovered.next_sequence, recovered.record_count), (2, 1));
            assert!(recovered.tail.unwrap().must_cut);
        } else {
            let Err(Error::Corrupt { file, offset, .. }) = read else {
                panic!("{read:?}");
            };
            assert_eq!((file.as_str(), offset), ("values", 77));
        }
    }
}

#[test]
fn row_k_a_record_that_does_not_decode_is_told() {
    let disk = Disk::with_log(2, 0, 10);
    let dir = Path::new(DIR);
    let refused = recover(&disk.env, dir, START, 0, Repair::Forbidden, |_, _, _| {
        Err(crate::batch::Malformed.into())
    });
    assert!(
        matches!(refused, Err(Error::Corrupt { offset: HEAD, .. })),
        "{refused:?}"
    );
}

#[test]
fn a_flipped_bit_is_told_and_never_returned() {
    let whole = Disk::with_log(3, 3, 2);
    for segment in [1, 2] {
        let length = whole
            .files
            .metadata(Path::new(&path(segment)))
            .unwrap()
            .size;
        for bit in 0..length * 8 {
            let disk = Disk {
                files: whole.files.crash(0),
                env: whole.env.clone(),
            };
            let disk = Disk {
                env: still_env(Arc::new(disk.files.clone())),
                ..disk
            };
            disk.edit(segment, |bytes| bytes[(bit / 8) as usize] ^= 1 << (bit % 8));
            // A newer format version is refused as such; zeros ahead of the log are not data.
            match disk.read(3) {
                Err(Error::Corrupt { file, .. }) => assert!(file.ends_with(".wal"), "{file}"),
                Ok((payloads, _)) => {
                    let used = HEAD + RECORD * if segment == 1 { 2 } else { 1 };
                    assert!(bit / 8 >= used, "bit {bit} of segment {segment}");
                    assert_eq!(payloads.len(), 3);
                }
                Err(other) => panic!("bit {bit}: {other}"),
            }
        }
    }
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let disk = Disk::with_log(1, 1, 10);
    let mut head = SegmentHead {
        number: 1,
        first_sequence: 1,
    }
    .encode();
    head[8] = 9;
    let checksum = crate::checksum::crc32c(&[&head[..60]]);
    head[60..].copy_from_slice(&checksum.to_le_bytes());
    disk.edit(1, |bytes| bytes[..64].copy_from_slice(&head));
    assert!(matches!(
        disk.read(1),
        Err(Error::Unsupported { found: 9, .. })
    ));
}

#[test]
fn a_full_device_stops_one_append_and_not_the_log() {
    let disk = Disk::new();
    let mut open = disk.open(1 << 20, 0);
    open.append(1);
    disk.files
        .set_space_limit(Some(disk.files.used_bytes() + 10));
    let payload = payload_of(2);
    let refused = open.log.append(&mut open.appender, &[&payload]);
    assert!(
        matches!(refused, Err(Error::Exhausted { .. })),
        "{refused:?}"
    );
    disk.files.set_space_limit(None);
    open.append(2);
    open.log.sync(2).unwrap();
    assert_eq!(disk.count(2), 2);
}
