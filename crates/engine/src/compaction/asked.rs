//! What is left to do for a range of keys that somebody wants compacted in full.
//!
//! Invariant: every plan moves bytes of the range down, or drops what can be dropped at the bottom,
//! so asking and running until there is none ends; then the range is in the last level alone, with
//! nothing in it that a compaction could drop.

use super::{
    choose::{ChooseOptions, push_down, rewrite},
    level0,
    plan::{KeySpan, LevelsView, Plan, Reason},
    targets::Targets,
};

/// The next compaction for the span; `None` when there is none that may run now.
pub(crate) fn choose_asked(
    view: &LevelsView<'_>,
    options: &ChooseOptions<'_>,
    span: &KeySpan,
) -> Option<Plan> {
    let is_within = |level: usize| {
        let tables = view.level(level).iter();
        tables.filter(|table| KeySpan::of(table.summary).overlaps(span))
    };
    if is_within(0).next().is_some() {
        let base = Targets::of(view, options.level_base_bytes).base;
        return level0::plan(view, options, base, Reason::Asked);
    }
    let mut down = (1..view.last()).flat_map(|level| {
        is_within(level)
            .filter_map(move |table| push_down(view, options, level, table, Reason::Asked))
    });
    let last = view.last();
    let mut anew = is_within(last)
        .filter(|table| options.droppable(table.summary) > 0)
        .filter_map(|table| rewrite(view, options, last, table, Reason::Asked));
    down.find(|plan| view.allows(plan))
        .or_else(|| anew.find(|plan| view.allows(plan)))
}
