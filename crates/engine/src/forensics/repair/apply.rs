//! Doing what a plan says.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

use nokv_env::OpenMode;

use super::{
    super::stopped::{Files, StoppedStore},
    plan::{LogStep, RepairPlan, Steps},
};
use crate::{
    Error, LogMode, Retention,
    compaction::{Job, NewTable, NoLimit, Part, run},
    db::table_path,
    manifest::{Manifest, State, TableMeta, manifest_path},
    mark::{MARK_NAME, Mark, Promise},
    table::{Table, TableOptions},
    vlog::{StayPut, rewrite_head, value_path},
    wal::{LogStart, segment_path},
};

/// Where what was replaced goes.
const LOST_AND_FOUND: &str = "lost+found";

/// A table of a rebuilt store, bytes.
const TABLE_BYTES: u64 = 64 << 20;

/// More files of the same name than this are not kept apart.
const SAME_NAME_MAX: u32 = 10_000;

impl StoppedStore {
    /// Does what `plan` says; the store opens afterwards, and a verification finds nothing.
    ///
    /// **Guarantees**: what is replaced is moved to `lost+found` in the store's folder. After a
    /// crash the repair can be planned and done again.
    ///
    /// # Errors
    /// `Io`, `Exhausted`: what was moved is in `lost+found`; plan again.
    pub fn repair(&self, plan: &RepairPlan) -> Result<(), Error> {
        let files = self.files()?;
        let highest = files
            .manifests
            .iter()
            .chain(files.tables.iter().map(|(number, _)| number))
            .max();
        let mut next_number = highest.map_or(1, |highest| highest + 1);
        for number in &plan.value_heads {
            // A file that is missing is damaged, too, and has no head.
            let path = value_path(&self.dir, *number);
            let exists = self.env.files.exists(&path);
            if exists.map_err(|error| Error::io("looking at", &path, error))? {
                rewrite_head(&self.env, &self.dir, *number)?;
            }
        }
        match &plan.steps {
            Steps::Nothing => Ok(()),
            Steps::Mend {
                state,
                salvage,
                log,
            } => {
                next_number = next_number.max(state.next_number);
                self.mend((state, salvage), *log, (&files, next_number))
            }
            Steps::Rebuild {
                tables,
                log_start,
                last_version,
                applied_index,
            } => {
                let mut state = State::new(LogMode::Own);
                state.last_version = *last_version;
                state.applied_index = *applied_index;
                self.rebuild((tables, state), *log_start, (&files, next_number))
            }
        }
    }

    fn mend(
        &self,
        (state, salvage): (&State, &[(usize, u64)]),
        log: LogStep,
        (files, mut next_number): (&Files, u64),
    ) -> Result<(), Error> {
        let mut state = state.clone();
        for (level, number) in salvage {
            let Some(tables) = state.levels.get_mut(*level) else {
                continue;
            };
            match self.replace_table(*number)? {
                Some(table) => tables.insert(*number, table),
                None => tables.remove(number),
            };
        }
        let mut old_segments = Vec::new();
        let last_sequence = match log {
            LogStep::Keep { last_sequence } => last_sequence,
            LogStep::Fold => {
                let start = state.log_start;
                let (tables, last) = self.fold_log(start, &mut || take(&mut next_number))?;
                for (number, summary) in tables {
                    state.last_version = state.last_version.max(summary.version_max);
                    if let Some(level0) = state.levels.first_mut() {
                        level0.insert(number, TableMeta { number, summary });
                    }
                }
                state.log_start = self.new_log(files, last);
                old_segments.clone_from(&files.segments);
                last
            }
        };
        state.next_number = next_number;
        self.install(state, last_sequence)?;
        self.set_aside(files.manifests.iter().map(|n| manifest_path(&self.dir, *n)))?;
        self.set_aside(old_segments.iter().map(|n| segment_path(&self.dir, *n)))
    }

    fn rebuild(
        &self,
        (tables, mut state): (&[(u64, bool)], State),
        log_start: LogStart,
        (files, mut next_number): (&Files, u64),
    ) -> Result<(), Error> {
        let mut inputs = Vec::new();
        let mut temporary = Vec::new();
        for (number, must_salvage) in tables {
            if !*must_salvage {
                inputs.push(Arc::new(self.open_table(*number)?));
                continue;
            }
            let copy = take(&mut next_number);
            let path = table_path(&self.dir, copy);
            if self.salvage_table(*number, &path)?.is_some() {
                inputs.push(Arc::new(self.open_table(copy)?));
                temporary.push(path);
            }
        }
        let (folded, last) = self.fold_log(log_start, &mut || take(&mut next_number))?;
        for (number, _) in folded {
            inputs.push(Arc::new(self.open_table(number)?));
            temporary.push(table_path(&self.dir, number));
        }
        let merged = self.merge(inputs, &mut next_number)?;
        for table in merged {
            state.last_version = state.last_version.max(table.summary.version_max);
            if let Some(lowest) = state.levels.last_mut() {
                lowest.insert(table.number, table);
            }
        }
        state.log_start = self.new_log(files, last);
        state.next_number = next_number;
        self.install(state, last)?;
        for path in temporary {
            let removed = self.env.files.remove(&path);
            removed.map_err(|error| Error::io("removing", &path, error))?;
        }
        self.set_aside(files.manifests.iter().map(|n| manifest_path(&self.dir, *n)))?;
        self.set_aside(files.segments.iter().map(|n| segment_path(&self.dir, *n)))?;
        self.set_aside(files.tables.iter().map(|(n, _)| table_path(&self.dir, *n)))
    }

    /// All tables as one sorted run, every version of every key.
    fn merge(
        &self,
        inputs: Vec<Arc<Table>>,
        next_number: &mut u64,
    ) -> Result<Vec<TableMeta>, Error> {
        let job = Job {
            inputs: runs(inputs),
            part: Part::default(),
            deeper: Vec::new(),
            retention: &Retention::default(),
            unpinned_from: None,
            table_options: TableOptions::default(),
            table_bytes: TABLE_BYTES,
            values: &StayPut,
            throttle: &NoLimit,
            cancel: &AtomicBool::new(false),
        };
        let outputs = run(job, &mut || {
            let number = take(next_number);
            let path = table_path(&self.dir, number);
            let file = self.env.files.open(&path, OpenMode::Create);
            let file = file.map_err(|error| Error::io("making", &path, error))?;
            Ok(NewTable { number, path, file })
        })?;
        let meta = |(number, summary)| TableMeta { number, summary };
        Ok(outputs.into_iter().map(meta).collect())
    }

    /// Puts what can be read of a table in its place, and the table aside.
    fn replace_table(&self, number: u64) -> Result<Option<TableMeta>, Error> {
        let path = table_path(&self.dir, number);
        let next = path.with_extension("salvaged");
        let summary = self.salvage_table(number, &next)?;
        self.set_aside([path.clone()])?;
        let Some(summary) = summary else {
            return Ok(None);
        };
        let renamed = self.env.files.rename(&next, &path);
        renamed.map_err(|error| Error::io("renaming", &next, error))?;
        Ok(Some(TableMeta { number, summary }))
    }

    /// Where a log begins of which nothing is needed any more.
    fn new_log(&self, files: &Files, last_sequence: u64) -> LogStart {
        LogStart {
            segment: files.segments.last().map_or(1, |last| last + 1),
            sequence: last_sequence + 1,
        }
    }

    /// Writes manifest, `CURRENT` and mark.
    fn install(&self, state: State, last_sequence: u64) -> Result<(), Error> {
        let failed = |error| Error::io("syncing", &self.dir, error);
        self.env.files.sync_dir(&self.dir).map_err(failed)?;
        let mark_path = self.dir.join(MARK_NAME);
        let exists = self.env.files.exists(&mark_path).map_err(failed)?;
        if exists && !Promise::is_sound(&self.env, &self.dir)? {
            self.set_aside([mark_path])?;
        }
        let mark = Arc::new(Mark::open(&self.env, &self.dir, Promise::default())?);
        // First a mark that promises nothing: the old one may promise what is lost.
        mark.note_manifest(0, 0);
        Manifest::create_from(&self.env, &self.dir, &mark, state)?;
        mark.note_log(last_sequence);
        mark.sync();
        self.env.files.sync_dir(&self.dir).map_err(failed)
    }

    /// Moves files to `lost+found`, where none is replaced.
    fn set_aside(&self, paths: impl IntoIterator<Item = PathBuf>) -> Result<(), Error> {
        let folder = self.dir.join(LOST_AND_FOUND);
        let failed = |error| Error::io("moving files to", &folder, error);
        for path in paths {
            if !self.env.files.exists(&path).map_err(failed)? {
                continue;
            }
            self.env.files.create_dir_all(&folder).map_err(failed)?;
            let target = self.free_name(&folder, &path)?;
            self.env.files.rename(&path, &target).map_err(failed)?;
        }
        if self.env.files.exists(&folder).map_err(failed)? {
            self.env.files.sync_dir(&folder).map_err(failed)?;
        }
        self.env.files.sync_dir(&self.dir).map_err(failed)
    }

    fn free_name(&self, folder: &Path, path: &Path) -> Result<PathBuf, Error> {
        let name = super::super::damage::name_of(path);
        let names = std::iter::once(name.clone())
            .chain((1..SAME_NAME_MAX).map(|number| format!("{name}.{number}")));
        for candidate in names {
            let target = folder.join(candidate);
            let exists = self.env.files.exists(&target);
            if !exists.map_err(|error| Error::io("looking at", &target, error))? {
                return Ok(target);
            }
        }
        let message = format!("{} is full: empty it", folder.display());
        Err(Error::Invalid(message))
    }
}

fn take(next_number: &mut u64) -> u64 {
    *next_number += 1;
    *next_number - 1
}

/// As few runs of tables that follow one another as can be: a cursor each.
fn runs(mut tables: Vec<Arc<Table>>) -> Vec<Arc<[Arc<Table>]>> {
    tables.sort_by(|a, b| a.summary().smallest.cmp(&b.summary().smallest));
    let mut runs: Vec<Vec<Arc<Table>>> = Vec::new();
    for table in tables {
        let fits = |run: &&mut Vec<Arc<Table>>| {
            run.last()
                .is_some_and(|last| last.summary().largest < table.summary().smallest)
        };
        match runs.iter_mut().find(fits) {
            Some(run) => run.push(table),
            None => runs.push(vec![table]),
        }
    }
    runs.into_iter().map(Arc::from).collect()
}
