//! The tables of a view, by level.
//!
//! Invariants: level 0 is ordered newest first and its tables may overlap; the tables of any other
//! level are ordered by key and do not overlap, but for the exclusive end of a range tombstone; all
//! versions of a key are in one table of a level. Readers see sorted *runs*: the sublevels of level
//! 0, newest first ([`crate::compaction::sublevels`]), then the levels.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use nokv_env::{Env, OpenMode};

use super::memory::Lookup;
use crate::{
    Error, LevelStats, Record, Value,
    cache::BlockCache,
    compaction::sublevels,
    entry::RangeTombstone,
    file_name::{number_in, numbered_path},
    manifest::State,
    moment::LookupMoment,
    table::{LookupKey, Table},
    vlog::ValueRefs,
};

/// What comes after the number in the name of a table.
const SUFFIX: &str = ".table";

/// The file of a table.
pub(crate) fn table_path(dir: &Path, number: u64) -> PathBuf {
    numbered_path(dir, number, SUFFIX)
}

/// The number of the table with this file name; `None` for any other file.
pub(crate) fn table_number(name: &str) -> Option<u64> {
    number_in(name, SUFFIX)
}

/// Opens the file of a table that the manifest names.
///
/// # Errors
/// `Corrupt` when it is missing or no table; `Io`.
pub(super) fn open_table(
    env: &Env,
    dir: &Path,
    number: u64,
    cache: &Arc<BlockCache>,
) -> Result<Arc<Table>, Error> {
    let path = table_path(dir, number);
    let file = env.files.open(&path, OpenMode::Read).map_err(|error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            return Error::corrupt(&path, 0, "a table that the manifest names", "no file");
        }
        Error::io("opening", &path, error)
    })?;
    Ok(Arc::new(Table::open(
        file,
        &path,
        number,
        Arc::clone(cache),
    )?))
}

/// All tables.
#[derive(Clone, Default)]
pub(crate) struct Tables {
    pub(crate) levels: Vec<Vec<Arc<Table>>>,
    /// Level 0 as sorted runs, newest first.
    sublevels: Vec<Vec<Arc<Table>>>,
    level0_bytes: u64,
    /// Those with range tombstones, for scans.
    pub(crate) with_tombstones: Vec<Arc<Table>>,
    /// What all of them point at in the value log.
    value_refs: ValueRefs,
}

impl Tables {
    /// Opens every table of the state.
    ///
    /// # Errors
    /// `Corrupt`, `Io`.
    pub(super) fn open(
        env: &Env,
        dir: &Path,
        cache: &Arc<BlockCache>,
        state: &State,
    ) -> Result<Self, Error> {
        let mut levels = Vec::new();
        for metas in &state.levels {
            let mut tables = Vec::with_capacity(metas.len());
            for (number, meta) in metas {
                let table = open_table(env, dir, *number, cache)?;
                if *table.summary() != meta.summary {
                    let expected = "the table that the manifest describes";
                    return Err(Error::corrupt(table.path(), 0, expected, "another table"));
                }
                tables.push(table);
            }
            levels.push(tables);
        }
        Ok(Self::of(levels, None))
    }

    /// The tables of these levels, put in order.
    fn of(mut levels: Vec<Vec<Arc<Table>>>, value_refs: Option<ValueRefs>) -> Self {
        for (level, tables) in levels.iter_mut().enumerate() {
            if level == 0 {
                tables.sort_by_key(|table| std::cmp::Reverse(table.id()));
            } else {
                tables.sort_by(|a, b| a.summary().smallest.cmp(&b.summary().smallest));
            }
        }
        let with_tombstones = levels
            .iter()
            .flatten()
            .filter(|table| !table.range_tombstones().is_empty())
            .cloned()
            .collect();
        let level0 = || levels.first().into_iter().flatten();
        let mut sublevels = sublevels(level0().rev().cloned(), |table| table.summary());
        sublevels.reverse();
        let all = levels.iter().flatten();
        let value_refs = value_refs.unwrap_or_else(|| {
            let mut refs = ValueRefs::default();
            all.for_each(|table| refs.merge(&table.summary().value_refs));
            refs
        });
        Self {
            value_refs,
            sublevels,
            level0_bytes: level0().map(|table| table.summary().bytes).sum(),
            levels,
            with_tombstones,
        }
    }

    /// The same tables without `removed` and with `added`.
    pub(super) fn changed(&self, removed: &[u64], added: Vec<(usize, Arc<Table>)>) -> Self {
        let mut levels = self.levels.clone();
        let mut value_refs = self.value_refs.clone();
        for (_, table) in &added {
            value_refs.merge(&table.summary().value_refs);
        }
        for table in levels.iter().flatten() {
            if removed.contains(&table.id()) {
                value_refs.remove(&table.summary().value_refs);
            }
        }
        for tables in &mut levels {
            tables.retain(|table| !removed.contains(&table.id()));
        }
        for (level, table) in added {
            if levels.len() <= level {
                levels.resize_with(level + 1, Vec::new);
            }
            if let Some(tables) = levels.get_mut(level) {
                tables.push(table);
            }
        }
        Self::of(levels, Some(value_refs))
    }

    /// What they point at in the value log.
    pub(super) fn value_refs(&self) -> &ValueRefs {
        &self.value_refs
    }

    /// The sorted runs, newest first; in each the tables follow each other.
    pub(super) fn runs(&self) -> impl Iterator<Item = &[Arc<Table>]> {
        let levels = self.levels.iter().skip(1);
        self.sublevels.iter().chain(levels).map(Vec::as_slice)
    }

    /// How many tables of level 0 lie over one another, at most.
    pub(super) fn level0_depth(&self) -> usize {
        self.sublevels.len()
    }

    /// The size of all tables.
    pub(super) fn bytes(&self) -> u64 {
        let tables = self.levels.iter().flatten();
        tables.map(|table| table.summary().bytes).sum()
    }

    /// What of them is not hidden by a newer entry of the same table.
    pub(super) fn live_bytes(&self) -> u64 {
        let tables = self.levels.iter().flatten();
        tables.map(|table| table.summary().live_bytes()).sum()
    }

    /// The size of level 0.
    pub(super) fn level0_bytes(&self) -> u64 {
        self.level0_bytes
    }

    pub(super) fn stats(&self) -> Vec<LevelStats> {
        let level = |tables: &Vec<Arc<Table>>| LevelStats {
            table_count: tables.len() as u64,
            bytes: tables.iter().map(|table| table.summary().bytes).sum(),
        };
        let mut stats: Vec<LevelStats> = self.levels.iter().map(level).collect();
        while stats.last().is_some_and(|level| level.table_count == 0) {
            stats.pop();
        }
        stats
    }

    /// What the tables know about `key` at the moment.
    pub(super) fn get(&self, key: &[u8], moment: &LookupMoment<'_>) -> Result<Lookup, Error> {
        let lookup = LookupKey::new(key);
        for tables in self.runs() {
            let first = tables.partition_point(|table| table.summary().largest.as_slice() < key);
            for table in tables.iter().skip(first) {
                if key < table.summary().smallest.as_slice() {
                    break;
                }
                match get_in_table(table, key, &lookup, moment)? {
                    Lookup::Unknown => {}
                    answer => return Ok(answer),
                }
            }
        }
        Ok(Lookup::Unknown)
    }

    /// The newest version at or below `at` of a range tombstone of any table over `key`.
    pub(super) fn covering(&self, key: &[u8], at: u64) -> Option<u64> {
        let covers = |table: &Arc<Table>| table.range_tombstones().covering(key, at);
        self.with_tombstones.iter().filter_map(covers).max()
    }

    /// The range tombstone that does so.
    pub(super) fn find_tombstone(&self, key: &[u8], at: u64) -> Option<Arc<RangeTombstone>> {
        let find = |table: &Arc<Table>| table.range_tombstones().find(key, at).cloned();
        let found = self.with_tombstones.iter().filter_map(find);
        found.max_by_key(|tombstone| tombstone.version)
    }
}

fn get_in_table(
    table: &Table,
    key: &[u8],
    lookup: &LookupKey<'_>,
    moment: &LookupMoment<'_>,
) -> Result<Lookup, Error> {
    let at = moment.at();
    let covering = table.range_tombstones().covering(key, at);
    let Some(entry) = table.get(lookup, at)? else {
        return Ok(if covering.is_some() {
            Lookup::Deleted
        } else {
            Lookup::Unknown
        });
    };
    if covering.is_some_and(|version| version > entry.version)
        || moment.hides(entry.kind, &entry.value)
    {
        return Ok(Lookup::Deleted);
    }
    let stored = Value::from(entry.value);
    let record = Record::of_stored(entry.version, entry.kind, stored);
    Ok(Lookup::of(entry.kind, record))
}
