//! The state that the edits build: tables by level, start of the log, counters.

use std::collections::BTreeMap;

use super::{
    edit::{Edit, TableMeta},
    layout::LEVELS_MAX,
};
use crate::{LogMode, wal::LogStart};

/// What the store consists of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct State {
    /// By level, then by number.
    pub(crate) levels: [BTreeMap<u64, TableMeta>; LEVELS_MAX],
    /// The log before it is in tables.
    pub(crate) log_start: LogStart,
    /// The highest version in tables, or above.
    pub(crate) last_version: u64,
    /// Of a store with an external log: everything up to this index of it is in tables. `None` for
    /// a store with a log of its own.
    pub(crate) applied_index: Option<u64>,
    /// The lowest number that no table or manifest has had.
    pub(crate) next_number: u64,
}

impl State {
    /// An empty store: nothing in tables, the log begins with record 1 in segment 1.
    pub(crate) fn new(log: LogMode) -> Self {
        Self {
            levels: std::array::from_fn(|_| BTreeMap::new()),
            log_start: LogStart {
                segment: 1,
                sequence: 1,
            },
            last_version: 0,
            applied_index: match log {
                LogMode::Own => None,
                LogMode::External => Some(0),
            },
            next_number: 1,
        }
    }

    /// Applies an edit, whole or not at all; what is wrong with it otherwise.
    pub(crate) fn apply(&mut self, edit: &Edit) -> Result<(), String> {
        let mut levels = self.levels.clone();
        for (level, number) in &edit.removed {
            let removed = levels
                .get_mut(*level)
                .and_then(|tables| tables.remove(number));
            if removed.is_none() {
                return Err(format!(
                    "an edit that removes table {number}, not in level {level}"
                ));
            }
        }
        for (level, table) in &edit.added {
            let Some(tables) = levels.get_mut(*level) else {
                return Err(format!("an edit that adds to level {level}"));
            };
            if table.summary.smallest > table.summary.largest
                || tables.insert(table.number, table.clone()).is_some()
            {
                return Err(format!("an edit that adds table {} wrongly", table.number));
            }
        }
        self.levels = levels;
        if let Some(start) = edit.log_start {
            self.log_start = start;
        }
        self.last_version = self.last_version.max(edit.last_version.unwrap_or(0));
        self.applied_index = self.applied_index.max(edit.applied_index);
        let highest = edit
            .added
            .iter()
            .map(|(_, table)| table.number + 1)
            .max()
            .unwrap_or(0);
        self.next_number = self
            .next_number
            .max(edit.next_number.unwrap_or(0))
            .max(highest);
        Ok(())
    }

    /// Applies what fits of an edit: for salvage, where edits before it are lost.
    pub(crate) fn apply_leniently(&mut self, edit: &Edit) {
        let mut fitting = edit.clone();
        fitting.removed.retain(|(level, number)| {
            let tables = self.levels.get(*level);
            tables.is_some_and(|tables| tables.contains_key(number))
        });
        fitting.added.retain(|(level, _)| *level < LEVELS_MAX);
        for (_, table) in &fitting.added {
            for tables in &mut self.levels {
                tables.remove(&table.number);
            }
        }
        fitting.removed.retain(|(level, number)| {
            let tables = self.levels.get(*level);
            tables.is_some_and(|tables| tables.contains_key(number))
        });
        // What does not fit even so says nothing.
        drop(self.apply(&fitting));
    }

    /// The edit that builds this state from an empty one.
    pub(crate) fn to_edit(&self) -> Edit {
        let tables = self.levels.iter().enumerate();
        Edit {
            log_start: Some(self.log_start),
            last_version: Some(self.last_version),
            next_number: Some(self.next_number),
            applied_index: self.applied_index,
            removed: Vec::new(),
            added: tables
                .flat_map(|(level, tables)| tables.values().map(move |t| (level, t.clone())))
                .collect(),
        }
    }

    /// Which log makes writes durable.
    pub(crate) fn log_mode(&self) -> LogMode {
        match self.applied_index {
            None => LogMode::Own,
            Some(_) => LogMode::External,
        }
    }

    /// Whether some level has the table.
    pub(crate) fn has_table(&self, number: u64) -> bool {
        self.levels
            .iter()
            .any(|tables| tables.contains_key(&number))
    }
}
