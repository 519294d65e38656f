//! Appending and syncing.
//!
//! Appending is done by one thread at a time, the holder of the commit lock, for a whole group of
//! batches with one system call. Syncing is done by one thread at a time for all that wait, beside
//! appending.
//!
//! Invariants:
//! - after a failed sync, or a failed append that could not be undone, the log is poisoned: the
//!   kernel may have dropped pages that it had accepted, so nothing more may be promised;
//! - `synced` never says more than what a successful sync covered.
//!
//! Why zeros are written ahead: a `fdatasync` after an append that changes the length of the file
//! commits the journal of the file system; after a write into space that was written before it does
//! not (measured on ext4: 175 µs against 105 µs). It is done only while somebody syncs: a buffered
//! load would only write twice.

use std::{
    io::{self, IoSlice},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use nokv_env::{Env, File, OpenMode};
use parking_lot::{Condvar, Mutex};

use super::{
    layout::{HEAD_BYTES, RECORD_HEAD_BYTES},
    record::{Position, RecordHead, encode_head},
    recover::{Recovered, Tail},
    segment::{SegmentHead, segment_path},
};
use crate::{
    Error, LogMode,
    mark::Mark,
    plant::{Plant, is_planted},
    refresh::refresh,
    vlog::Unsynced,
};

/// Zeros written ahead of a log that is synced: some 64 small commits share the cost of one
/// extension.
const AHEAD_BYTES: usize = 256 << 10;

/// One slice of the zeros.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Where the log that is still needed begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LogStart {
    /// Its first segment.
    pub(crate) segment: u64,
    /// The sequence of the first record in it.
    pub(crate) sequence: u64,
}

/// Counters of the log.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LogStats {
    pub(crate) group_count: u64,
    pub(crate) log_bytes: u64,
    pub(crate) sync_count: u64,
    pub(crate) segment_count: u64,
}

/// The log of a store that is open for writing.
pub(crate) struct Log {
    env: Env,
    dir: PathBuf,
    segment_bytes: u64,
    /// Zeros written ahead: less where segments are small.
    ahead_bytes: usize,
    mark: Arc<Mark>,
    /// What records point at: synced before they are.
    values: Option<Arc<Unsynced>>,
    shared: Mutex<Shared>,
    sync_done: Condvar,
    appended: AtomicU64,
    synced: AtomicU64,
    poisoned: AtomicBool,
    cause: Mutex<String>,
    groups: AtomicU64,
    log_bytes: AtomicU64,
    /// Of the segments that exist.
    disk_bytes: AtomicU64,
    syncs: AtomicU64,
}

/// What appending hands to syncing.
#[derive(Default)]
struct Shared {
    is_syncing: bool,
    /// Segments with records that no sync covered yet, oldest first; the last is the active one.
    unsynced: Vec<(u64, Arc<dyn File>)>,
    /// The segments that exist, oldest first.
    segments: Vec<Segment>,
    /// A segment was made whose name no sync covered yet.
    names_unsynced: bool,
}

/// A segment that exists.
struct Segment {
    number: u64,
    bytes: Arc<AtomicU64>,
}

/// The appending side: owned by the holder of the commit lock.
pub(crate) struct Appender {
    segment: u64,
    file: Option<Arc<dyn File>>,
    offset: u64,
    /// Up to here the file was written before, with zeros or with a record that was cut.
    written_bytes: u64,
    /// The same, for those who count.
    disk_bytes: Arc<AtomicU64>,
    next_sequence: u64,
    next_segment: u64,
    syncs_seen: u64,
    heads: Vec<RecordHead>,
    mode: LogMode,
}

impl Log {
    /// Goes on where recovery ended. Recovered records that no sync is known to cover are synced
    /// now, for readers will see them.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn open(
        env: &Env,
        dir: &Path,
        (segment_bytes, mode): (u64, LogMode),
        mark: Arc<Mark>,
        recovered: &Recovered,
    ) -> Result<(Self, Appender), Error> {
        let last = recovered.next_sequence.saturating_sub(1);
        let log = Self {
            env: env.clone(),
            dir: dir.to_owned(),
            segment_bytes,
            ahead_bytes: usize::try_from(segment_bytes / 4)
                .unwrap_or(AHEAD_BYTES)
                .min(AHEAD_BYTES),
            shared: Mutex::new(Shared::default()),
            sync_done: Condvar::new(),
            appended: AtomicU64::new(last),
            synced: AtomicU64::new(last),
            poisoned: AtomicBool::new(false),
            cause: Mutex::new(String::new()),
            groups: AtomicU64::new(0),
            log_bytes: AtomicU64::new(0),
            disk_bytes: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
            mark,
            values: None,
        };
        let mut appender = Appender {
            segment: 0,
            file: None,
            offset: 0,
            written_bytes: 0,
            disk_bytes: Arc::default(),
            next_sequence: recovered.next_sequence,
            next_segment: recovered.next_segment,
            syncs_seen: 0,
            heads: Vec::new(),
            mode,
        };
        for number in &recovered.segments {
            let path = segment_path(dir, *number);
            let metadata = env.files.metadata(&path);
            let bytes = metadata
                .map_err(|error| Error::io("looking at", &path, error))?
                .size;
            log.add_segment(&mut appender, *number, bytes);
        }
        if let Some(tail) = recovered.tail {
            log.continue_segment(tail, &mut appender, recovered)?;
        }
        Ok((log, appender))
    }

    /// The same; from now on a sync covers these values too.
    pub(crate) fn with_values(mut self, values: Arc<Unsynced>) -> Self {
        self.values = Some(values);
        self
    }

    fn continue_segment(
        &self,
        tail: Tail,
        appender: &mut Appender,
        recovered: &Recovered,
    ) -> Result<(), Error> {
        let last = recovered.next_sequence.saturating_sub(1);
        let path = segment_path(&self.dir, tail.segment);
        let failed = |error| Error::io("opening", &path, error);
        let file = self
            .env
            .files
            .open(&path, OpenMode::ReadWrite)
            .map_err(failed)?;
        if tail.must_cut {
            file.set_len(tail.offset).map_err(failed)?;
        }
        if self.mark.log_sequence() < last {
            for number in recovered
                .segments
                .iter()
                .filter(|number| **number != tail.segment)
            {
                let path = segment_path(&self.dir, *number);
                let earlier = self.env.files.open(&path, OpenMode::ReadWrite);
                earlier
                    .and_then(|earlier| {
                        refresh(earlier.as_ref(), 0, earlier.len()?)?;
                        earlier.sync_data()
                    })
                    .map_err(|error| Error::io("syncing", &path, error))?;
            }
        }
        if self.mark.log_sequence() < last {
            refresh(file.as_ref(), 0, tail.offset).map_err(failed)?;
        }
        if tail.must_cut || self.mark.log_sequence() < last {
            file.sync_data().map_err(failed)?;
            self.env.files.sync_dir(&self.dir).map_err(failed)?;
            self.mark.note_log(last);
        }
        appender.segment = tail.segment;
        appender.offset = tail.offset;
        self.set_written(appender, file.len().map_err(failed)?);
        self.shared
            .lock()
            .unsynced
            .push((tail.segment, Arc::clone(&file)));
        appender.file = Some(file);
        Ok(())
    }

    /// A segment that exists from now on; it is the one that is appended to.
    fn add_segment(&self, appender: &mut Appender, number: u64, bytes: u64) {
        appender.written_bytes = bytes;
        appender.disk_bytes = Arc::new(AtomicU64::new(bytes));
        self.disk_bytes.fetch_add(bytes, Ordering::Relaxed);
        let bytes = Arc::clone(&appender.disk_bytes);
        self.shared.lock().segments.push(Segment { number, bytes });
    }

    /// Up to here the active segment was written.
    fn set_written(&self, appender: &mut Appender, bytes: u64) {
        let before = appender.disk_bytes.swap(bytes, Ordering::Relaxed);
        appender.written_bytes = bytes;
        let change = bytes.wrapping_sub(before);
        // Wraps for a segment that became shorter, as the sum then does.
        self.disk_bytes.fetch_add(change, Ordering::Relaxed);
    }

    /// Appends the payloads as consecutive records and returns the sequence of the last.
    ///
    /// # Errors
    /// `Exhausted` when the device is full (nothing was appended); `OutcomeUnknown` (poisoned).
    pub(crate) fn append(&self, appender: &mut Appender, payloads: &[&[u8]]) -> Result<u64, Error> {
        self.check()?;
        if appender.mode == LogMode::External {
            return Ok(self.count_only(appender, payloads.len() as u64));
        }
        if appender.file.is_none() || appender.offset >= self.segment_bytes {
            self.rotate(appender)?;
        }
        let Some(file) = appender.file.clone() else {
            return Err(Error::Closed);
        };
        let synced = self.synced.load(Ordering::Acquire);
        appender.heads.clear();
        let mut sequence = appender.next_sequence;
        for payload in payloads {
            let position = Position {
                segment: appender.segment,
                sequence,
                synced,
            };
            appender.heads.push(encode_head(position, payload));
            sequence += 1;
        }
        let mut slices = Vec::with_capacity(payloads.len() * 2 + AHEAD_BYTES.div_ceil(ZEROS.len()));
        let mut length = 0;
        for (head, payload) in appender.heads.iter().zip(payloads) {
            slices.push(IoSlice::new(head));
            slices.push(IoSlice::new(payload));
            length += (RECORD_HEAD_BYTES + payload.len()) as u64;
        }
        let end = appender.offset + length;
        let syncs = self.syncs.load(Ordering::Relaxed);
        let is_ahead = end > appender.written_bytes && syncs > appender.syncs_seen;
        let ahead_bytes = if is_ahead { self.ahead_bytes } else { 0 };
        let mut zeros_left = ahead_bytes;
        while zeros_left > 0 {
            let zeros = ZEROS.get(..zeros_left).unwrap_or(&ZEROS);
            slices.push(IoSlice::new(zeros));
            zeros_left -= zeros.len();
        }
        if let Err(error) = file.write_slices_at(&slices, appender.offset) {
            return Err(self.undo_append(appender, file.as_ref(), error));
        }
        if is_ahead {
            appender.syncs_seen = syncs;
        }
        let written_bytes = appender.written_bytes.max(end + ahead_bytes as u64);
        self.set_written(appender, written_bytes);
        appender.offset = end;
        appender.next_sequence = sequence;
        self.groups.fetch_add(1, Ordering::Relaxed);
        self.log_bytes.fetch_add(length, Ordering::Relaxed);
        let last = sequence - 1;
        self.appended.store(last, Ordering::Release);
        Ok(last)
    }

    /// Without a log of its own a store only counts; what is counted is as durable as it will be.
    fn count_only(&self, appender: &mut Appender, count: u64) -> u64 {
        appender.next_sequence += count;
        let last = appender.next_sequence - 1;
        self.appended.store(last, Ordering::Release);
        self.synced.store(last, Ordering::Release);
        last
    }

    /// A full device is no reason to stop: what was written of the group is cut off again.
    fn undo_append(&self, appender: &mut Appender, file: &dyn File, error: io::Error) -> Error {
        let path = segment_path(&self.dir, appender.segment);
        if error.kind() == io::ErrorKind::StorageFull && file.set_len(appender.offset).is_ok() {
            self.set_written(appender, appender.offset);
            return Error::io("appending to", &path, error);
        }
        self.poison(&Error::io("appending to", &path, error))
    }

    /// Ends the active segment; the next append starts another.
    pub(crate) fn seal(&self, appender: &mut Appender) {
        // An empty segment serves as well as a new one.
        if appender.offset > HEAD_BYTES as u64 {
            appender.file = None;
        }
    }

    /// Where a memtable that is started now begins in the log.
    pub(crate) fn position(&self, appender: &Appender) -> LogStart {
        let segment = if appender.file.is_some() {
            appender.segment
        } else {
            appender.next_segment
        };
        LogStart {
            segment,
            sequence: appender.next_sequence,
        }
    }

    fn rotate(&self, appender: &mut Appender) -> Result<(), Error> {
        let number = appender.next_segment;
        let path = segment_path(&self.dir, number);
        let failed = |error| Error::io("making", &path, error);
        let file = self
            .env
            .files
            .open(&path, OpenMode::Create)
            .map_err(failed)?;
        let head = SegmentHead {
            number,
            first_sequence: appender.next_sequence,
        };
        file.write_at(&head.encode(), 0).map_err(failed)?;
        self.add_segment(appender, number, HEAD_BYTES as u64);
        let mut shared = self.shared.lock();
        shared.unsynced.push((number, Arc::clone(&file)));
        shared.names_unsynced = true;
        drop(shared);
        appender.segment = number;
        appender.next_segment = number + 1;
        appender.file = Some(file);
        appender.offset = HEAD_BYTES as u64;
        Ok(())
    }

    /// The segments, oldest first, and how much of each is in use; all of it for `None`.
    pub(crate) fn extents(&self, appender: &Appender) -> Vec<(u64, Option<u64>)> {
        let used = |number: u64| (number == appender.segment).then_some(appender.offset);
        let shared = self.shared.lock();
        shared
            .segments
            .iter()
            .map(|own| (own.number, used(own.number)))
            .collect()
    }

    /// The sequence of the last record that was appended.
    pub(crate) fn appended(&self) -> u64 {
        self.appended.load(Ordering::Acquire)
    }

    /// Returns when all records up to `upto` are durable.
    ///
    /// # Errors
    /// `OutcomeUnknown`.
    pub(crate) fn sync(&self, upto: u64) -> Result<(), Error> {
        loop {
            if self.synced.load(Ordering::Acquire) >= upto {
                return Ok(());
            }
            self.check()?;
            let mut shared = self.shared.lock();
            if shared.is_syncing {
                self.sync_done.wait(&mut shared);
                continue;
            }
            if self.synced.load(Ordering::Acquire) >= upto {
                return Ok(());
            }
            shared.is_syncing = true;
            // Taken under the lock that `rotate` takes before it appends to a new segment, so
            // `files` holds every file with a record up to `target`.
            let target = self.appended.load(Ordering::Acquire);
            let files = shared.unsynced.clone();
            let with_names = std::mem::take(&mut shared.names_unsynced);
            drop(shared);
            let result = self.sync_files(&files, with_names);
            let active = files.last().map_or(0, |(number, _)| *number);
            self.finish_sync(target, active, result)?;
        }
    }

    fn sync_files(&self, files: &[(u64, Arc<dyn File>)], with_names: bool) -> Result<(), Error> {
        let failed = |error| Error::io("syncing the log in", &self.dir, error);
        if let Some(values) = &self.values {
            values.sync()?;
        }
        for (_, file) in files {
            if !is_planted(Plant::SkipLogSync) {
                file.sync_data().map_err(failed)?;
            }
        }
        if with_names {
            self.env.files.sync_dir(&self.dir).map_err(failed)?;
        }
        Ok(())
    }

    fn finish_sync(
        &self,
        target: u64,
        active: u64,
        result: Result<(), Error>,
    ) -> Result<(), Error> {
        let outcome = match result {
            Ok(()) => {
                self.synced.fetch_max(target, Ordering::AcqRel);
                self.syncs.fetch_add(1, Ordering::Relaxed);
                self.mark.note_log(target);
                Ok(())
            }
            Err(error) => Err(self.poison(&error)),
        };
        let mut shared = self.shared.lock();
        shared.is_syncing = false;
        if outcome.is_ok() {
            // The last one may have grown meanwhile; those before it were full.
            shared.unsynced.retain(|(number, _)| *number >= active);
        }
        drop(shared);
        self.sync_done.notify_all();
        outcome
    }

    /// Hands the segments before `segment` to `remove`: all of them is in tables.
    pub(crate) fn release_before(&self, segment: u64, remove: &dyn Fn(&Path)) {
        let mut shared = self.shared.lock();
        let count = shared.segments.partition_point(|own| own.number < segment);
        let released: Vec<Segment> = shared.segments.drain(..count).collect();
        shared.unsynced.retain(|(number, _)| *number >= segment);
        drop(shared);
        for Segment { number, bytes } in released {
            let bytes = bytes.load(Ordering::Relaxed);
            self.disk_bytes.fetch_sub(bytes, Ordering::Relaxed);
            remove(&segment_path(&self.dir, number));
        }
    }

    /// Bytes of the segments that exist.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.disk_bytes.load(Ordering::Relaxed)
    }

    /// Makes every later append and sync fail.
    pub(crate) fn poison(&self, error: &Error) -> Error {
        let cause = error.to_string();
        tracing::error!(%cause, "the log failed; the store refuses writes until it is opened again");
        self.cause.lock().clone_from(&cause);
        self.poisoned.store(true, Ordering::Release);
        Error::OutcomeUnknown { cause }
    }

    /// # Errors
    /// `OutcomeUnknown` when the log is poisoned.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.poisoned.load(Ordering::Acquire) {
            return Err(Error::OutcomeUnknown {
                cause: self.cause.lock().clone(),
            });
        }
        Ok(())
    }

    pub(crate) fn stats(&self) -> LogStats {
        LogStats {
            group_count: self.groups.load(Ordering::Relaxed),
            log_bytes: self.log_bytes.load(Ordering::Relaxed),
            sync_count: self.syncs.load(Ordering::Relaxed),
            segment_count: self.shared.lock().segments.len() as u64,
        }
    }
}
