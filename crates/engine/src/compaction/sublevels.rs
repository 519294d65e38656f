//! Level 0 as few sorted runs.
//!
//! Tables of level 0 may overlap, but most don't: a flush writes several tables, cut where the
//! tables below are. Stacked as low as they go, they make *sublevels*: each sorted and without
//! overlap, the higher of two that know a key the newer. A reader asks one table of each, and the
//! *depth* (how many there are) says how far compaction is behind where it hurts, however many
//! tables there are.
//!
//! Invariant: a table lies above every older table that it overlaps. Source: L0 sublevels of
//! Pebble.

use crate::table::TableSummary;

/// Stacks tables that are given oldest first; the lowest sublevel first.
pub(crate) fn sublevels<T>(
    oldest_first: impl IntoIterator<Item = T>,
    summary: impl Fn(&T) -> &TableSummary,
) -> Vec<Vec<T>> {
    let mut levels: Vec<Vec<T>> = Vec::new();
    for table in oldest_first {
        let own = summary(&table);
        let overlaps = |level: &Vec<T>| {
            let place = level.partition_point(|other| summary(other).largest < own.smallest);
            let next = level.get(place);
            next.is_some_and(|other| summary(other).smallest <= own.largest)
        };
        let height = levels
            .iter()
            .rposition(overlaps)
            .map_or(0, |level| level + 1);
        if height == levels.len() {
            levels.push(Vec::new());
        }
        if let Some(level) = levels.get_mut(height) {
            let place =
                level.partition_point(|other| summary(other).smallest < summary(&table).smallest);
            level.insert(place, table);
        }
    }
    levels
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sublevels_are_sorted_and_ordered_by_age(
            spans in proptest::collection::vec((0..30_u8, 0..8_u8), 0..40),
        ) {
            let tables: Vec<(usize, TableSummary)> = spans
                .iter()
                .map(|(start, length)| TableSummary {
                    smallest: vec![*start],
                    largest: vec![start + length],
                    ..TableSummary::default()
                })
                .enumerate()
                .collect();
            let stack = sublevels(&tables, |table| &table.1);
            prop_assert_eq!(stack.iter().map(Vec::len).sum::<usize>(), tables.len());
            for level in &stack {
                for pair in level.windows(2) {
                    prop_assert!(pair[0].1.largest < pair[1].1.smallest);
                }
            }
            let height = |number: usize| {
                stack.iter().position(|level| level.iter().any(|table| table.0 == number))
            };
            for (newer, a) in &tables {
                for (older, b) in tables.iter().take(*newer) {
                    if a.smallest <= b.largest && b.smallest <= a.largest {
                        prop_assert!(height(*newer) > height(*older));
                    }
                }
            }
        }
    }
}
