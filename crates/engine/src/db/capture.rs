//! One moment of a running store, as the files that hold it.
//!
//! Invariant: the tables of `state`, and the log from its start up to `log_sequence`, are exactly
//! what a reader sees at `version`; all of them keep their names while the capture lives, and the
//! bytes that it counts do not change.

use std::sync::atomic::Ordering;

use super::{core::Core, engine::Engine, removals::FilesHeld};
use crate::{
    Error,
    manifest::{ManifestScan, State, current_number, scan_manifest},
};

/// The moment, and the files.
pub(crate) struct Capture<'a> {
    /// The tables, and where the log begins.
    pub(crate) state: State,
    /// The newest version that was complete.
    pub(crate) version: u64,
    /// Segments of the log that are needed, oldest first, and how much of each counts; all of it
    /// for `None`.
    pub(crate) segments: Vec<(u64, Option<u64>)>,
    /// The numbers of the value-log files that tables and log point at; nobody writes to them any
    /// more, and all values in them that count are durable.
    pub(crate) value_files: Vec<u64>,
    /// The sequence of the last record.
    pub(crate) log_sequence: u64,
    _held: FilesHeld<'a>,
}

/// See [`Engine::capture_with_manifest`].
pub(crate) type WithManifest<'a> = (Capture<'a>, ManifestScan, Result<Option<u64>, Error>);

impl Engine {
    /// The store as it is now. Writers wait for microseconds.
    ///
    /// # Errors
    /// `Closed`, `ReadOnly`.
    pub(crate) fn capture(&self) -> Result<Capture<'_>, Error> {
        self.core().capture()
    }

    /// Whether it was opened for reading only: then nothing of it changes.
    ///
    /// # Errors
    /// `Closed`.
    pub(crate) fn is_read_only(&self) -> Result<bool, Error> {
        self.core().check_open()?;
        Ok(self.core().writing.is_none())
    }

    /// [`Engine::capture`], the manifest a moment later, and which one `CURRENT` names then.
    ///
    /// # Errors
    /// `Closed`, `ReadOnly`, `Io`.
    pub(crate) fn capture_with_manifest(&self) -> Result<WithManifest<'_>, Error> {
        let core = self.core();
        let capture = core.capture()?;
        // Nothing is appended to it while it is read.
        let manifest = core.writing()?.manifest.lock();
        let scan = scan_manifest(&core.env, &core.dir, manifest.number(), 0)?;
        let current = current_number(&core.env, &core.dir);
        Ok((capture, scan, current))
    }
}

impl Core {
    fn capture(&self) -> Result<Capture<'_>, Error> {
        let writing = self.writing()?;
        // Before the state is read: what is in it then has its name.
        let held = self.hold_files();
        let appender = writing.commit.lock();
        let manifest = writing.manifest.lock();
        let state = manifest.state().clone();
        let mut segments = writing.log.extents(&appender);
        segments.retain(|(number, _)| *number >= state.log_start.segment);
        let (log_sequence, version) =
            (writing.log.appended(), self.visible.load(Ordering::Acquire));
        writing.values.seal();
        // No table comes or goes while the manifest is held.
        let live = self.view.load().value_refs();
        drop((appender, manifest));
        writing
            .values
            .unsynced()
            .sync()
            .map_err(|error| writing.log.poison(&error))?;
        Ok(Capture {
            value_files: live.iter().map(|(number, _)| number).collect(),
            version,
            log_sequence,
            state,
            segments,
            _held: held,
        })
    }
}
