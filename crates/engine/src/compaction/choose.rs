//! Which compaction to do next.
//!
//! | | when | what |
//! |---|---|---|
//! | A | level 0 is full | the deepest stack of it, into the base level ([`level0`]) |
//! | B | a level is over its target | the table that overlaps least of the next level, into that |
//! | C | a table has many deletions below the horizon | it, into the next level |
//! | D | a table with nothing below has a fifth of droppable content | it alone, in its place |
//! | E | nothing, and the effort is `Settle` | A from one table, D from a twentieth on |
//!
//! Of A and B the one that is furthest over comes first; what a running compaction has taken is
//! left out, and what cannot run beside it is passed over for the next best ([`super::claim`]).
//!
//! A table that overlaps nothing in the next level is moved, not merged, unless it is small: then
//! small tables would pile up. For the same reason a merge takes small neighbours of its range in
//! the output level with it.
//!
//! Invariant: every plan gets the tree closer to rest (fewer tables in level 0, less over target,
//! deletions deeper, less garbage), so choosing and running until `None` ends.

use std::{cmp::Reverse, ops::Range};

use super::{
    level0,
    plan::{Action, KeySpan, LevelsView, Plan, Reason, Run, TableInfo},
    targets::Targets,
};
use crate::{Keyspace, table::TableSummary};

/// Level 0 is full when it has this many times the bytes that the level below may have.
const LEVEL0_BYTES_FACTOR: u64 = 2;

/// A table with one deletion in so many entries is pushed down.
const TOMBSTONE_PART: u64 = 4;

/// A table is rewritten in its place when one byte in so many can go.
const GARBAGE_PART: u64 = 5;
const GARBAGE_PART_SETTLE: u64 = 20;

/// A table of less than the target size divided by this is small.
const SMALL_PART: u64 = 4;

/// How much to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Effort {
    /// What keeps the tree in shape under load.
    #[default]
    Balance,
    /// All that pays: for a store that is idle.
    Settle,
}

/// What a choice goes by.
#[derive(Clone, Debug)]
pub(crate) struct ChooseOptions<'a> {
    /// Compaction of level 0 begins at this depth.
    pub(crate) level0_tables: usize,
    /// The largest that the level below level 0 may be.
    pub(crate) level_base_bytes: u64,
    /// The size of a table.
    pub(crate) table_bytes: u64,
    pub(crate) horizon: u64,
    /// Ascending.
    pub(crate) pins: &'a [u64],
    /// See [`crate::Options::unpinned_from`].
    pub(crate) unpinned_from: Option<Keyspace>,
    pub(crate) effort: Effort,
}

impl ChooseOptions<'_> {
    /// Bytes that a compaction of a table drops at least.
    pub(crate) fn droppable(&self, summary: &TableSummary) -> u64 {
        let from = self.unpinned_from.map(Keyspace::get);
        let is_unpinned = from.is_some_and(|from| summary.smallest.first() >= Some(&from));
        let pins = if is_unpinned { &[] } else { self.pins };
        summary.garbage.droppable(self.horizon, pins)
    }
}

/// The next compaction that may run beside those that run; `None` when there is none.
pub(crate) fn choose(view: &LevelsView<'_>, options: &ChooseOptions<'_>) -> Option<Plan> {
    let targets = Targets::of(view, options.level_base_bytes);
    let mut urgent: Vec<(Score, usize)> = (targets.base..view.last())
        .map(|level| {
            let bytes = free_bytes(view, level);
            (Score::new(bytes, targets.bytes(level)), level)
        })
        .chain([(level0_score(view, options), 0)])
        .filter(|(score, _)| score.is_over(1))
        .collect();
    urgent.sort_by_key(|(score, level)| (Reverse(*score), *level));
    let mut plans = urgent.into_iter().filter_map(|(_, level)| match level {
        0 => level0::plan(view, options, targets.base, Reason::Level0),
        _ => plan_size(view, options, level),
    });
    let part = match options.effort {
        Effort::Balance => GARBAGE_PART,
        Effort::Settle => GARBAGE_PART_SETTLE,
    };
    plans
        .next()
        .or_else(|| plan_tombstones(view, options))
        .or_else(|| plan_garbage(view, options, part))
        .or_else(|| match options.effort {
            Effort::Settle => level0::plan(view, options, targets.base, Reason::Settle),
            Effort::Balance => None,
        })
}

/// Depth counts for readers; bytes count for space, since many tables side by side are one
/// sublevel.
fn level0_score(view: &LevelsView<'_>, options: &ChooseOptions<'_>) -> Score {
    let depth = Score::new(level0::depth(view) as u64, options.level0_tables as u64);
    let bytes = options.level_base_bytes.saturating_mul(LEVEL0_BYTES_FACTOR);
    depth.max(Score::new(free_bytes(view, 0), bytes))
}

/// The bytes of a level that no running compaction takes away.
fn free_bytes(view: &LevelsView<'_>, level: usize) -> u64 {
    let tables = view.level(level).iter();
    let free = tables.filter(|table| !view.is_claimed(table.number));
    free.map(|table| table.summary.bytes).sum()
}

/// How full something is, in hundredths.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Score(u64);

impl Score {
    fn new(amount: u64, target: u64) -> Self {
        Self(amount.saturating_mul(100) / target.max(1))
    }

    const fn is_over(self, times: u64) -> bool {
        self.0 >= times * 100
    }
}

/// B: the table of the level whose move costs least.
fn plan_size(view: &LevelsView<'_>, options: &ChooseOptions<'_>, level: usize) -> Option<Plan> {
    let cost = |table: &&TableInfo<'_>| {
        let summary = table.summary;
        let below = view.overlapping(level + 1, &summary.smallest, &summary.largest);
        let overlap = below.iter().map(|other| other.summary.bytes);
        let garbage = options.droppable(table.summary);
        // Rewritten bytes for a byte that leaves the level, in thousandths; what is dropped counts
        // double.
        let gain = table.summary.bytes.saturating_add(garbage).max(1);
        (
            overlap.sum::<u64>().saturating_mul(1000) / gain,
            table.number,
        )
    };
    let mut tables: Vec<_> = view.level(level).iter().collect();
    tables.sort_by_cached_key(cost);
    let mut plans = tables
        .into_iter()
        .filter_map(|table| push_down(view, options, level, table, Reason::Size));
    plans.find(|plan| view.allows(plan))
}

/// C: the highest table with deletions that the horizon has passed.
fn plan_tombstones(view: &LevelsView<'_>, options: &ChooseOptions<'_>) -> Option<Plan> {
    let is_wanted = |level: usize, table: &TableInfo<'_>| {
        let summary = table.summary;
        let is_many = summary.range_tombstone_count > 0
            || summary.tombstone_count.saturating_mul(TOMBSTONE_PART) > summary.entry_count;
        let span = KeySpan::of(summary);
        is_many && summary.version_min <= options.horizon && !view.deeper(level, &span).is_empty()
    };
    let mut levels = 1..view.last();
    levels.find_map(|level| {
        let tables = view.level(level).iter();
        let mut plans = tables
            .filter(|table| is_wanted(level, table))
            .filter_map(|table| push_down(view, options, level, table, Reason::Tombstones));
        plans.find(|plan| view.allows(plan))
    })
}

/// D: of the tables with nothing below, the one with most to drop.
fn plan_garbage(view: &LevelsView<'_>, options: &ChooseOptions<'_>, part: u64) -> Option<Plan> {
    let tables = (1..=view.last())
        .flat_map(|level| view.level(level).iter().map(move |table| (level, table)));
    let droppable = |table: &TableInfo<'_>| options.droppable(table.summary);
    let mut wanted: Vec<_> = tables
        .filter(|(_, table)| {
            droppable(table).saturating_mul(part) >= table.summary.content_bytes.max(part)
        })
        .filter(|(level, table)| view.deeper(*level, &KeySpan::of(table.summary)).is_empty())
        .collect();
    wanted.sort_by_key(|(_, table)| Reverse(droppable(table)));
    let mut plans = wanted
        .into_iter()
        .filter_map(|(level, table)| rewrite(view, options, level, table, Reason::Garbage));
    plans.find(|plan| view.allows(plan))
}

/// A table, with its small neighbours, anew in its level.
pub(super) fn rewrite(
    view: &LevelsView<'_>,
    options: &ChooseOptions<'_>,
    level: usize,
    table: &TableInfo<'_>,
    reason: Reason,
) -> Option<Plan> {
    let tables = view.level(level);
    let place = tables
        .iter()
        .position(|other| other.number == table.number)?;
    let numbers = with_small_neighbours(tables, options, place..place + 1);
    let taken = tables.iter();
    let taken = taken.filter(|other| numbers.contains(&other.number));
    let span = KeySpan::around(taken.map(|other| other.summary))?;
    let deeper = view.deeper(level, &span);
    Some(Plan {
        reason,
        action: Action::Merge,
        inputs: vec![Run { level, numbers }],
        output_level: level,
        span,
        deeper,
    })
}

/// A table of a sorted level, into the next one.
pub(super) fn push_down(
    view: &LevelsView<'_>,
    options: &ChooseOptions<'_>,
    level: usize,
    table: &TableInfo<'_>,
    reason: Reason,
) -> Option<Plan> {
    if is_movable(view, options, table, level + 1) {
        return Some(move_to(level, table, level + 1, reason));
    }
    let run = Run {
        level,
        numbers: vec![table.number],
    };
    merge_into(view, options, vec![run], level + 1, reason)
}

pub(super) fn move_to(
    level: usize,
    table: &TableInfo<'_>,
    output_level: usize,
    reason: Reason,
) -> Plan {
    let numbers = vec![table.number];
    Plan {
        reason,
        action: Action::Move,
        inputs: vec![Run { level, numbers }],
        output_level,
        span: KeySpan::of(table.summary),
        deeper: Vec::new(),
    }
}

/// Whether a table can go to a level as it is.
pub(super) fn is_movable(
    view: &LevelsView<'_>,
    options: &ChooseOptions<'_>,
    table: &TableInfo<'_>,
    to: usize,
) -> bool {
    let summary = table.summary;
    let below = view.overlapping(to, &summary.smallest, &summary.largest);
    !is_small(table, options) && below.is_empty()
}

/// Runs, newest first, with what they overlap in the output level.
pub(super) fn merge_into(
    view: &LevelsView<'_>,
    options: &ChooseOptions<'_>,
    mut runs: Vec<Run>,
    output_level: usize,
    reason: Reason,
) -> Option<Plan> {
    let taken = runs.iter().flat_map(|run| {
        let tables = view.level(run.level).iter();
        tables.filter(|table| run.numbers.contains(&table.number))
    });
    let span = KeySpan::around(taken.map(|table| table.summary))?;
    let below = view.level(output_level);
    let start = below.partition_point(|table| table.summary.largest < span.smallest);
    let end = below.partition_point(|table| table.summary.smallest <= span.largest);
    let numbers = with_small_neighbours(below, options, start..end);
    let overlapped = below
        .iter()
        .filter(|table| numbers.contains(&table.number))
        .map(|table| table.summary);
    let span = KeySpan::around(overlapped).map_or_else(|| span.clone(), |own| own.joined(&span));
    if !numbers.is_empty() {
        runs.push(Run {
            level: output_level,
            numbers,
        });
    }
    let deeper = view.deeper(output_level, &span);
    Some(Plan {
        reason,
        action: Action::Merge,
        inputs: runs,
        output_level,
        span,
        deeper,
    })
}

/// The tables at these places of a sorted level, and the small ones right beside them.
fn with_small_neighbours(
    level: &[TableInfo<'_>],
    options: &ChooseOptions<'_>,
    places: Range<usize>,
) -> Vec<u64> {
    let is_small_at = |place: usize| level.get(place).is_some_and(|t| is_small(t, options));
    let start = places
        .start
        .checked_sub(1)
        .filter(|place| is_small_at(*place));
    let start = start.unwrap_or(places.start);
    let end = if is_small_at(places.end) {
        places.end + 1
    } else {
        places.end
    };
    level
        .get(start..end)
        .unwrap_or_default()
        .iter()
        .map(|table| table.number)
        .collect()
}

pub(super) fn is_small(table: &TableInfo<'_>, options: &ChooseOptions<'_>) -> bool {
    table.summary.bytes < options.table_bytes / SMALL_PART
}
