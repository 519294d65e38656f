//! Which compaction to do next.
//!
//! | | when | what |
//! |---|---|---|
//! | A | level 0 is full, and further over than any level | all of it into the base level |
//! | B | a level is over its target | the table that overlaps least of the next level, into that |
//! | C | a table has many deletions below the horizon | it, into the next level |
//! | D | a table with nothing below has a fifth of droppable content | it alone, in its place |
//! | E | nothing, and the effort is `Settle` | A from one table, D from a twentieth on |
//!
//! A table that overlaps nothing in the next level is moved, not merged, unless it is small: then
//! small tables would pile up. For the same reason a merge takes small neighbours of its range in
//! the output level with it.
//!
//! Invariant: every plan gets the tree closer to rest (fewer tables in level 0, less over target,
//! deletions deeper, less garbage), so choosing and running until `None` ends.

use std::ops::Range;

use super::{
    plan::{Action, KeySpan, LevelsView, Plan, Reason, Run, TableInfo},
    targets::Targets,
};

/// Tables of level 0 that one compaction takes: bounds its memory (a cursor and a block each) and
/// its duration.
const LEVEL0_INPUTS_MAX: usize = 32;

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
    /// Compaction of level 0 begins at this many tables.
    pub(crate) level0_tables: usize,
    /// The largest that the level below level 0 may be.
    pub(crate) level_base_bytes: u64,
    /// The size of a table.
    pub(crate) table_bytes: u64,
    pub(crate) horizon: u64,
    /// Ascending.
    pub(crate) pins: &'a [u64],
    pub(crate) effort: Effort,
}

/// The next compaction; `None` when the tree is in shape.
pub(crate) fn choose(view: &LevelsView<'_>, options: &ChooseOptions<'_>) -> Option<Plan> {
    let targets = Targets::of(view, options.level_base_bytes);
    let level0 = Score::new(view.level(0).len() as u64, options.level0_tables as u64);
    let fullest = (targets.base..view.last())
        .map(|level| {
            (
                Score::new(view.level_bytes(level), targets.bytes(level)),
                level,
            )
        })
        .max_by_key(|(score, level)| (*score, std::cmp::Reverse(*level)));
    if level0.is_over(1) && fullest.is_none_or(|(score, _)| level0 >= score) {
        return plan_level0(view, options, targets.base, Reason::Level0);
    }
    if let Some((score, level)) = fullest
        && score.is_over(1)
    {
        return plan_size(view, options, level);
    }
    if level0.is_over(1) {
        return plan_level0(view, options, targets.base, Reason::Level0);
    }
    let part = match options.effort {
        Effort::Balance => GARBAGE_PART,
        Effort::Settle => GARBAGE_PART_SETTLE,
    };
    plan_tombstones(view, options)
        .or_else(|| plan_garbage(view, options, part))
        .or_else(|| match options.effort {
            Effort::Settle => plan_level0(view, options, targets.base, Reason::Settle),
            Effort::Balance => None,
        })
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

/// A and E: the oldest tables of level 0, as many as one compaction takes.
fn plan_level0(
    view: &LevelsView<'_>,
    options: &ChooseOptions<'_>,
    base: usize,
    reason: Reason,
) -> Option<Plan> {
    let tables = view.level(0);
    let oldest = tables.last()?;
    // The oldest alone may go down without a merge: nothing older can be passed by it.
    if is_movable(view, options, oldest, base) {
        let inputs = vec![Run {
            level: 0,
            numbers: vec![oldest.number],
        }];
        return Some(Plan {
            reason,
            action: Action::Move,
            inputs,
            output_level: base,
            deeper: Vec::new(),
        });
    }
    let skipped = tables.len().saturating_sub(LEVEL0_INPUTS_MAX);
    let inputs = tables.get(skipped..)?;
    merge_into(view, options, (0, inputs), base, reason)
}

/// B: the table of the level whose move costs least.
fn plan_size(view: &LevelsView<'_>, options: &ChooseOptions<'_>, level: usize) -> Option<Plan> {
    let cost = |table: &&TableInfo<'_>| {
        let summary = table.summary;
        let below = view.overlapping(level + 1, &summary.smallest, &summary.largest);
        let overlap = below.iter().map(|other| other.summary.bytes);
        let garbage = table
            .summary
            .garbage
            .droppable(options.horizon, options.pins);
        // Rewritten bytes for a byte that leaves the level, in thousandths; what is dropped counts
        // double.
        let gain = table.summary.bytes.saturating_add(garbage).max(1);
        (
            overlap.sum::<u64>().saturating_mul(1000) / gain,
            table.number,
        )
    };
    let table = view.level(level).iter().min_by_key(cost)?;
    push_down(view, options, level, table, Reason::Size)
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
        let table = view
            .level(level)
            .iter()
            .find(|table| is_wanted(level, table))?;
        push_down(view, options, level, table, Reason::Tombstones)
    })
}

/// D: of the tables with nothing below, the one with most to drop.
fn plan_garbage(view: &LevelsView<'_>, options: &ChooseOptions<'_>, part: u64) -> Option<Plan> {
    let tables = (1..=view.last())
        .flat_map(|level| view.level(level).iter().map(move |table| (level, table)));
    let droppable = |table: &TableInfo<'_>| {
        table
            .summary
            .garbage
            .droppable(options.horizon, options.pins)
    };
    let (level, table) = tables
        .filter(|(_, table)| {
            droppable(table).saturating_mul(part) >= table.summary.content_bytes.max(part)
        })
        .filter(|(level, table)| view.deeper(*level, &KeySpan::of(table.summary)).is_empty())
        .max_by_key(|(_, table)| droppable(table))?;
    let place = view
        .level(level)
        .iter()
        .position(|other| other.number == table.number)?;
    let numbers = with_small_neighbours(view.level(level), options, place..place + 1);
    let taken = view
        .level(level)
        .iter()
        .filter(|other| numbers.contains(&other.number));
    let deeper = view.deeper(level, &KeySpan::around(taken.map(|other| other.summary))?);
    let inputs = vec![Run { level, numbers }];
    Some(Plan {
        reason: Reason::Garbage,
        action: Action::Merge,
        inputs,
        output_level: level,
        deeper,
    })
}

fn push_down(
    view: &LevelsView<'_>,
    options: &ChooseOptions<'_>,
    level: usize,
    table: &TableInfo<'_>,
    reason: Reason,
) -> Option<Plan> {
    if is_movable(view, options, table, level + 1) {
        let inputs = vec![Run {
            level,
            numbers: vec![table.number],
        }];
        let action = Action::Move;
        return Some(Plan {
            reason,
            action,
            inputs,
            output_level: level + 1,
            deeper: Vec::new(),
        });
    }
    merge_into(
        view,
        options,
        (level, std::slice::from_ref(table)),
        level + 1,
        reason,
    )
}

/// Whether a table can go to a level as it is.
fn is_movable(
    view: &LevelsView<'_>,
    options: &ChooseOptions<'_>,
    table: &TableInfo<'_>,
    to: usize,
) -> bool {
    let summary = table.summary;
    let below = view.overlapping(to, &summary.smallest, &summary.largest);
    !is_small(table, options) && below.is_empty()
}

fn merge_into(
    view: &LevelsView<'_>,
    options: &ChooseOptions<'_>,
    (level, tables): (usize, &[TableInfo<'_>]),
    output_level: usize,
    reason: Reason,
) -> Option<Plan> {
    let span = KeySpan::around(tables.iter().map(|table| table.summary))?;
    let below = view.level(output_level);
    let start = below.partition_point(|table| table.summary.largest < span.smallest);
    let end = below.partition_point(|table| table.summary.smallest <= span.largest);
    let overlapped = with_small_neighbours(below, options, start..end);
    let below = below.iter();
    let below = below.filter(|table| overlapped.contains(&table.number));
    let all = tables.iter().chain(below).map(|table| table.summary);
    let span = KeySpan::around(all)?;
    let mut inputs = match level {
        0 => tables
            .iter()
            .map(|t| Run {
                level: 0,
                numbers: vec![t.number],
            })
            .collect(),
        _ => vec![Run {
            level,
            numbers: tables.iter().map(|table| table.number).collect(),
        }],
    };
    if !overlapped.is_empty() {
        inputs.push(Run {
            level: output_level,
            numbers: overlapped,
        });
    }
    let deeper = view.deeper(output_level, &span);
    Some(Plan {
        reason,
        action: Action::Merge,
        inputs,
        output_level,
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

fn is_small(table: &TableInfo<'_>, options: &ChooseOptions<'_>) -> bool {
    table.summary.bytes < options.table_bytes / SMALL_PART
}
