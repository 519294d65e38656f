//! Does a compaction: merges the inputs, prunes, writes the outputs.
//!
//! Invariants:
//! - nothing is decided here: [`super::choose`] said what, [`super::prune`] and [`super::sweep`]
//!   say what stays;
//! - an output ends between two keys, never between versions of one;
//! - the parts of a compaction, each run by itself, write together what the whole would, but for
//!   where tables end: range tombstones are cut at the bounds of the parts;
//! - every output is synced when `run` returns; on an error none is of use, and the caller removes
//!   those it made.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use nokv_env::File;

use super::{
    keep::Keeps,
    limiter::Throttle,
    plan::KeySpan,
    prune::{Candidate, Pruner, Verdict},
    sweep::Sweep,
};
use crate::{
    Error, Keyspace, Retention,
    entry::EntryKind,
    merge::{EntryMerge, LevelCursor},
    table::{CursorOptions, Reading, Table, TableOptions, TableSummary, TableWriter},
    vlog::Relocate,
};

/// The throttle and the cancel flag are asked once for so many bytes.
const STEP_BYTES: u64 = 256 << 10;

/// A file for an output, empty.
pub(crate) struct NewTable {
    pub(crate) number: u64,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn File>,
}

/// A part of the keys: from a key on, up to another, exclusive; a missing bound is none.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Part {
    pub(crate) from: Option<Bytes>,
    pub(crate) to: Option<Bytes>,
}

/// A compaction, or a part of one, with all that it needs.
pub(crate) struct Job<'a> {
    /// Runs of tables, newest first; the tables of a run follow each other.
    pub(crate) inputs: Vec<Arc<[Arc<Table>]>>,
    /// Keys outside of it are left to others.
    pub(crate) part: Part,
    /// See [`super::Plan::deeper`].
    pub(crate) deeper: Vec<KeySpan>,
    pub(crate) retention: &'a Retention,
    /// See [`crate::Options::unpinned_from`].
    pub(crate) unpinned_from: Option<Keyspace>,
    pub(crate) table_options: TableOptions,
    /// An output ends when it has this size, at the next key.
    pub(crate) table_bytes: u64,
    /// What moves values of the value log; otherwise pointers stay as they are.
    pub(crate) values: &'a dyn Relocate,
    pub(crate) throttle: &'a dyn Throttle,
    /// Set to stop: `run` then ends with `Closed`.
    pub(crate) cancel: &'a AtomicBool,
}

/// Runs a compaction; the outputs, in order, with their numbers. None at all when nothing is left.
///
/// # Errors
/// `Corrupt` when an input is damaged; `Closed` when it was cancelled; I/O; what `create` says.
pub(crate) fn run(
    job: Job<'_>,
    create: &mut dyn FnMut() -> Result<NewTable, Error>,
) -> Result<Vec<(u64, TableSummary)>, Error> {
    let options = CursorOptions {
        lower: job.part.from.clone(),
        upper: job.part.to.clone(),
        reading: Reading::ahead(job.inputs.len()),
    };
    let cursor = |tables: &Arc<[Arc<Table>]>| LevelCursor::new(Arc::clone(tables), options.clone());
    let cursors = job.inputs.iter().map(cursor).collect();
    let mut merge = EntryMerge::new(cursors, job.part.from.as_deref())?;
    let end = job.part.to.clone();
    let tables = job.inputs.iter().flat_map(|tables| tables.iter());
    let sweep = Sweep::new(
        tables.map(|table| table.range_tombstones()),
        job.deeper.clone(),
    );
    let begin = job.part.from.as_ref().map(|from| from.to_vec());
    let mut compaction = Compaction {
        keeps: Keeps::new(job.retention, job.unpinned_from),
        job,
        sweep,
        pruner: Pruner::default(),
        key: None,
        deeper_place: 0,
        writer: None,
        begin,
        outputs: Vec::new(),
        step_bytes: 0,
        create,
    };
    while let Some(entry) = merge.current() {
        if end.as_ref().is_some_and(|end| entry.key() >= end.as_ref()) {
            break;
        }
        compaction.take(entry)?;
        merge.next()?;
    }
    compaction.finish()
}

/// A compaction in progress.
struct Compaction<'a, 'b> {
    job: Job<'a>,
    keeps: Keeps,
    sweep: Sweep,
    pruner: Pruner,
    /// The key that is being pruned.
    key: Option<Vec<u8>>,
    /// The first of the lower spans that ends at or after the key.
    deeper_place: usize,
    writer: Option<(u64, TableWriter)>,
    /// Where the part of the keys of the current output begins; `None` for at the very beginning.
    begin: Option<Vec<u8>>,
    outputs: Vec<(u64, TableSummary)>,
    step_bytes: u64,
    create: &'b mut dyn FnMut() -> Result<NewTable, Error>,
}

impl Compaction<'_, '_> {
    /// The next entry of the merge.
    fn take(&mut self, entry: &LevelCursor) -> Result<(), Error> {
        let (version, kind, value) = (entry.version(), entry.kind(), entry.value());
        self.count((entry.key().len() + value.len()) as u64)?;
        if self.key.as_deref() != Some(entry.key()) {
            self.begin_key(entry.key())?;
        }
        let covered_at = self.sweep.covered_at(entry.key(), version);
        let candidate = Candidate {
            version,
            kind,
            covered_at,
            expires_at: kind.expires_at(value),
        };
        match self.pruner.judge(self.keeps.of(entry.key()), candidate) {
            Verdict::Drop | Verdict::Wait => return Ok(()),
            Verdict::Keep => self.keep_value(entry.key(), version, kind, value)?,
            Verdict::KeepAsDeletion => self.write(entry.key(), version, EntryKind::Delete, &[])?,
        }
        if let Some(until) = covered_at {
            self.sweep.mark_used(version);
            let bytes = (entry.key().len() + value.len()) as u64;
            if let Some((_, writer)) = &mut self.writer {
                writer.note_garbage(version, until, bytes);
            }
        }
        Ok(())
    }

    fn begin_key(&mut self, key: &[u8]) -> Result<(), Error> {
        let is_full = |writer: &TableWriter| writer.byte_count() >= self.job.table_bytes;
        if self
            .writer
            .as_ref()
            .is_some_and(|(_, writer)| is_full(writer))
        {
            self.finish_output(Some(key))?;
        }
        let spans = &self.job.deeper;
        while spans
            .get(self.deeper_place)
            .is_some_and(|span| span.largest.as_slice() < key)
        {
            self.deeper_place += 1;
        }
        let span = spans.get(self.deeper_place);
        self.pruner
            .begin_key(span.is_some_and(|span| span.smallest.as_slice() <= key));
        let own = self.key.get_or_insert_default();
        own.clear();
        own.extend_from_slice(key);
        Ok(())
    }

    /// Writes an entry whose value may move.
    fn keep_value(
        &mut self,
        key: &[u8],
        version: u64,
        kind: EntryKind,
        stored: &[u8],
    ) -> Result<(), Error> {
        match self.job.values.relocate(key, version, kind, stored)? {
            None => self.write(key, version, kind, stored),
            Some(moved) => {
                self.count(moved.bytes)?;
                self.write(key, version, kind, &moved.stored)
            }
        }
    }

    /// Writes an entry after the deletions that it makes necessary.
    fn write(
        &mut self,
        key: &[u8],
        version: u64,
        kind: EntryKind,
        value: &[u8],
    ) -> Result<(), Error> {
        let mut pending = Vec::new();
        self.pruner.take_pending(|version| pending.push(version));
        let writer = self.writer()?;
        for deletion in pending {
            writer.add(key, deletion, EntryKind::Delete, &[])?;
        }
        writer.add(key, version, kind, value)
    }

    fn writer(&mut self) -> Result<&mut TableWriter, Error> {
        if self.writer.is_none() {
            let new = (self.create)()?;
            let writer = TableWriter::new(new.file, &new.path, self.job.table_options);
            self.writer = Some((new.number, writer));
        }
        Ok(&mut self.writer.as_mut().expect("made above").1)
    }

    /// Ends the output for keys below `to`, with the range tombstones of its part.
    fn finish_output(&mut self, to: Option<&[u8]>) -> Result<(), Error> {
        let from = self.begin.take();
        let tombstones = self.sweep.take(&self.keeps, from.as_deref(), to);
        self.begin = to.map(<[u8]>::to_vec);
        if tombstones.is_empty() && self.writer.is_none() {
            return Ok(());
        }
        let writer = self.writer()?;
        for tombstone in tombstones {
            writer.add_range_tombstone(&tombstone.start, &tombstone.end, tombstone.version);
        }
        if let Some((number, writer)) = self.writer.take() {
            self.outputs.push((number, writer.finish()?));
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<(u64, TableSummary)>, Error> {
        let end = self.job.part.to.clone();
        self.finish_output(end.as_deref())?;
        Ok(self.outputs)
    }

    /// Counts bytes read; asks now and then whether to go on, and how fast.
    fn count(&mut self, bytes: u64) -> Result<(), Error> {
        self.step_bytes += bytes;
        if self.step_bytes >= STEP_BYTES {
            if self.job.cancel.load(Ordering::Relaxed) {
                return Err(Error::Closed);
            }
            self.job.throttle.take(self.step_bytes);
            self.step_bytes = 0;
        }
        Ok(())
    }
}
