//! Choices over random trees, with several compactions running at once: the levels keep their
//! invariants, a newer version never gets below an older one, and choosing ends.
//!
//! The tree is simulated: a table is the keys it covers with the age of its data at each, a merge
//! takes for each key what is in its inputs.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{
    Action, ChooseOptions, Claim, Effort, KeySpan, LevelsView, Plan, TableInfo, choose, sublevels,
};
use crate::table::TableSummary;

const MIB: u64 = 1 << 20;
const LEVELS: usize = 8;
const TABLE_KEYS: usize = 6;

/// A table: for each of its keys, the age of its newest data (higher is newer).
#[derive(Clone, Debug)]
struct Model {
    number: u64,
    level: usize,
    ages: BTreeMap<u8, u64>,
    summary: TableSummary,
}

fn model(number: u64, level: usize, ages: BTreeMap<u8, u64>) -> Model {
    let bytes = ages.len() as u64 * 10 * MIB;
    let summary = TableSummary {
        bytes,
        content_bytes: bytes,
        entry_count: 10,
        key_count: 10,
        smallest: ages.keys().take(1).copied().collect(),
        largest: ages.keys().next_back().into_iter().copied().collect(),
        ..TableSummary::default()
    };
    Model {
        number,
        level,
        ages,
        summary,
    }
}

#[derive(Clone, Debug)]
enum Step {
    Flush(Vec<u8>),
    Begin,
    Finish(prop::sample::Index),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => proptest::collection::vec(0..60_u8, 1..20).prop_map(Step::Flush),
        3 => Just(Step::Begin),
        2 => any::<prop::sample::Index>().prop_map(Step::Finish),
    ];
    proptest::collection::vec(step, 0..80)
}

#[derive(Default)]
struct Tree {
    tables: Vec<Model>,
    running: Vec<Plan>,
    next_number: u64,
    next_age: u64,
}

impl Tree {
    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn flush(&mut self, keys: &[u8]) {
        self.next_age += 1;
        let age = self.next_age;
        let ages: Vec<(u8, u64)> = {
            let ages: BTreeMap<u8, u64> = keys.iter().map(|key| (*key, age)).collect();
            ages.into_iter().collect()
        };
        for piece in ages.chunks(TABLE_KEYS) {
            let number = self.number();
            self.tables
                .push(model(number, 0, piece.iter().copied().collect()));
        }
    }

    fn choose(&self, effort: Effort) -> Option<Plan> {
        let mut levels = vec![Vec::new(); LEVELS];
        for table in &self.tables {
            levels[table.level].push(TableInfo {
                number: table.number,
                summary: &table.summary,
            });
        }
        levels[0].sort_by_key(|table| std::cmp::Reverse(table.number));
        for level in &mut levels[1..] {
            level.sort_by(|a, b| a.summary.smallest.cmp(&b.summary.smallest));
        }
        let claims: Vec<Claim> = self.running.iter().map(Claim::of).collect();
        let view = LevelsView {
            levels,
            claims: &claims,
        };
        let options = ChooseOptions {
            level0_tables: 3,
            level_base_bytes: 100 * MIB,
            table_bytes: 60 * MIB,
            horizon: 0,
            pins: &[],
            unpinned_from: None,
            effort,
        };
        choose(&view, &options)
    }

    /// Does what the plan says, as it was when it was chosen: its inputs are still there.
    fn finish(&mut self, plan: &Plan) {
        let numbers: Vec<u64> = plan
            .inputs
            .iter()
            .flat_map(|run| run.numbers.clone())
            .collect();
        let taken = |table: &Model| numbers.contains(&table.number);
        let (inputs, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.tables)
            .into_iter()
            .partition(taken);
        self.tables = rest;
        assert_eq!(inputs.len(), numbers.len(), "every input is there, once");
        if plan.action == Action::Move {
            for mut table in inputs {
                table.level = plan.output_level;
                self.tables.push(table);
            }
            return;
        }
        let mut ages = BTreeMap::new();
        for (key, age) in inputs.iter().flat_map(|table| &table.ages) {
            let slot = ages.entry(*key).or_insert(*age);
            *slot = *age.max(slot);
        }
        let ages: Vec<(u8, u64)> = ages.into_iter().collect();
        for piece in ages.chunks(TABLE_KEYS) {
            let number = self.number();
            self.tables.push(model(
                number,
                plan.output_level,
                piece.iter().copied().collect(),
            ));
        }
    }

    /// Where a reader looks, newest first.
    fn runs(&self) -> Vec<Vec<&Model>> {
        let mut level0: Vec<_> = self
            .tables
            .iter()
            .filter(|table| table.level == 0)
            .collect();
        level0.sort_by_key(|table| table.number);
        let mut runs = sublevels(level0, |table| &table.summary);
        runs.reverse();
        for level in 1..LEVELS {
            let mut run: Vec<_> = self
                .tables
                .iter()
                .filter(|table| table.level == level)
                .collect();
            run.sort_by(|a, b| a.summary.smallest.cmp(&b.summary.smallest));
            runs.push(run);
        }
        runs
    }

    fn check(&self, newest: &BTreeMap<u8, u64>) -> Result<(), TestCaseError> {
        let runs = self.runs();
        for run in &runs {
            for pair in run.windows(2) {
                prop_assert!(pair[0].summary.largest < pair[1].summary.smallest);
            }
        }
        for (key, expected) in newest {
            let found: Vec<u64> = runs
                .iter()
                .flatten()
                .filter_map(|table| table.ages.get(key).copied())
                .collect();
            prop_assert_eq!(found.first(), Some(expected), "the newest is found first");
            prop_assert!(
                found.is_sorted_by(|a, b| a > b),
                "ages go down with the runs"
            );
        }
        for (place, plan) in self.running.iter().enumerate() {
            for other in self.running.iter().skip(place + 1) {
                prop_assert!(
                    plan.output_level != other.output_level || !plan.span.overlaps(&other.span)
                );
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn compactions_that_run_at_once_keep_the_order_of_ages(steps in steps()) {
        let (mut tree, mut newest) = (Tree::default(), BTreeMap::new());
        for step in &steps {
            match step {
                Step::Flush(keys) => {
                    tree.flush(keys);
                    newest.extend(keys.iter().map(|key| (*key, tree.next_age)));
                }
                Step::Begin => {
                    if let Some(plan) = tree.choose(Effort::Settle) {
                        for table in tree.tables.iter().filter(|table| {
                            plan.inputs.iter().any(|run| run.numbers.contains(&table.number))
                        }) {
                            let own = KeySpan::of(&table.summary);
                            prop_assert_eq!(plan.span.joined(&own), plan.span.clone());
                        }
                        tree.running.push(plan);
                    }
                }
                Step::Finish(index) => {
                    if !tree.running.is_empty() {
                        let plan = tree.running.remove(index.index(tree.running.len()));
                        tree.finish(&plan);
                    }
                }
            }
            tree.check(&newest)?;
        }
        for plan in std::mem::take(&mut tree.running) {
            tree.finish(&plan);
        }
        // Left alone, it comes to rest, with nothing in level 0.
        for round in 0.. {
            prop_assert!(round < 1000, "choosing does not end");
            let Some(plan) = tree.choose(Effort::Settle) else { break };
            tree.finish(&plan);
            tree.check(&newest)?;
        }
        prop_assert!(tree.tables.iter().all(|table| table.level > 0));
    }
}
