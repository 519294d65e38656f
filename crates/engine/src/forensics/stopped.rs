//! A store that nobody has open.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use nokv_env::{Env, FileLock};

use super::damage::Damage;
use super::verify::{Verification, Verifier, VerifyOptions, VerifyProgress, table_count};
use crate::{
    Error, LogMode,
    db::{LOCK_NAME, table_number},
    manifest::{
        ManifestScan, State, current_number, manifest_number, manifest_path, scan_manifest,
    },
    mark::Promise,
    vlog::{OpenFiles, ValueFiles},
    wal::{LogStart, segment_number},
};

/// A store that nobody has open, to be looked at without changing it. Nobody can open it while this
/// lives.
pub struct StoppedStore {
    pub(super) env: Env,
    pub(super) dir: PathBuf,
    _lock: Option<FileLock>,
}

/// The files of a store, by kind.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Files {
    pub(super) manifests: Vec<u64>,
    pub(super) segments: Vec<u64>,
    /// Number and size.
    pub(super) tables: Vec<(u64, u64)>,
}

impl StoppedStore {
    /// Takes the lock of the store in `dir`, and changes nothing.
    ///
    /// # Errors
    /// `Busy` when somebody has it open; `NotFound` when there is nothing of a store in `dir`;
    /// `Io`.
    pub fn open(env: Env, dir: &Path) -> Result<Self, Error> {
        let lock_path = dir.join(LOCK_NAME);
        let failed = |error| Error::io("locking", dir, error);
        // A store that was ever open has the file: without it nobody has it open, and it is not
        // made.
        let lock = if env.files.exists(&lock_path).map_err(failed)? {
            let lock = env.files.lock(&lock_path);
            Some(lock.map_err(|error| {
                if nokv_env::is_already_locked(&error) {
                    let dir = dir.display().to_string();
                    return Error::Busy { dir };
                }
                failed(error)
            })?)
        } else {
            None
        };
        let store = Self {
            env,
            dir: dir.to_owned(),
            _lock: lock,
        };
        let exists = store.env.files.exists(dir).map_err(failed)?;
        if !exists || store.files()? == Files::default() {
            let dir = dir.display().to_string();
            return Err(Error::NotFound { dir });
        }
        Ok(store)
    }

    /// A store that the caller has open for reading only.
    pub(super) fn held(env: &Env, dir: &Path) -> Self {
        Self {
            env: env.clone(),
            dir: dir.to_owned(),
            _lock: None,
        }
    }

    /// Reads every byte and tells all damage.
    ///
    /// # Errors
    /// `Io`; damage is no error.
    pub fn verify(
        &self,
        options: &VerifyOptions,
        progress: &mut dyn FnMut(VerifyProgress<'_>),
    ) -> Result<Verification, Error> {
        let files = self.files()?;
        let promise = Promise::load(&self.env, &self.dir)?;
        let mut verifier = Verifier::new(&self.env, &self.dir, options, progress)?;
        verifier.check_mark()?;
        let current = current_number(&self.env, &self.dir);
        if let Ok(Some(number)) = &current
            && !files.manifests.contains(number)
        {
            let path = manifest_path(&self.dir, *number);
            let expected = "the manifest that CURRENT names";
            verifier.tell(Damage::new(&path, 0, expected, "no file"));
        }
        verifier.check_current(current, None);
        let scan = self.best_manifest(&files, promise)?;
        let state = match &scan {
            Some(scan) => {
                verifier.begin(1 + files.segments.len() as u64 + table_count(&self.seen(scan)));
                verifier.check_manifest(scan);
                self.seen(scan)
            }
            None => self.guess(&files),
        };
        let segments: Vec<(u64, Option<u64>)> = files
            .segments
            .iter()
            .map(|number| (*number, None))
            .collect();
        let scans =
            verifier.scan_log(&segments, state.log_start.sequence..=promise.log_sequence)?;
        verifier.check_log(self.log_start(&state, &scans), &scans, promise.log_sequence);
        verifier.check_value_heads(&state)?;
        verifier.check_tables(&state)?;
        Ok(verifier.finish())
    }

    /// The value log.
    pub(super) fn value_files(&self) -> Result<ValueFiles, Error> {
        ValueFiles::load(&self.env, &self.dir, &Arc::new(OpenFiles::new(&self.env)))
    }

    /// The files that are there.
    pub(super) fn files(&self) -> Result<Files, Error> {
        let entries = self
            .env
            .files
            .list(&self.dir)
            .map_err(|error| Error::io("listing", &self.dir, error))?;
        let mut files = Files::default();
        for entry in entries {
            if let Some(number) = manifest_number(&entry.name) {
                files.manifests.push(number);
            } else if let Some(number) = segment_number(&entry.name) {
                files.segments.push(number);
            } else if let Some(number) = table_number(&entry.name) {
                files.tables.push((number, entry.size));
            }
        }
        files.manifests.sort_unstable();
        files.segments.sort_unstable();
        files.tables.sort_unstable();
        Ok(files)
    }

    /// The manifest that counts, or else the newest that is whole, or else the newest.
    pub(super) fn best_manifest(
        &self,
        files: &Files,
        promise: Promise,
    ) -> Result<Option<ManifestScan>, Error> {
        let promised = |number| {
            let is_meant = promise.manifest_number == number;
            if is_meant { promise.manifest_bytes } else { 0 }
        };
        let scan = |number| scan_manifest(&self.env, &self.dir, number, promised(number));
        let named = current_number(&self.env, &self.dir).ok().flatten();
        if let Some(number) = named.filter(|number| files.manifests.contains(number)) {
            return scan(number).map(Some);
        }
        let mut best: Option<ManifestScan> = None;
        for number in &files.manifests {
            let found = scan(*number)?;
            if best.is_none() || found.state.is_ok() {
                best = Some(found);
            }
        }
        Ok(best)
    }

    /// The state that a manifest tells of, as far as it can be read.
    pub(super) fn seen(&self, scan: &ManifestScan) -> State {
        if let Ok(state) = &scan.state {
            return state.clone();
        }
        let mut state = State::new(LogMode::Own);
        for edit in scan.edits.iter().filter_map(|place| place.edit.as_ref()) {
            // One that does not fit follows one that is lost.
            state.apply_leniently(edit);
        }
        state
    }

    /// A state without any manifest: nothing is known of tables.
    fn guess(&self, files: &Files) -> State {
        let mut state = State::new(LogMode::Own);
        state.log_start.segment = files.segments.first().copied().unwrap_or(1);
        state.log_start.sequence = 0;
        state
    }

    /// Where the log begins; by its first segment where no manifest says it.
    pub(super) fn log_start(&self, state: &State, scans: &[crate::wal::SegmentScan]) -> LogStart {
        if state.log_start.sequence > 0 {
            return state.log_start;
        }
        let first = scans.iter().find_map(|scan| {
            let by_record = scan.records.first().map(|record| record.sequence);
            scan.first_sequence.or(by_record)
        });
        LogStart {
            segment: state.log_start.segment,
            sequence: first.unwrap_or(1),
        }
    }
}

impl std::fmt::Debug for StoppedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StoppedStore({})", self.dir.display())
    }
}
