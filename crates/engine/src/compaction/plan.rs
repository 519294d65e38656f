//! What a choice of compaction sees, and what it says.

use super::claim::Claim;
use crate::table::TableSummary;

/// A table, as a choice sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TableInfo<'a> {
    /// Its number; in level 0, a higher one is newer.
    pub(crate) number: u64,
    pub(crate) summary: &'a TableSummary,
}

/// The levels of a store.
///
/// **Shape**: `levels[0]` newest first; each other level by key. All levels that may ever be used
/// are there.
#[derive(Clone, Debug)]
pub(crate) struct LevelsView<'a> {
    pub(crate) levels: Vec<Vec<TableInfo<'a>>>,
    /// What running compactions have taken.
    pub(crate) claims: &'a [Claim],
}

/// A range of keys, both ends included.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct KeySpan {
    pub(crate) smallest: Vec<u8>,
    pub(crate) largest: Vec<u8>,
}

/// Tables that follow each other: a part of a sorted level, or of a sublevel of level 0.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Run {
    pub(crate) level: usize,
    pub(crate) numbers: Vec<u64>,
}

/// What to do with the inputs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    /// Merge them into new tables of the output level.
    Merge,
    /// Move them to the output level as they are: an edit of the manifest.
    Move,
}

/// Why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reason {
    /// Level 0 has too many tables.
    Level0,
    /// A level is over its target.
    Size,
    /// A table has many deletions or a range tombstone: they free nothing before they are at the
    /// bottom.
    Tombstones,
    /// A table at the bottom has much that nobody can read any more.
    Garbage,
    /// Its values are in files of the value log that are mostly garbage.
    Values,
    /// Nothing is urgent, and level 0 is not empty.
    Settle,
    /// Somebody asked for it.
    Asked,
}

/// A compaction to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Plan {
    pub(crate) reason: Reason,
    pub(crate) action: Action,
    /// Newest first.
    pub(crate) inputs: Vec<Run>,
    pub(crate) output_level: usize,
    /// Around all inputs: outside of it nothing is written.
    pub(crate) span: KeySpan,
    /// What lies below the output level within the range of the inputs, in order, not overlapping:
    /// there, deletions must be kept.
    pub(crate) deeper: Vec<KeySpan>,
}

impl LevelsView<'_> {
    /// The number of the last level.
    pub(crate) fn last(&self) -> usize {
        self.levels.len().saturating_sub(1)
    }

    pub(crate) fn level(&self, level: usize) -> &[TableInfo<'_>] {
        self.levels.get(level).map_or(&[], Vec::as_slice)
    }

    /// Whether a running compaction has taken the table.
    pub(crate) fn is_claimed(&self, number: u64) -> bool {
        let mut claims = self.claims.iter();
        claims.any(|claim| claim.numbers.contains(&number))
    }

    /// Whether the plan may run beside all that run.
    pub(crate) fn allows(&self, plan: &Plan) -> bool {
        self.claims.iter().all(|claim| claim.allows(plan))
    }

    pub(crate) fn level_bytes(&self, level: usize) -> u64 {
        self.level(level)
            .iter()
            .map(|table| table.summary.bytes)
            .sum()
    }

    /// The tables of a sorted level that overlap the keys from `smallest` to `largest`.
    pub(crate) fn overlapping(
        &self,
        level: usize,
        smallest: &[u8],
        largest: &[u8],
    ) -> &[TableInfo<'_>] {
        let tables = self.level(level);
        let start = tables.partition_point(|table| table.summary.largest.as_slice() < smallest);
        let end = tables.partition_point(|table| table.summary.smallest.as_slice() <= largest);
        tables.get(start..end).unwrap_or_default()
    }

    /// What lies below `level` and overlaps the span, as disjoint spans in order.
    pub(crate) fn deeper(&self, level: usize, span: &KeySpan) -> Vec<KeySpan> {
        let mut spans: Vec<KeySpan> = (level + 1..self.levels.len())
            .flat_map(|below| self.overlapping(below, &span.smallest, &span.largest))
            .map(|table| KeySpan::of(table.summary))
            .collect();
        spans.sort_by(|a, b| a.smallest.cmp(&b.smallest));
        spans.dedup_by(|next, merged| {
            let joins = next.smallest <= merged.largest;
            if joins && next.largest > merged.largest {
                merged.largest = std::mem::take(&mut next.largest);
            }
            joins
        });
        spans
    }
}

impl KeySpan {
    pub(crate) fn of(summary: &TableSummary) -> Self {
        Self {
            smallest: summary.smallest.clone(),
            largest: summary.largest.clone(),
        }
    }

    /// Whether they have a key in common.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.smallest <= other.largest && other.smallest <= self.largest
    }

    /// The span around both.
    pub(crate) fn joined(&self, other: &Self) -> Self {
        Self {
            smallest: self.smallest.clone().min(other.smallest.clone()),
            largest: self.largest.clone().max(other.largest.clone()),
        }
    }

    /// The span of several tables; `None` for no table.
    pub(crate) fn around<'a>(tables: impl IntoIterator<Item = &'a TableSummary>) -> Option<Self> {
        tables.into_iter().map(Self::of).reduce(|a, b| a.joined(&b))
    }
}
