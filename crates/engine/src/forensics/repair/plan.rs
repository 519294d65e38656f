//! Deciding what a repair does. Nothing is written here.

use std::collections::{BTreeMap, BTreeSet};

use nokv_env::OpenMode;

use super::super::{
    damage::{Damage, name_of},
    log_check::check_log,
    stopped::{Files, StoppedStore},
    table_check::check_table,
    value_check::{LostValue, check_operation},
    verify::VerifyOptions,
};
use crate::{
    Error, LogMode,
    batch::Operations,
    compaction::NoLimit,
    db::table_path,
    manifest::{LEVELS_MAX, ManifestScan, State, TableMeta, current_number},
    mark::Promise,
    table::{BlockCursor, Content, TableSummary, Walk, walk},
    vlog::value_number,
    wal::{LogStart, RecordPlace, SegmentScan, scan_segment},
};

/// One thing that a repair does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RepairAction {
    /// The file that it is about.
    pub file: String,
    /// What is done, and why.
    pub what: String,
}

/// What is lost, whatever a repair does.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Loss {
    /// The file that had it.
    pub file: String,
    /// Where in it, bytes; 0 and the length of the file for all of it.
    pub offset: u64,
    /// How much of it, bytes.
    pub bytes: u64,
    /// What it was.
    pub what: String,
    /// False when it may be no loss: a file may be absent because a compaction replaced it, and
    /// the edit that said so can't be read.
    pub is_certain: bool,
    /// Entries, where that is known.
    pub entry_count: Option<u64>,
    /// Keys lie at or above it, the byte of the keyspace first; `None` for any.
    pub key_min: Option<Vec<u8>>,
    /// Keys lie at or below it, the byte of the keyspace first; `None` for any.
    pub key_max: Option<Vec<u8>>,
}

/// What a repair would do, and what is lost.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RepairPlan {
    /// Why it is needed; empty for a healthy store.
    pub damages: Vec<Damage>,
    /// In order.
    pub actions: Vec<RepairAction>,
    /// What can't be saved.
    pub losses: Vec<Loss>,
    pub(super) steps: Steps,
    /// Value files that get a new head.
    pub(super) value_heads: Vec<u64>,
}

/// The same for the machine.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) enum Steps {
    /// Row a.
    #[default]
    Nothing,
    /// Rows b to e.
    Mend {
        state: Box<State>,
        /// Level and number of tables that are replaced by what can be read of them.
        salvage: Vec<(usize, u64)>,
        log: LogStep,
    },
    /// Row f.
    Rebuild {
        /// Number, and whether it must be salvaged first.
        tables: Vec<(u64, bool)>,
        log_start: LogStart,
        last_version: u64,
        applied_index: Option<u64>,
    },
}

/// What becomes of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LogStep {
    /// It is whole up to this sequence.
    Keep { last_sequence: u64 },
    /// It becomes tables.
    Fold,
}

impl RepairPlan {
    /// Whether there is nothing to do: the store is healthy.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps == Steps::Nothing
    }
}

impl StoppedStore {
    /// Reads every byte and decides what a repair does; changes nothing.
    ///
    /// # Errors
    /// `Io`; `Unsupported` when a newer program wrote a file: that is no damage.
    pub fn plan_repair(&self) -> Result<RepairPlan, Error> {
        let verification = self.verify(&VerifyOptions::default(), &mut |_| {})?;
        let mut plan = RepairPlan {
            damages: verification.damages,
            ..RepairPlan::default()
        };
        if plan.damages.is_empty() {
            return Ok(plan);
        }
        plan.find_value_heads();
        let files = self.files()?;
        let promise = Promise::load(&self.env, &self.dir)?;
        let manifest = self.best_manifest(&files, promise)?;
        let state = manifest.as_ref().map(|scan| self.seen(scan));
        let state = state.unwrap_or_else(|| State::new(LogMode::Own));
        let values = self.value_files()?;
        let mut lost = Vec::new();
        let promised = state.log_start.sequence..=promise.log_sequence;
        let scans = self.scan_segments(&files, &mut |place, payload| {
            if promised.contains(&place.sequence) {
                let operations = Operations::new(payload).flatten();
                lost.extend(operations.filter_map(|op| check_operation(&values, &op).err()));
            }
        })?;
        plan.lose_values(&lost);
        let has_log_lost = !lost.is_empty();
        let log_start = match &manifest {
            Some(scan) if scan.state.is_ok() => state.log_start,
            // No edit that could be read may be the last: the whole log is read.
            _ => self.first_record(&files, &scans),
        };
        let log_damages = check_log(log_start, &scans, promise.log_sequence);
        plan.tell_log_losses(&log_damages);
        match manifest.filter(|scan| scan.state.is_ok()) {
            Some(scan) => {
                let log = (log_start, scans.as_slice(), has_log_lost);
                self.plan_mend(&mut plan, (scan, state), log)?;
            }
            None => self.plan_rebuild(&mut plan, (&files, &state), log_start)?,
        }
        Ok(plan)
    }

    fn scan_segments(
        &self,
        files: &Files,
        visit: &mut dyn FnMut(RecordPlace, &[u8]),
    ) -> Result<Vec<SegmentScan>, Error> {
        let file_system = self.env.files.as_ref();
        let scan = |number: &u64| scan_segment(file_system, &self.dir, (*number, None), visit);
        files.segments.iter().map(scan).collect()
    }

    fn first_record(&self, files: &Files, scans: &[SegmentScan]) -> LogStart {
        let mut unknown = State::new(LogMode::Own);
        unknown.log_start.segment = files.segments.first().copied().unwrap_or(1);
        unknown.log_start.sequence = 0;
        self.log_start(&unknown, scans)
    }

    fn plan_mend(
        &self,
        plan: &mut RepairPlan,
        (scan, mut state): (ManifestScan, State),
        (log_start, scans, has_log_lost): (LogStart, &[SegmentScan], bool),
    ) -> Result<(), Error> {
        let current = current_number(&self.env, &self.dir);
        if !matches!(current, Ok(Some(number)) if number == scan.number) {
            let what = format!("written anew: {} is whole and counts", name_of(&scan.path));
            plan.act("CURRENT", what);
        }
        let mut salvage = Vec::new();
        for level in 0..LEVELS_MAX {
            let tables: Vec<TableMeta> = level_of(&state, level).values().cloned().collect();
            for table in tables {
                match self.judge_table(plan, table.number, Some(&table.summary))? {
                    Judged::Whole(summary) => {
                        if let Some(tables) = state.levels.get_mut(level) {
                            let number = table.number;
                            tables.insert(number, TableMeta { number, summary });
                        }
                    }
                    Judged::Partly => salvage.push((level, table.number)),
                    Judged::Gone => {
                        if let Some(tables) = state.levels.get_mut(level) {
                            tables.remove(&table.number);
                        }
                    }
                }
            }
        }
        let is_log_damaged = has_log_lost
            || plan
                .damages
                .iter()
                .any(|damage| damage.file.ends_with(".wal") || damage.file == "(log)");
        let log = if is_log_damaged {
            plan.act(
                "(log)",
                "its readable records become tables; it begins anew".to_owned(),
            );
            LogStep::Fold
        } else {
            LogStep::Keep {
                last_sequence: last_in_order(log_start, scans),
            }
        };
        plan.act(
            "(manifest)",
            "a new one is written; the mark is made to fit".to_owned(),
        );
        plan.steps = Steps::Mend {
            state: Box::new(state),
            salvage,
            log,
        };
        Ok(())
    }

    fn plan_rebuild(
        &self,
        plan: &mut RepairPlan,
        (files, state): (&Files, &State),
        log_start: LogStart,
    ) -> Result<(), Error> {
        let removed = self.removed_tables(files)?;
        let listed: BTreeMap<u64, &TableSummary> = state
            .levels
            .iter()
            .flat_map(|tables| tables.values())
            .map(|table| (table.number, &table.summary))
            .collect();
        let mut tables = Vec::new();
        for (number, _) in &files.tables {
            if removed.contains(number) {
                let what = "set aside: an edit says that a compaction replaced it";
                plan.act(&name_of(&table_path(&self.dir, *number)), what.to_owned());
                continue;
            }
            match self.judge_table(plan, *number, None)? {
                Judged::Whole(_) => tables.push((*number, false)),
                Judged::Partly => tables.push((*number, true)),
                Judged::Gone => {}
            }
        }
        for (number, summary) in listed {
            if !files.tables.iter().any(|(other, _)| *other == number) {
                let name = name_of(&table_path(&self.dir, number));
                let what = "no file, unless a compaction replaced it in an edit that is lost";
                plan.lose_table(&name, summary, what);
                if let Some(loss) = plan.losses.last_mut() {
                    loss.is_certain = false;
                }
            }
        }
        let what = "can't be trusted: all tables and the log are merged, by version, into new \
                    tables";
        plan.act("(manifest)", what.to_owned());
        plan.steps = Steps::Rebuild {
            tables,
            log_start,
            last_version: state.last_version,
            applied_index: state.applied_index,
        };
        Ok(())
    }

    /// Tables that some edit, of any manifest, removed and none added again.
    fn removed_tables(&self, files: &Files) -> Result<BTreeSet<u64>, Error> {
        let mut removed = BTreeSet::new();
        for number in &files.manifests {
            let scan = crate::manifest::scan_manifest(&self.env, &self.dir, *number, 0)?;
            for edit in scan.edits.iter().filter_map(|place| place.edit.as_ref()) {
                removed.extend(edit.removed.iter().map(|(_, number)| *number));
                for (_, table) in &edit.added {
                    removed.remove(&table.number);
                }
            }
        }
        Ok(removed)
    }

    /// Whether a table is whole, and what of it is lost if it is not.
    fn judge_table(
        &self,
        plan: &mut RepairPlan,
        number: u64,
        listed: Option<&TableSummary>,
    ) -> Result<Judged, Error> {
        let path = table_path(&self.dir, number);
        let name = name_of(&path);
        let Ok(file) = self.env.files.open(&path, OpenMode::Read) else {
            let empty = TableSummary::default();
            plan.lose_table(&name, listed.unwrap_or(&empty), "a table without a file");
            plan.act(&name, "left out: there is no file".to_owned());
            return Ok(Judged::Gone);
        };
        let values = self.value_files()?;
        let check = check_table(file.as_ref(), &path, None, (&NoLimit, &values))?;
        plan.lose_values(&check.lost_values);
        if check.damages.is_empty()
            && check.lost_values.is_empty()
            && let Some(summary) = check.walk.summary
        {
            if listed.is_some_and(|listed| *listed != summary) {
                plan.act(
                    &name,
                    "kept: it is whole, though not as the manifest says".to_owned(),
                );
            }
            return Ok(Judged::Whole(summary));
        }
        let entry_count = check.entry_count - check.lost_values.len() as u64;
        let edges = self.edges(file.as_ref(), number)?;
        plan.lose_blocks(&name, &check.walk, &edges);
        let end = edges.last_key_value().map(|(_, (_, last))| last.as_slice());
        match listed.or(check.walk.summary.as_ref()) {
            Some(summary) => {
                let lost = summary.entry_count.saturating_sub(check.entry_count);
                plan.count_loss(&name, (lost, summary), end);
                if check.walk.tombstones.is_empty() && summary.range_tombstone_count > 0 {
                    plan.lose_tombstones(&name, summary);
                }
            }
            None => plan.lose_end(&name, end),
        }
        if entry_count == 0 && check.walk.tombstones.is_empty() {
            plan.act(&name, "left out: nothing of it can be read".to_owned());
            return Ok(Judged::Gone);
        }
        let kept = entry_count;
        plan.act(
            &name,
            format!("replaced by its {kept} entries that can be read"),
        );
        Ok(Judged::Partly)
    }

    /// The first and last key of each whole data block, by offset.
    fn edges(&self, file: &dyn nokv_env::File, number: u64) -> Result<Edges, Error> {
        let path = table_path(&self.dir, number);
        let mut edges = Edges::new();
        walk(file, &path, &NoLimit, &mut |visit| {
            let mut cursor = BlockCursor::default();
            cursor.enter(visit.block.clone());
            let first = cursor.seek_to_first().map(|()| cursor.key().to_vec());
            let last = cursor.seek_to_last().map(|()| cursor.key().to_vec());
            if let (Ok(first), Ok(last)) = (first, last) {
                edges.insert(visit.offset, (first, last));
            }
        })?;
        Ok(edges)
    }
}

/// First and last key of blocks, by offset.
type Edges = BTreeMap<u64, (Vec<u8>, Vec<u8>)>;

/// How a table is.
enum Judged {
    Whole(TableSummary),
    Partly,
    Gone,
}

impl RepairPlan {
    fn find_value_heads(&mut self) {
        let is_head = |damage: &&Damage| damage.offset == 0 && damage.file.ends_with(".vlog");
        let heads: Vec<String> = self
            .damages
            .iter()
            .filter(is_head)
            .map(|d| d.file.clone())
            .collect();
        for name in heads {
            if let Some(number) = value_number(&name) {
                self.act(
                    &name,
                    "gets a new head; its values do not depend on it".to_owned(),
                );
                self.value_heads.push(number);
            }
        }
    }

    fn lose_values(&mut self, lost: &[LostValue]) {
        for value in lost {
            self.losses.push(Loss {
                file: value.damage.file.clone(),
                offset: value.damage.offset,
                bytes: value.bytes,
                what: "a value; an older version of its key shows again".to_owned(),
                is_certain: true,
                entry_count: Some(1),
                key_min: Some(value.key.clone()),
                key_max: Some(value.key.clone()),
            });
        }
    }

    fn act(&mut self, file: &str, what: String) {
        let file = file.to_owned();
        self.actions.push(RepairAction { file, what });
    }

    fn tell_log_losses(&mut self, damages: &[Damage]) {
        for damage in damages {
            self.losses.push(Loss {
                file: damage.file.clone(),
                offset: damage.offset,
                what: format!(
                    "{}; older versions of what they changed show again",
                    damage.expected
                ),
                is_certain: true,
                ..Loss::default()
            });
        }
    }

    fn lose_table(&mut self, name: &str, summary: &TableSummary, what: &str) {
        self.losses.push(Loss {
            file: name.to_owned(),
            offset: 0,
            bytes: summary.bytes,
            what: format!("{what}; older versions of its keys show again"),
            is_certain: true,
            entry_count: Some(summary.entry_count),
            key_min: Some(summary.smallest.clone()).filter(|key| !key.is_empty()),
            key_max: Some(summary.largest.clone()).filter(|key| !key.is_empty()),
        });
    }

    /// The places of a table that are no block, with the keys around them. Index, properties and
    /// footer are made anew: their loss is none.
    fn lose_blocks(&mut self, name: &str, walk: &Walk, edges: &Edges) {
        let footer = walk.blocks.iter().map(|block| block.offset).max();
        for lost in &walk.lost {
            let is_data = match lost.content {
                Some(content) => content == Content::Data,
                // Behind all blocks is the footer.
                None => footer.is_none_or(|last| lost.offset < last),
            };
            if !is_data && lost.content != Some(Content::Tombstones) {
                continue;
            }
            let before = edges.range(..lost.offset).next_back();
            let after = edges.range(lost.offset..).next();
            let what = if is_data {
                "entries; older versions of their keys show again"
            } else {
                "deletions of ranges; what they deleted shows again"
            };
            self.losses.push(Loss {
                file: name.to_owned(),
                offset: lost.offset,
                bytes: lost.bytes,
                what: what.to_owned(),
                is_certain: true,
                entry_count: None,
                key_min: before.map(|(_, (_, last))| last.clone()),
                key_max: after.map(|(_, (first, _))| first.clone()),
            });
        }
    }

    /// Puts the number of lost entries to the first loss of the file; with none, they were at its
    /// end.
    fn count_loss(
        &mut self,
        name: &str,
        (lost, summary): (u64, &TableSummary),
        end: Option<&[u8]>,
    ) {
        let of_file = |loss: &&mut Loss| loss.file == name && loss.entry_count.is_none();
        if let Some(loss) = self.losses.iter_mut().find(of_file) {
            loss.entry_count = Some(lost);
        } else if lost > 0 {
            self.losses.push(Loss {
                file: name.to_owned(),
                what: "entries at its end; older versions of their keys show again".to_owned(),
                is_certain: true,
                entry_count: Some(lost),
                key_min: end.map(<[u8]>::to_vec),
                key_max: Some(summary.largest.clone()),
                ..Loss::default()
            });
        }
    }

    /// Deletions of ranges are in one block: all are there, or none.
    fn lose_tombstones(&mut self, name: &str, summary: &TableSummary) {
        let of_file = |loss: &Loss| loss.file == name && loss.what.starts_with("deletions");
        if self.losses.iter().any(of_file) {
            return;
        }
        self.losses.push(Loss {
            file: name.to_owned(),
            what: "deletions of ranges; what they deleted shows again".to_owned(),
            is_certain: true,
            entry_count: Some(summary.range_tombstone_count),
            key_min: Some(summary.smallest.clone()),
            key_max: Some(summary.largest.clone()),
            ..Loss::default()
        });
    }

    /// Nothing says how much a table had: its end may be missing.
    fn lose_end(&mut self, name: &str, end: Option<&[u8]>) {
        self.losses.push(Loss {
            file: name.to_owned(),
            what: "whatever it had behind the entries that can be read".to_owned(),
            is_certain: false,
            key_min: end.map(<[u8]>::to_vec),
            ..Loss::default()
        });
    }
}

/// The sequence up to which the log can be read without a hole.
fn last_in_order(start: LogStart, scans: &[SegmentScan]) -> u64 {
    let mut expected = start.sequence;
    let needed = scans.iter().filter(|scan| scan.number >= start.segment);
    for record in needed.flat_map(|scan| &scan.records) {
        if record.sequence == expected {
            expected += 1;
        }
    }
    expected.saturating_sub(1)
}

fn level_of(state: &State, level: usize) -> &BTreeMap<u64, TableMeta> {
    static EMPTY: BTreeMap<u64, TableMeta> = BTreeMap::new();
    state.levels.get(level).unwrap_or(&EMPTY)
}
