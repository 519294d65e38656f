//! What a running compaction has taken, so that others can run beside it.
//!
//! Two compactions may run at once when they share no input and, where they write to the same
//! level, no part of the keys. That is enough:
//! - a compaction takes, with any table, all that overlaps it in the output level, so whoever would
//!   write below, or move something past, a running one needs one of its inputs;
//! - what lies deeper than its output can only lose keys meanwhile, so a deletion that it drops has
//!   nothing to hide later either.

use super::plan::{KeySpan, Plan};

/// The inputs and the output range of a running compaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Claim {
    pub(crate) numbers: Vec<u64>,
    pub(crate) output_level: usize,
    pub(crate) span: KeySpan,
}

impl Claim {
    pub(crate) fn of(plan: &Plan) -> Self {
        let numbers = plan.inputs.iter().flat_map(|run| &run.numbers);
        Self {
            numbers: numbers.copied().collect(),
            output_level: plan.output_level,
            span: plan.span.clone(),
        }
    }

    /// Whether a plan may run beside it.
    pub(crate) fn allows(&self, plan: &Plan) -> bool {
        let mut inputs = plan.inputs.iter().flat_map(|run| &run.numbers);
        let is_apart = plan.output_level != self.output_level || !plan.span.overlaps(&self.span);
        is_apart && !inputs.any(|number| self.numbers.contains(number))
    }
}
