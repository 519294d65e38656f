//! Which part of level 0 goes down next.
//!
//! Level 0 is the buffer that catches: a flush only puts its tables on top. Sorting comes later and
//! piece by piece: a table at the bottom of the deepest stack is taken, with the tables of the base
//! level below it, and then whatever lies above it and costs little more, so that a part of the
//! keys is sorted down in one go. Pieces that do not touch each other are sorted down at once.
//!
//! Invariant: a table is taken only when every older table that it overlaps is taken too.

use std::cmp::Reverse;

use super::{
    choose::{ChooseOptions, is_movable, is_small, merge_into, move_to},
    plan::{KeySpan, LevelsView, Plan, Reason, Run, TableInfo},
    sublevels::sublevels,
};

/// Sublevels that one compaction takes: bounds its memory (a cursor, a block and a piece each).
const SUBLEVELS_MAX: usize = 32;

/// A compaction is not widened beyond so many tables of the usual size: short ones let go of their
/// part of the keys sooner, and what they have done counts sooner.
const JOB_TABLES_MAX: u64 = 4;

/// The number of sublevels of the tables that no compaction has taken.
pub(super) fn depth(view: &LevelsView<'_>) -> usize {
    let free = view.level(0).iter().rev();
    let free = free.filter(|table| !view.is_claimed(table.number));
    sublevels(free, |table| table.summary).len()
}

/// The compaction of the deepest stack that can be taken now.
pub(super) fn plan(
    view: &LevelsView<'_>,
    options: &ChooseOptions<'_>,
    base: usize,
    reason: Reason,
) -> Option<Plan> {
    let stack = sublevels(view.level(0).iter().rev(), |table| table.summary);
    let mut seeds: Vec<_> = stack
        .first()?
        .iter()
        .filter(|table| !view.is_claimed(table.number))
        .map(|table| (Reverse(height(&stack, table)), table.number, *table))
        .collect();
    seeds.sort_by_key(|(height, number, _)| (*height, *number));
    let mut plans = seeds.into_iter().filter_map(|(_, _, seed)| {
        // Nothing older can be passed by a table at the bottom.
        if is_movable(view, options, seed, base) {
            return Some(move_to(0, seed, base, reason));
        }
        Piece::around(view, options, seed, base).plan(&stack, reason)
    });
    plans.find(|plan| view.allows(plan))
}

/// How many sublevels have a table over this one's keys.
fn height(stack: &[Vec<&TableInfo<'_>>], table: &TableInfo<'_>) -> usize {
    let span = KeySpan::of(table.summary);
    let covers = |level: &&Vec<&TableInfo<'_>>| {
        level
            .iter()
            .any(|other| KeySpan::of(other.summary).overlaps(&span))
    };
    stack.iter().filter(covers).count()
}

/// A compaction of level 0 that grows.
struct Piece<'v, 'a> {
    view: &'v LevelsView<'a>,
    options: &'v ChooseOptions<'v>,
    base: usize,
    numbers: Vec<u64>,
    /// Around its tables and those below them.
    span: KeySpan,
    bytes: u64,
}

impl<'v, 'a> Piece<'v, 'a> {
    /// The seed and all that can go with it.
    fn around(
        view: &'v LevelsView<'a>,
        options: &'v ChooseOptions<'v>,
        seed: &TableInfo<'_>,
        base: usize,
    ) -> Self {
        let (span, below_bytes) = widened(view, base, KeySpan::of(seed.summary));
        let mut piece = Self {
            view,
            options,
            base,
            numbers: vec![seed.number],
            span,
            bytes: below_bytes + seed.summary.bytes,
        };
        for table in view.level(0).iter().rev() {
            if KeySpan::of(table.summary).overlaps(&piece.span) {
                piece.take(table);
            }
        }
        // Small tables beside it would make small tables of the base level, each by itself.
        for table in view.level(0).iter().rev() {
            if is_small(table, options) {
                piece.take(table);
            }
        }
        piece
    }

    /// Takes a table, if nothing older stays behind and it costs little more.
    fn take(&mut self, table: &TableInfo<'_>) {
        let own = KeySpan::of(table.summary);
        if self.numbers.contains(&table.number) || self.view.is_claimed(table.number) {
            return;
        }
        let older = self.view.level(0).iter().filter(|other| {
            other.number < table.number && KeySpan::of(other.summary).overlaps(&own)
        });
        if !older
            .map(|other| other.number)
            .all(|number| self.numbers.contains(&number))
        {
            return;
        }
        let hull = self.span.joined(&own);
        let (span, below_bytes) = widened(self.view, self.base, hull);
        let (_, below_bytes_before) = widened(self.view, self.base, self.span.clone());
        let bytes = self.bytes + table.summary.bytes + below_bytes - below_bytes_before;
        let limit = JOB_TABLES_MAX.saturating_mul(self.options.table_bytes);
        if span == self.span || bytes <= limit {
            self.numbers.push(table.number);
            (self.span, self.bytes) = (span, bytes);
        }
    }

    fn plan(&self, stack: &[Vec<&TableInfo<'_>>], reason: Reason) -> Option<Plan> {
        let runs = stack.iter().map(|level| Run {
            level: 0,
            numbers: level
                .iter()
                .map(|table| table.number)
                .filter(|number| self.numbers.contains(number))
                .collect(),
        });
        let mut runs: Vec<Run> = runs
            .filter(|run| !run.numbers.is_empty())
            .take(SUBLEVELS_MAX)
            .collect();
        runs.reverse();
        merge_into(self.view, self.options, runs, self.base, reason)
    }
}

/// A span with the tables of a sorted level that it meets, and their bytes.
fn widened(view: &LevelsView<'_>, level: usize, span: KeySpan) -> (KeySpan, u64) {
    let below = view.overlapping(level, &span.smallest, &span.largest);
    let bytes = below.iter().map(|table| table.summary.bytes).sum();
    let around = KeySpan::around(below.iter().map(|table| table.summary));
    (
        around.map_or_else(|| span.clone(), |below| span.joined(&below)),
        bytes,
    )
}
