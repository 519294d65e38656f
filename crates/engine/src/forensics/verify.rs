//! Reading every byte of a store.

use std::{ops::RangeInclusive, path::Path};

use nokv_env::{Env, OpenMode};

use super::{
    damage::Damage, log_check::check_log, stopped::StoppedStore, table_check::check_table,
    value_check::check_operation,
};
use crate::{
    Engine, Error,
    batch::Operations,
    compaction::{NoLimit, RateLimiter, Throttle},
    db::table_path,
    manifest::{ManifestScan, State, manifest_path},
    mark::{MARK_NAME, Promise},
    vlog::{OpenFiles, ValueFiles, ValueRefs, has_sound_head, value_path},
    wal::{LogStart, SegmentScan, scan_segment, segment_path},
};

/// How a store is verified.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct VerifyOptions {
    /// The most that is read in a second, bytes; `None` for no limit.
    pub bytes_per_second: Option<u64>,
}

/// How far a verification is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VerifyProgress<'a> {
    /// The file that was read last.
    pub file: &'a str,
    /// Files read.
    pub file_count: u64,
    /// Files in all.
    pub file_total: u64,
    /// Damage found so far.
    pub damage_count: u64,
}

/// What a verification looked at, and what it found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Verification {
    /// Tables read in full.
    pub table_count: u64,
    /// Entries in them.
    pub entry_count: u64,
    /// Values of the value log that something points at.
    pub value_count: u64,
    /// Segments of the log.
    pub segment_count: u64,
    /// Records of the log.
    pub record_count: u64,
    /// Edits of the manifest.
    pub edit_count: u64,
    /// Bytes read.
    pub byte_count: u64,
    /// What is not as it was written; empty when all is well.
    pub damages: Vec<Damage>,
}

impl Engine {
    /// Reads every byte of the running store and tells all damage: manifest, `CURRENT`, mark, log
    /// and tables (blocks, order, index, filters, counts).
    ///
    /// **Concurrency**: readers and writers go on; what was there when it began is read. Files that
    /// compaction is done with stay until it ends.
    ///
    /// # Errors
    /// `Io`, `Closed`, `ReadOnly`; damage is no error.
    pub fn verify_with(
        &self,
        options: &VerifyOptions,
        progress: &mut dyn FnMut(VerifyProgress<'_>),
    ) -> Result<Verification, Error> {
        if self.is_read_only()? {
            let store = StoppedStore::held(self.env(), self.dir());
            return store.verify(options, progress);
        }
        let (capture, manifest, current) = self.capture_with_manifest()?;
        let mut verifier = Verifier::new(self.env(), self.dir(), options, progress)?;
        let state = &capture.state;
        verifier.begin(1 + capture.segments.len() as u64 + table_count(state));
        verifier.check_current(current, Some(manifest.number));
        verifier.check_manifest(&manifest);
        let promised = state.log_start.sequence..=capture.log_sequence;
        let scans = verifier.scan_log(&capture.segments, promised)?;
        verifier.check_log(state.log_start, &scans, capture.log_sequence);
        verifier.check_value_heads(state)?;
        verifier.check_tables(state)?;
        Ok(verifier.finish())
    }
}

pub(super) fn table_count(state: &State) -> u64 {
    state.levels.iter().map(|tables| tables.len() as u64).sum()
}

/// A verification under way.
pub(super) struct Verifier<'a> {
    env: &'a Env,
    dir: &'a Path,
    throttle: Box<dyn Throttle>,
    files: ValueFiles,
    progress: &'a mut dyn FnMut(VerifyProgress<'_>),
    file_count: u64,
    file_total: u64,
    pub(super) verification: Verification,
}

impl<'a> Verifier<'a> {
    pub(super) fn new(
        env: &'a Env,
        dir: &'a Path,
        options: &VerifyOptions,
        progress: &'a mut dyn FnMut(VerifyProgress<'_>),
    ) -> Result<Self, Error> {
        let clock = || std::sync::Arc::clone(&env.clock);
        let throttle: Box<dyn Throttle> = match options.bytes_per_second {
            Some(rate) => Box::new(RateLimiter::new(clock(), rate)),
            None => Box::new(NoLimit),
        };
        let files = ValueFiles::load(env, dir, &std::sync::Arc::new(OpenFiles::new(env)))?;
        Ok(Self {
            env,
            dir,
            throttle,
            files,
            progress,
            file_count: 0,
            file_total: 0,
            verification: Verification::default(),
        })
    }

    /// Says how many files there are.
    pub(super) fn begin(&mut self, file_total: u64) {
        self.file_total = file_total;
    }

    /// `CURRENT`, and that it names manifest `number` of a running store.
    pub(super) fn check_current(
        &mut self,
        current: Result<Option<u64>, Error>,
        number: Option<u64>,
    ) {
        let path = self.dir.join("CURRENT");
        match current {
            Ok(Some(found)) if number.is_none_or(|number| number == found) => {}
            Ok(Some(found)) => {
                let expected = format!("manifest {}", number.unwrap_or(0));
                self.tell(Damage::new(&path, 0, expected, format!("manifest {found}")));
            }
            Ok(None) => self.tell(Damage::new(&path, 0, "the name of a manifest", "no file")),
            Err(error) => self.tell(Damage::of(&error, &path)),
        }
    }

    /// The mark: a power cut may leave none, but nothing else than what was written.
    pub(super) fn check_mark(&mut self) -> Result<(), Error> {
        if !Promise::is_sound(self.env, self.dir)? {
            let path = self.dir.join(MARK_NAME);
            let expected = "what was promised, under a checksum";
            self.tell(Damage::new(&path, 0, expected, "other bytes"));
        }
        Ok(())
    }

    pub(super) fn check_manifest(&mut self, scan: &ManifestScan) {
        self.verification.edit_count += scan.edits.len() as u64;
        self.verification.byte_count += scan.bytes;
        if let Err(error) = &scan.state {
            self.tell(Damage::of(error, &scan.path));
            let last = scan.edits.last().map_or(0, |edit| edit.offset);
            for (offset, bytes) in scan.gaps.iter().filter(|(offset, _)| *offset < last) {
                let found = format!("{bytes} bytes that fail their checksum");
                self.tell(Damage::new(&scan.path, *offset, "an edit", found));
            }
        }
        let path = manifest_path(self.dir, scan.number);
        self.read_file(&path);
    }

    /// Takes the log apart; values of the records `promised` are looked at: those before are in
    /// tables, which may know another place, and those after may be torn.
    pub(super) fn scan_log(
        &mut self,
        segments: &[(u64, Option<u64>)],
        promised: RangeInclusive<u64>,
    ) -> Result<Vec<SegmentScan>, Error> {
        let mut scans = Vec::with_capacity(segments.len());
        for (number, limit) in segments {
            let files = self.env.files.as_ref();
            let path = segment_path(self.dir, *number);
            let (mut undecodable, mut lost_values) = (Vec::new(), Vec::new());
            let mut values = (0, 0);
            let range = (*number, *limit);
            let scan = scan_segment(files, self.dir, range, &mut |record, payload| {
                for operation in Operations::new(payload) {
                    match operation {
                        Err(_) => undecodable.push(record.offset),
                        Ok(operation) if promised.contains(&record.sequence) => {
                            match check_operation(&self.files, &operation) {
                                Ok(0) => {}
                                Ok(bytes) => values = (values.0 + 1, values.1 + bytes),
                                Err(lost) => lost_values.push(lost),
                            }
                        }
                        Ok(_) => {}
                    }
                }
            });
            self.verification.value_count += values.0;
            self.verification.byte_count += values.1;
            for lost in lost_values {
                self.tell(lost.damage);
            }
            match scan {
                Ok(scan) => {
                    self.throttle.take(scan.bytes);
                    self.verification.byte_count += scan.bytes;
                    self.verification.record_count += scan.records.len() as u64;
                    self.verification.segment_count += 1;
                    scans.push(scan);
                }
                Err(error) => self.tell(Damage::of(&error, &path)),
            }
            for offset in undecodable {
                let found = "one that does not decode";
                self.tell(Damage::new(&path, offset, "a batch", found));
            }
            self.read_file(&path);
        }
        Ok(scans)
    }

    pub(super) fn check_log(&mut self, start: LogStart, scans: &[SegmentScan], promised: u64) {
        for damage in check_log(start, scans, promised) {
            self.tell(damage);
        }
    }

    /// The heads of value files that tables point at; the head of another may have been torn.
    pub(super) fn check_value_heads(&mut self, state: &State) -> Result<(), Error> {
        let mut live = ValueRefs::default();
        for table in state.levels.iter().flat_map(|tables| tables.values()) {
            live.merge(&table.summary.value_refs);
        }
        for (number, _) in live.iter() {
            let path = value_path(self.dir, number);
            // That one is gone is told of each of its values.
            let exists = self.env.files.exists(&path);
            if exists.map_err(|error| Error::io("looking at", &path, error))?
                && !has_sound_head(self.env, self.dir, number)?
            {
                let expected = "the head of a value file";
                self.tell(Damage::new(&path, 0, expected, "other bytes"));
            }
        }
        Ok(())
    }

    pub(super) fn check_tables(&mut self, state: &State) -> Result<(), Error> {
        for table in state.levels.iter().flat_map(|tables| tables.values()) {
            let path = table_path(self.dir, table.number);
            match self.env.files.open(&path, OpenMode::Read) {
                Ok(file) => {
                    let listed = Some(&table.summary);
                    let tools = (self.throttle.as_ref(), &self.files);
                    let check = check_table(file.as_ref(), &path, listed, tools)?;
                    self.verification.table_count += 1;
                    self.verification.entry_count += check.entry_count;
                    self.verification.byte_count += table.summary.bytes;
                    self.verification.value_count += check.values.0;
                    self.verification.byte_count += check.values.1;
                    self.verification.damages.extend(check.damages);
                    let lost = check.lost_values.into_iter().map(|value| value.damage);
                    self.verification.damages.extend(lost);
                }
                Err(error) => {
                    let expected = "a table that the manifest names";
                    self.tell(Damage::new(&path, 0, expected, error.to_string()));
                }
            }
            self.read_file(&path);
        }
        Ok(())
    }

    /// All that was found, each place once.
    pub(super) fn finish(mut self) -> Verification {
        let mut seen = std::collections::BTreeSet::new();
        let damages = &mut self.verification.damages;
        damages.retain(|damage| seen.insert(damage.clone()));
        self.verification
    }

    pub(super) fn tell(&mut self, damage: Damage) {
        self.verification.damages.push(damage);
    }

    fn read_file(&mut self, path: &Path) {
        self.file_count += 1;
        let file = super::damage::name_of(path);
        (self.progress)(VerifyProgress {
            file: &file,
            file_count: self.file_count,
            file_total: self.file_total.max(self.file_count),
            damage_count: self.verification.damages.len() as u64,
        });
    }
}
