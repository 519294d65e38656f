//! A large compaction in parts, done by all threads that have time.
//!
//! The thread that chose the compaction splits it by keys and puts the parts up; it does them one
//! by one itself, and threads that come by help. It returns when all are done.
//!
//! Invariants: whoever took a part says how it ended, so the one who waits always wakes; without
//! any other thread, one does all; after a failure no further part is begun.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::{Condvar, Mutex};

use super::{
    background::Progress,
    compact::Inputs,
    core::{Core, Writing},
    memory_writer::table_options,
};
use crate::{
    Error, Retention,
    compaction::{Job, KeySpan, NoLimit, Part, Plan, Throttle, run, split},
    table::{Table, TableOptions, TableSummary},
    vlog::{Moves, Relocation},
};

/// Outputs, in order, with their numbers.
type Outputs = Vec<(u64, TableSummary)>;

/// Compactions that have parts to do.
#[derive(Default)]
pub(super) struct Parts(Mutex<Vec<Arc<Parted>>>);

/// A compaction in parts.
struct Parted {
    runs: Vec<Arc<[Arc<Table>]>>,
    deeper: Vec<KeySpan>,
    moves: Arc<Moves>,
    retention: Retention,
    options: TableOptions,
    parts: Vec<Part>,
    state: Mutex<State>,
    /// Told when a part is done.
    done: Condvar,
}

#[derive(Default)]
struct State {
    /// The first part that nobody has taken.
    next: usize,
    /// By part.
    outcomes: Vec<Option<Result<Outputs, Error>>>,
    made: Vec<PathBuf>,
    has_failed: bool,
}

impl Parts {
    /// Takes a part of some compaction.
    fn take(&self) -> Option<(Arc<Parted>, usize)> {
        let open = self.0.lock();
        open.iter()
            .find_map(|parted| Some((Arc::clone(parted), parted.take()?)))
    }
}

impl Parted {
    fn take(&self) -> Option<usize> {
        let mut state = self.state.lock();
        let part = state.next;
        if part >= self.parts.len() || state.has_failed {
            return None;
        }
        state.next += 1;
        Some(part)
    }

    fn finish(&self, part: usize, outcome: Result<Outputs, Error>) {
        let mut state = self.state.lock();
        state.has_failed |= outcome.is_err();
        if let Some(slot) = state.outcomes.get_mut(part) {
            *slot = Some(outcome);
        }
        self.done.notify_all();
    }

    /// Waits for the parts that others have taken; all outputs in order.
    fn wait(&self) -> Result<Outputs, Error> {
        let mut state = self.state.lock();
        loop {
            let taken = state.next;
            if state.outcomes.iter().take(taken).all(Option::is_some) {
                break;
            }
            self.done.wait(&mut state);
        }
        let mut outputs = Vec::new();
        for outcome in state.outcomes.drain(..).flatten() {
            outputs.extend(outcome?);
        }
        Ok(outputs)
    }
}

impl Core {
    /// Runs a compaction, in parts if it is large.
    ///
    /// # Errors
    /// What the first part that failed says; `made` has every file that was begun.
    pub(super) fn run_in_parts(
        &self,
        writing: &Writing,
        plan: &Plan,
        inputs: &Inputs,
        (moves, made): (&Arc<Moves>, &Mutex<Vec<PathBuf>>),
    ) -> Result<Outputs, Error> {
        let runs = &inputs.runs;
        let is_bottom = plan.output_level + 1 >= inputs.level_count;
        let compression = if is_bottom {
            self.options.compression_bottom
        } else {
            self.options.compression
        };
        let parts = self.parts_of(runs)?;
        let state = State {
            outcomes: parts.iter().map(|_| None).collect(),
            ..State::default()
        };
        let parted = Arc::new(Parted {
            runs: runs.clone(),
            moves: Arc::clone(moves),
            deeper: plan.deeper.clone(),
            retention: self.retention_now(),
            options: table_options(&self.options, compression),
            parts,
            state: Mutex::new(state),
            done: Condvar::new(),
        });
        let others = &writing.compactions.parts;
        if parted.parts.len() > 1 {
            others.0.lock().push(Arc::clone(&parted));
            writing.wake_workers();
        }
        while let Some(part) = parted.take() {
            parted.finish(part, self.run_part(writing, &parted, part));
        }
        others.0.lock().retain(|own| !Arc::ptr_eq(own, &parted));
        let outputs = parted.wait();
        made.lock().append(&mut parted.state.lock().made);
        outputs
    }

    /// Does a part of a compaction that another thread has begun, if there is one.
    pub(super) fn help(&self, writing: &Writing) -> Progress {
        let Some((parted, part)) = writing.compactions.parts.take() else {
            return Progress::Idle;
        };
        parted.finish(part, self.run_part(writing, &parted, part));
        Progress::Done
    }

    fn parts_of(&self, runs: &[Arc<[Arc<Table>]>]) -> Result<Vec<Part>, Error> {
        let tables = || runs.iter().flat_map(|tables| tables.iter());
        let bytes: u64 = tables().map(|table| table.summary().bytes).sum();
        let threads = self.compaction_threads() as u64;
        // Each part ends with a table that is smaller than others, so a part is a table at least.
        let count = threads.min(bytes / self.options.table_bytes.max(1));
        if count <= 1 {
            return Ok(vec![Part::default()]);
        }
        let mut pieces = Vec::new();
        for table in tables() {
            let starts = table.piece_starts()?;
            let each = table.summary().bytes / starts.len().max(1) as u64;
            pieces.extend(starts.into_iter().map(|start| (start, each)));
        }
        Ok(split(pieces, usize::try_from(count).unwrap_or(1)))
    }

    fn run_part(&self, writing: &Writing, parted: &Parted, part: usize) -> Result<Outputs, Error> {
        let throttle: &dyn Throttle = match &self.limiter {
            Some(limiter) => limiter,
            None => &NoLimit,
        };
        let observer = self.relocating();
        let relocation = Relocation::new(&writing.values, &observer, &parted.moves);
        let job = Job {
            inputs: parted.runs.clone(),
            part: parted.parts.get(part).cloned().unwrap_or_default(),
            deeper: parted.deeper.clone(),
            retention: &parted.retention,
            unpinned_from: self.options.unpinned_from,
            table_options: parted.options,
            table_bytes: self.options.table_bytes,
            values: &relocation,
            throttle,
            cancel: &writing.cancel,
        };
        let remember = |path: &Path| parted.state.lock().made.push(path.to_owned());
        run(job, &mut || self.create_table(writing, &remember))
    }
}
