//! Running what the chooser of compactions says, several at once.
//!
//! Invariants: what runs is claimed before it begins and until its outcome is in the view, so no
//! other compaction meets it; outputs, with their names, are durable before the manifest says them,
//! all of them in one edit; inputs are removed after, and readers that hold them keep their open
//! files.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use nokv_env::OpenMode;
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::{
    background::Progress,
    core::{Core, Counters, Writing},
    parts::Parts,
    tables::{Tables, open_table, table_path},
};
use crate::{
    Error,
    compaction::{
        Action, ChooseOptions, Claim, Effort, KeySpan, LevelsView, NewTable, Plan, TableInfo,
        choose, choose_asked, choose_values,
    },
    manifest::{Edit, TableMeta},
    table::{Table, TableSummary},
    vlog::{Moves, ValueFiles},
};

/// A store that nobody wrote to for so long is idle: work that a load would have to wait for can be
/// done.
const QUIET_AFTER: Duration = Duration::from_secs(1);

/// A compaction of a range looks again after so long when others have taken what it wants.
const WAIT_FOR_OTHERS: Duration = Duration::from_millis(20);

/// The compactions that run.
#[derive(Default)]
pub(super) struct Compactions {
    claims: Mutex<Vec<Claim>>,
    /// Told when the last one has ended.
    none_runs: Condvar,
    /// How many wait for that: none begins meanwhile, or they would wait forever.
    holding: AtomicUsize,
    pub(super) parts: Parts,
    /// Batches written when a thread last looked, and since when there were as many.
    quiet: Mutex<(u64, Duration)>,
}

/// A compaction that was chosen: nobody else takes what it has taken until this is dropped.
///
/// It holds no view: one would keep memtables in memory that are flushed while it runs.
struct Claimed<'a> {
    compactions: &'a Compactions,
    plan: Plan,
    tables: Arc<Tables>,
    values: Arc<ValueFiles>,
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        let claim = Claim::of(&self.plan);
        let mut claims = self.compactions.claims.lock();
        claims.retain(|own| *own != claim);
        if claims.is_empty() {
            self.compactions.none_runs.notify_all();
        }
    }
}

impl Compactions {
    /// Waits until none runs; none begins while the guard is held.
    pub(super) fn hold(&self) -> MutexGuard<'_, Vec<Claim>> {
        let mut claims = self.claims.lock();
        self.holding.fetch_add(1, Ordering::AcqRel);
        while !claims.is_empty() {
            self.none_runs.wait(&mut claims);
        }
        self.holding.fetch_sub(1, Ordering::AcqRel);
        claims
    }

    /// How many run.
    pub(super) fn count(&self) -> u64 {
        self.claims.lock().len() as u64
    }
}

/// Who says what is done next.
type Chooser<'a> = &'a dyn Fn(&LevelsView<'_>, &ChooseOptions<'_>) -> Option<Plan>;

impl Core {
    /// Does a part of a running compaction, or the next one, if the tree or the value log asks for
    /// one.
    ///
    /// # Errors
    /// `Exhausted`, `Io`, `Corrupt`: nothing has changed. `Closed`.
    pub(super) fn compact_one(&self, writing: &Writing, effort: Effort) -> Result<Progress, Error> {
        if self.help(writing) == Progress::Done {
            return Ok(Progress::Done);
        }
        let wanted = self.values_to_collect(effort);
        let chooser = |levels: &LevelsView<'_>, options: &ChooseOptions<'_>| {
            let collect = || choose_values(levels, options, &wanted.files);
            let is_catching_up = levels.level(0).len() >= 2 * options.level0_tables;
            if wanted.is_urgent && !is_catching_up {
                collect().or_else(|| choose(levels, options))
            } else {
                choose(levels, options).or_else(collect)
            }
        };
        let progress = self.compact_next(writing, effort, &chooser, &wanted.files)?;
        if progress == Progress::Idle {
            self.release_values(writing);
        }
        Ok(progress)
    }

    /// Does the compaction that `chooser` says, and moves values out of the files `moving`.
    ///
    /// # Errors
    /// As [`Core::compact_one`].
    pub(super) fn compact_next(
        &self,
        writing: &Writing,
        effort: Effort,
        chooser: Chooser<'_>,
        moving: &BTreeSet<u64>,
    ) -> Result<Progress, Error> {
        let Some(claimed) = self.claim(writing, effort, chooser) else {
            return Ok(Progress::Idle);
        };
        let plan = &claimed.plan;
        tracing::debug!(reason = ?plan.reason, level = plan.output_level, "compaction");
        let inputs = Inputs::of(&claimed.tables, plan)?;
        match plan.action {
            Action::Move => self.install_move(writing, plan, &inputs)?,
            Action::Merge => {
                let moves = Moves::new(Arc::clone(&claimed.values), moving.clone());
                self.merge(writing, plan, &inputs, &Arc::new(moves))?;
                self.release_values(writing);
            }
        }
        Counters::add(&self.counters.compactions, 1);
        Ok(Progress::Done)
    }

    /// Compacts a range in full, in this thread; `progress` is told after each step.
    ///
    /// # Errors
    /// As [`Core::compact_one`].
    pub(super) fn compact_range(
        &self,
        span: &KeySpan,
        progress: &mut dyn FnMut(),
    ) -> Result<(), Error> {
        let writing = self.writing()?;
        self.flush()?;
        loop {
            let is_alone = Cell::new(false);
            let chooser = |view: &LevelsView<'_>, options: &ChooseOptions<'_>| {
                is_alone.set(view.claims.is_empty());
                choose_asked(view, options, span)
            };
            if self.compact_next(writing, Effort::Settle, &chooser, &BTreeSet::new())?
                == Progress::Done
            {
                writing.note_progress(None);
                progress();
            } else if is_alone.get() {
                return Ok(());
            } else {
                self.check_open()?;
                let mut signal = writing.signal.lock();
                writing.progress.wait_for(&mut signal, WAIT_FOR_OTHERS);
            }
        }
    }

    fn claim<'w>(
        &self,
        writing: &'w Writing,
        effort: Effort,
        chooser: Chooser<'_>,
    ) -> Option<Claimed<'w>> {
        let retention = self.retention_now();
        let pins: Vec<u64> = retention.pins.iter().map(|pin| pin.as_u64()).collect();
        let options = ChooseOptions {
            level0_tables: self.options.level0_tables,
            level_base_bytes: self.options.level_base_bytes,
            table_bytes: self.options.table_bytes,
            horizon: retention.horizon.as_u64(),
            pins: &pins,
            unpinned_from: self.options.unpinned_from,
            effort,
        };
        let compactions = &writing.compactions;
        let mut claims = compactions.claims.lock();
        if compactions.holding.load(Ordering::Acquire) > 0 {
            return None;
        }
        // Loaded under the lock: a claim goes after its outcome is in the view.
        let view = self.view.load();
        let plan = chooser(&levels_view(&view.tables, &claims), &options)?;
        claims.push(Claim::of(&plan));
        Some(Claimed {
            compactions,
            plan,
            tables: Arc::clone(&view.tables),
            values: Arc::clone(&view.values),
        })
    }

    /// Compacts until there is nothing to do, in this thread.
    #[cfg(test)]
    pub(super) fn compact_all(&self) -> Result<(), Error> {
        let writing = self.writing()?;
        while self.compact_one(writing, Effort::Settle)? == Progress::Done
            || self.settle_values(writing)? == Progress::Done
        {}
        Ok(())
    }

    fn install_move(&self, writing: &Writing, plan: &Plan, inputs: &Inputs) -> Result<(), Error> {
        let tables = inputs.runs.iter().flat_map(|tables| tables.iter());
        let added: Vec<_> = tables
            .map(|table| (plan.output_level, Arc::clone(table)))
            .collect();
        self.install_compaction(writing, &inputs.removed, added)
    }

    /// `moves` is held until the tables are in the view.
    fn merge(
        &self,
        writing: &Writing,
        plan: &Plan,
        inputs: &Inputs,
        moves: &Arc<Moves>,
    ) -> Result<(), Error> {
        let made = Mutex::new(Vec::new());
        let added = match self.write_outputs(writing, plan, inputs, (moves, &made)) {
            Ok(added) => added,
            Err(error) => {
                for path in &*made.lock() {
                    self.remove_quietly(path);
                }
                return Err(error);
            }
        };
        if let Err(error) = self.install_compaction(writing, &inputs.removed, added) {
            self.remove_unless_unknown(&error, &made.lock());
            if !matches!(error, Error::Exhausted { .. }) {
                moves.hold_for_ever();
            }
            return Err(error);
        }
        for (_, number) in &inputs.removed {
            self.remove_quietly(&table_path(&self.dir, *number));
        }
        Ok(())
    }

    fn write_outputs(
        &self,
        writing: &Writing,
        plan: &Plan,
        inputs: &Inputs,
        (moves, made): (&Arc<Moves>, &Mutex<Vec<PathBuf>>),
    ) -> Result<Vec<(usize, Arc<Table>)>, Error> {
        let outputs = self.run_in_parts(writing, plan, inputs, (moves, made))?;
        self.count_compaction(inputs, &outputs);
        self.count_moved(moves.finish(&writing.values)?);
        self.env
            .files
            .sync_dir(&self.dir)
            .map_err(|error| Error::io("syncing", &self.dir, error))?;
        let open = |(number, _)| {
            let table = open_table(&self.env, &self.dir, number, &self.cache)?;
            Ok((plan.output_level, table))
        };
        outputs.into_iter().map(open).collect()
    }

    /// Makes the file of an output; `made` remembers it, should the compaction fail.
    pub(super) fn create_table(
        &self,
        writing: &Writing,
        made: &dyn Fn(&Path),
    ) -> Result<NewTable, Error> {
        let number = writing.manifest.lock().take_number();
        let path = table_path(&self.dir, number);
        let file = self
            .env
            .files
            .open(&path, OpenMode::CreateNew)
            .map_err(|error| Error::io("making", &path, error))?;
        made(&path);
        Ok(NewTable { number, path, file })
    }

    fn count_compaction(&self, inputs: &Inputs, outputs: &[(u64, TableSummary)]) {
        let tables = inputs.runs.iter().flat_map(|tables| tables.iter());
        let read = tables.map(|table| table.summary().bytes).sum();
        let written = outputs.iter().map(|(_, summary)| summary.bytes).sum();
        Counters::add(&self.counters.compaction_read_bytes, read);
        Counters::add(&self.counters.compaction_write_bytes, written);
    }

    fn install_compaction(
        &self,
        writing: &Writing,
        removed: &[(usize, u64)],
        added: Vec<(usize, Arc<Table>)>,
    ) -> Result<(), Error> {
        let meta = |(level, table): &(usize, Arc<Table>)| {
            (
                *level,
                TableMeta {
                    number: table.id(),
                    summary: table.summary().clone(),
                },
            )
        };
        let edit = Edit {
            removed: removed.to_vec(),
            added: added.iter().map(meta).collect(),
            ..Edit::default()
        };
        let numbers: Vec<u64> = removed.iter().map(|(_, number)| *number).collect();
        let mut manifest = writing.manifest.lock();
        manifest.commit(&edit)?;
        self.install(|view| view.tables = Arc::new(view.tables.changed(&numbers, added)));
        Ok(())
    }

    /// How much to do: all that pays when nothing was written for a while.
    pub(super) fn effort(&self, writing: &Writing) -> Effort {
        let batches = self.counters.batches.load(Ordering::Relaxed);
        let now = self.env.clock.monotonic();
        let mut quiet = writing.compactions.quiet.lock();
        let (batches_seen, since) = *quiet;
        if batches_seen != batches {
            *quiet = (batches, now);
            return Effort::Balance;
        }
        if now.saturating_sub(since) < QUIET_AFTER {
            return Effort::Balance;
        }
        Effort::Settle
    }
}

fn levels_view<'a>(tables: &'a Tables, claims: &'a [Claim]) -> LevelsView<'a> {
    let info = |table: &'_ Arc<Table>| table.id();
    let levels = tables.levels.iter().map(|level| {
        let infos = level.iter();
        infos
            .map(|table| TableInfo {
                number: info(table),
                summary: table.summary(),
            })
            .collect()
    });
    LevelsView {
        levels: levels.collect(),
        claims,
    }
}

/// The tables that a plan names.
pub(super) struct Inputs {
    /// Newest first.
    pub(super) runs: Vec<Arc<[Arc<Table>]>>,
    /// Level and number.
    removed: Vec<(usize, u64)>,
    pub(super) level_count: usize,
}

impl Inputs {
    fn of(tables: &Tables, plan: &Plan) -> Result<Self, Error> {
        let mut by_number = BTreeMap::new();
        for table in tables.levels.iter().flatten() {
            by_number.insert(table.id(), table);
        }
        let mut inputs = Self {
            runs: Vec::new(),
            removed: Vec::new(),
            level_count: tables.levels.len(),
        };
        for run in &plan.inputs {
            let mut own = Vec::with_capacity(run.numbers.len());
            for number in &run.numbers {
                let Some(table) = by_number.get(number) else {
                    return Err(Error::Invalid(format!(
                        "a compaction of absent table {number}"
                    )));
                };
                own.push(Arc::clone(table));
                inputs.removed.push((run.level, *number));
            }
            inputs.runs.push(own.into());
        }
        Ok(inputs)
    }
}

#[cfg(test)]
mod tests {
    use nokv_env::Env;
    use nokv_types::Version;

    use super::*;
    use crate::{Batch, Durability, Engine, Keyspace, Options};

    #[test]
    fn a_running_compaction_keeps_no_memtable() {
        let options = Options {
            level0_tables: 100,
            ..Options::default()
        };
        let engine = Engine::open(Env::memory(1), Path::new("/store"), options).unwrap();
        let (core, keyspace) = (engine.core(), Keyspace::new(1));
        let put = |version| {
            let mut batch = Batch::new();
            batch.put(keyspace, b"a", b"value", Version::from_u64(version));
            engine.write(batch, Durability::Synced).unwrap();
        };
        for version in 1..4 {
            put(version);
            engine.flush().unwrap();
        }
        put(4);
        let memory = Arc::downgrade(&core.view.load().active);
        let span = KeySpan {
            smallest: Vec::new(),
            largest: vec![u8::MAX],
        };
        let chooser =
            |view: &LevelsView<'_>, options: &ChooseOptions<'_>| choose_asked(view, options, &span);
        let writing = core.writing().unwrap();
        let claimed = core.claim(writing, Effort::Settle, &chooser).unwrap();
        engine.flush().unwrap();
        assert!(memory.upgrade().is_none());
        drop(claimed);
    }
}
