//! Which tables to rewrite so that live values leave files of the value log that are mostly
//! garbage.
//!
//! | | when | what |
//! |---|---|---|
//! | A | a table of level 0 points into such a file | level 0 into the base level: a table of level 0 can't be rewritten in its place, its number is its age |
//! | B | a table of another level does | of those, the one that points at most, in its place |
//!
//! Every other compaction moves values out of such files in passing.
//!
//! Invariant: a plan ends with fewer tables that point into those files, or fewer in level 0; so
//! choosing and running until `None` ends.

use std::{cmp::Reverse, collections::BTreeSet};

use super::{
    choose::{ChooseOptions, rewrite},
    level0,
    plan::{LevelsView, Plan, Reason, TableInfo},
    targets::Targets,
};

/// The next compaction that moves values out of the files of these numbers; `None` when no table
/// points into one.
pub(crate) fn choose_values(
    view: &LevelsView<'_>,
    options: &ChooseOptions<'_>,
    files: &BTreeSet<u64>,
) -> Option<Plan> {
    if files.is_empty() {
        return None;
    }
    let bytes = |table: &TableInfo<'_>| -> u64 {
        let refs = table.summary.value_refs.iter();
        refs.filter(|(file, _)| files.contains(file))
            .map(|(_, live)| live.bytes)
            .sum()
    };
    let is_wanted = |table: &TableInfo<'_>| bytes(table) > 0 && !view.is_claimed(table.number);
    if view.level(0).iter().any(is_wanted) {
        let base = Targets::of(view, options.level_base_bytes).base;
        let plan = level0::plan(view, options, base, Reason::Values);
        if plan.is_some() {
            return plan;
        }
    }
    let mut tables: Vec<_> = (1..=view.last())
        .flat_map(|level| view.level(level).iter().map(move |table| (level, table)))
        .filter(|(_, table)| is_wanted(table))
        .collect();
    tables.sort_by_key(|(_, table)| Reverse(bytes(table)));
    let mut plans = tables
        .into_iter()
        .filter_map(|(level, table)| rewrite(view, options, level, table, Reason::Values));
    plans.find(|plan| view.allows(plan))
}
