//! Running what the chooser of compactions says.
//!
//! Invariants: one compaction at a time; its outputs, with their names, are durable before the
//! manifest says them; inputs are removed after, and readers that hold them keep their open files.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
};

use nokv_env::OpenMode;

use super::{
    background::Progress,
    core::{Core, Counters, Writing},
    flush::table_options,
    tables::{Tables, open_table, table_path},
};
use crate::{
    Error,
    compaction::{
        Action, ChooseOptions, Effort, Job, LevelsView, NewTable, NoLimit, Plan, RateLimiter,
        TableInfo, Throttle, choose, run,
    },
    manifest::{Edit, TableMeta},
    table::{Table, TableSummary},
};

impl Core {
    /// Does the next compaction, if the tree asks for one.
    ///
    /// # Errors
    /// `Exhausted`, `Io`, `Corrupt`: nothing has changed. `Closed`.
    pub(super) fn compact_one(&self, writing: &Writing, effort: Effort) -> Result<Progress, Error> {
        let _guard = writing.compacting.lock();
        let view = self.view.load_full();
        let retention = self.retention_now();
        let pins: Vec<u64> = retention.pins.iter().map(|pin| pin.as_u64()).collect();
        let options = ChooseOptions {
            level0_tables: self.options.level0_tables,
            level_base_bytes: self.options.level_base_bytes,
            table_bytes: self.options.table_bytes,
            horizon: retention.horizon.as_u64(),
            pins: &pins,
            effort,
        };
        let Some(plan) = choose(&levels_view(&view.tables), &options) else {
            return Ok(Progress::Idle);
        };
        tracing::debug!(reason = ?plan.reason, level = plan.output_level, "compaction");
        let inputs = Inputs::of(&view.tables, &plan)?;
        match plan.action {
            Action::Move => self.install_move(writing, &plan, &inputs)?,
            Action::Merge => self.merge(writing, plan, &inputs)?,
        }
        Counters::add(&self.counters.compactions, 1);
        Ok(Progress::Done)
    }

    /// Compacts until there is nothing to do, in this thread.
    #[cfg(test)]
    pub(super) fn compact_all(&self) -> Result<(), Error> {
        let writing = self.writing()?;
        while self.compact_one(writing, Effort::Settle)? == Progress::Done {}
        Ok(())
    }

    fn install_move(&self, writing: &Writing, plan: &Plan, inputs: &Inputs) -> Result<(), Error> {
        let tables = inputs.runs.iter().flat_map(|tables| tables.iter());
        let added: Vec<_> = tables
            .map(|table| (plan.output_level, Arc::clone(table)))
            .collect();
        self.install_compaction(writing, &inputs.removed, added)
    }

    fn merge(&self, writing: &Writing, plan: Plan, inputs: &Inputs) -> Result<(), Error> {
        let mut made = Vec::new();
        let added = match self.write_outputs(writing, plan, inputs, &mut made) {
            Ok(added) => added,
            Err(error) => {
                for path in &made {
                    self.remove_quietly(path);
                }
                return Err(error);
            }
        };
        // After a failed commit the manifest may or may not name the outputs: they stay until the
        // next open knows.
        self.install_compaction(writing, &inputs.removed, added)?;
        for (_, number) in &inputs.removed {
            self.remove_quietly(&table_path(&self.dir, *number));
        }
        Ok(())
    }

    fn write_outputs(
        &self,
        writing: &Writing,
        plan: Plan,
        inputs: &Inputs,
        made: &mut Vec<PathBuf>,
    ) -> Result<Vec<(usize, Arc<Table>)>, Error> {
        let is_bottom = plan.output_level + 1 >= inputs.level_count;
        let compression = if is_bottom {
            self.options.compression_bottom
        } else {
            self.options.compression
        };
        let retention = self.retention_now();
        let rate = self.options.compaction_bytes_per_second;
        let limiter = rate.map(|rate| RateLimiter::new(Arc::clone(&self.env.clock), rate));
        let throttle: &dyn Throttle = match &limiter {
            Some(limiter) => limiter,
            None => &NoLimit,
        };
        let job = Job {
            inputs: inputs.runs.clone(),
            deeper: plan.deeper,
            retention: &retention,
            table_options: table_options(&self.options, compression),
            table_bytes: self.options.table_bytes,
            throttle,
            cancel: &writing.cancel,
        };
        let outputs = run(job, &mut || self.create_table(writing, made))?;
        self.count_compaction(inputs, &outputs);
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

    fn create_table(&self, writing: &Writing, made: &mut Vec<PathBuf>) -> Result<NewTable, Error> {
        let number = writing.manifest.lock().take_number();
        let path = table_path(&self.dir, number);
        let file = self
            .env
            .files
            .open(&path, OpenMode::CreateNew)
            .map_err(|error| Error::io("making", &path, error))?;
        made.push(path.clone());
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

    /// How much to do: all that pays when nothing was written since the last look.
    pub(super) fn effort(&self, writing: &Writing) -> Effort {
        let batches = self.counters.batches.load(Ordering::Relaxed);
        let before = writing.batches_seen.swap(batches, Ordering::Relaxed);
        if before == batches {
            Effort::Settle
        } else {
            Effort::Balance
        }
    }
}

fn levels_view(tables: &Tables) -> LevelsView<'_> {
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
    }
}

/// The tables that a plan names.
struct Inputs {
    /// Newest first.
    runs: Vec<Arc<[Arc<Table>]>>,
    /// Level and number.
    removed: Vec<(usize, u64)>,
    level_count: usize,
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
