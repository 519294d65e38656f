//! Choices, as a table: levels, and what is to be done.

use super::{Action, ChooseOptions, Effort, LevelsView, Reason, TableInfo, choose};
use crate::table::{Garbage, Span, TableSummary};

const MIB: u64 = 1 << 20;

/// A table: level, number, keys, size in MiB.
struct Row(usize, u64, &'static str, u64);

fn summary(keys: &str, mebibytes: u64) -> TableSummary {
    let (smallest, largest) = keys.split_once('-').expect("first-last");
    TableSummary {
        bytes: mebibytes * MIB,
        content_bytes: mebibytes * MIB,
        entry_count: 1000,
        key_count: 1000,
        smallest: smallest.into(),
        largest: largest.into(),
        version_min: 10,
        version_max: 20,
        ..TableSummary::default()
    }
}

fn options(effort: Effort) -> ChooseOptions<'static> {
    ChooseOptions {
        level0_tables: 4,
        level_base_bytes: 256 * MIB,
        table_bytes: 64 * MIB,
        horizon: 100,
        pins: &[],
        unpinned_from: None,
        effort,
    }
}

fn view(tables: &[(usize, u64, TableSummary)]) -> LevelsView<'_> {
    let mut levels = vec![Vec::new(); 8];
    for (level, number, summary) in tables {
        levels[*level].push(TableInfo {
            number: *number,
            summary,
        });
    }
    LevelsView {
        levels,
        claims: &[],
    }
}

/// What is chosen: reason, action, inputs as `level:numbers`, output level, number of lower spans.
fn chosen(tables: &[(usize, u64, TableSummary)], options: &ChooseOptions<'_>) -> String {
    let Some(plan) = choose(&view(tables), options) else {
        return "nothing".to_owned();
    };
    let inputs: Vec<String> = plan
        .inputs
        .iter()
        .map(|run| format!("{}:{:?}", run.level, run.numbers))
        .collect();
    let deeper = plan.deeper.len();
    format!(
        "{:?} {:?} {} to {} above {deeper}",
        plan.reason,
        plan.action,
        inputs.join(" "),
        plan.output_level
    )
}

fn check(rows: &[Row], effort: Effort, expected: &str) {
    let tables: Vec<_> = rows
        .iter()
        .map(|row| (row.0, row.1, summary(row.2, row.3)))
        .collect();
    assert_eq!(chosen(&tables, &options(effort)), expected);
}

#[test]
fn level_0_goes_to_the_last_level_of_a_small_store() {
    let rows = [
        Row(0, 14, "a-m", 64),
        Row(0, 13, "c-z", 64),
        Row(0, 12, "a-z", 64),
        Row(0, 11, "a-z", 64),
        Row(7, 5, "a-f", 64),
        Row(7, 6, "g-k", 64),
    ];
    check(
        &rows,
        Effort::Balance,
        "Level0 Merge 0:[14] 0:[13] 0:[12] 0:[11] 7:[5, 6] to 7 above 0",
    );
    check(&rows[1..], Effort::Balance, "nothing");
    check(
        &rows[1..],
        Effort::Settle,
        "Settle Merge 0:[13] 0:[12] 0:[11] 7:[5, 6] to 7 above 0",
    );
    check(&rows[4..], Effort::Settle, "nothing");
}

#[test]
fn a_larger_store_gets_levels_above_the_last() {
    let mut rows: Vec<Row> = (0..40).map(|n| Row(7, n, "a-b", 64)).collect();
    rows.extend((0..4).map(|n| Row(0, 100 - n, "a-z", 10)));
    let tables: Vec<_> = rows.iter().map(|r| (r.0, r.1, summary(r.2, r.3))).collect();
    let plan = choose(&view(&tables), &options(Effort::Balance)).expect("level 0 is full");
    assert_eq!(
        plan.output_level, 6,
        "2.5 GiB at the bottom: 256 MiB above it"
    );
    assert_eq!(plan.deeper.len(), 1);
}

#[test]
fn the_oldest_table_of_level_0_moves_when_it_overlaps_nothing() {
    let rows = [
        Row(0, 14, "t-z", 64),
        Row(0, 13, "p-q", 64),
        Row(0, 12, "n-o", 64),
        Row(0, 11, "k-m", 64),
        Row(7, 5, "a-f", 64),
    ];
    check(&rows, Effort::Balance, "nothing");
    check(&rows, Effort::Settle, "Settle Move 0:[11] to 7 above 0");
    let small = [
        Row(0, 14, "t-z", 1),
        Row(0, 13, "p-q", 1),
        Row(0, 12, "n-o", 1),
        Row(0, 11, "k-m", 1),
        Row(7, 4, "a-b", 64),
        Row(7, 5, "c-f", 1),
    ];
    let all = "Settle Merge 0:[11, 12, 13, 14] 7:[5] to 7 above 0";
    check(&small, Effort::Settle, all);
}

#[test]
fn a_full_level_gives_the_table_that_overlaps_least() {
    // The last level has 1 GiB, so level 6 may have 102 MiB.
    let mut rows: Vec<Row> = ["a-b", "c-d", "e-f", "g-h", "i-j", "k-l", "m-n", "o-z"]
        .iter()
        .zip(20..)
        .map(|(keys, number)| Row(7, number, keys, 128))
        .collect();
    rows.extend([
        Row(6, 1, "a-f", 60),
        Row(6, 2, "g-n", 60),
        Row(6, 3, "p-q", 60),
    ]);
    check(
        &rows,
        Effort::Balance,
        "Size Merge 6:[3] 7:[27] to 7 above 0",
    );
    // A gap below: it moves.
    rows[7] = Row(7, 27, "o-p", 128);
    rows[10] = Row(6, 3, "r-t", 60);
    check(&rows, Effort::Balance, "Size Move 6:[3] to 7 above 0");
}

#[test]
fn the_further_over_of_level_0_and_a_level_goes_first() {
    let mut rows: Vec<Row> = vec![Row(7, 20, "a-z", 1000), Row(6, 1, "a-z", 150)];
    rows.extend((0..4).map(|n| Row(0, 100 - n, "a-z", 64)));
    check(
        &rows,
        Effort::Balance,
        "Size Merge 6:[1] 7:[20] to 7 above 0",
    );
    rows.extend((4..8).map(|n| Row(0, 100 - n, "a-z", 64)));
    let tables: Vec<_> = rows.iter().map(|r| (r.0, r.1, summary(r.2, r.3))).collect();
    let plan = choose(&view(&tables), &options(Effort::Balance)).expect("both are over");
    assert_eq!((plan.reason, plan.inputs.len()), (Reason::Level0, 9));
}

#[test]
fn one_compaction_takes_a_bounded_number_of_the_oldest_tables() {
    let rows: Vec<Row> = (0..50).map(|n| Row(0, 100 - n, "a-z", 64)).collect();
    let tables: Vec<_> = rows.iter().map(|r| (r.0, r.1, summary(r.2, r.3))).collect();
    // Nothing is below: the oldest moves first.
    let plan = choose(&view(&tables), &options(Effort::Balance)).expect("level 0 is full");
    assert_eq!(
        (plan.action, plan.inputs[0].numbers.clone()),
        (Action::Move, vec![51])
    );
    let mut tables = tables;
    tables.push((7, 1, summary("a-z", 64)));
    let plan = choose(&view(&tables), &options(Effort::Balance)).expect("level 0 is full");
    assert_eq!(plan.inputs.len(), 33);
    assert_eq!(plan.inputs[0].numbers, [82]);
    assert_eq!(plan.inputs[31].numbers, [51]);
}

#[test]
fn deletions_are_pushed_down_once_the_horizon_has_passed() {
    let upper = |tombstones: u64, ranges: u64| TableSummary {
        tombstone_count: tombstones,
        range_tombstone_count: ranges,
        ..summary("c-d", 50)
    };
    let lower = |keys: &str| vec![(7, 20, summary(keys, 1000))];
    let cases = [
        (upper(240, 0), "a-z", 100, "nothing"),
        (
            upper(260, 0),
            "a-z",
            100,
            "Tombstones Merge 6:[1] 7:[20] to 7 above 0",
        ),
        (
            upper(0, 1),
            "a-z",
            100,
            "Tombstones Merge 6:[1] 7:[20] to 7 above 0",
        ),
        (upper(260, 0), "a-z", 9, "nothing"),
        (upper(260, 0), "e-z", 100, "nothing"),
    ];
    for (table, keys, horizon, expected) in cases {
        let mut tables = lower(keys);
        tables.push((6, 1, table));
        let options = ChooseOptions {
            horizon,
            ..options(Effort::Balance)
        };
        assert_eq!(chosen(&tables, &options), expected);
    }
}

#[test]
fn garbage_at_the_bottom_is_rewritten_in_place() {
    let with = |bytes: u64| {
        let mut garbage = Garbage::default();
        garbage.add(Span {
            from: 12,
            until: 18,
            bytes,
        });
        TableSummary {
            garbage,
            ..summary("c-d", 50)
        }
    };
    let cases = [
        (
            11 * MIB,
            100,
            &[][..],
            Effort::Balance,
            "Garbage Merge 7:[2] to 7 above 0",
        ),
        (9 * MIB, 100, &[], Effort::Balance, "nothing"),
        (
            9 * MIB,
            100,
            &[],
            Effort::Settle,
            "Garbage Merge 7:[2] to 7 above 0",
        ),
        (11 * MIB, 17, &[], Effort::Settle, "nothing"),
        (11 * MIB, 100, &[15], Effort::Settle, "nothing"),
        (
            11 * MIB,
            100,
            &[11, 18],
            Effort::Balance,
            "Garbage Merge 7:[2] to 7 above 0",
        ),
    ];
    for (bytes, horizon, pins, effort, expected) in cases {
        let tables = vec![
            (7, 1, summary("a-b", 64)),
            (7, 2, with(bytes)),
            (7, 3, summary("e-f", 64)),
        ];
        let options = ChooseOptions {
            horizon,
            pins,
            ..options(effort)
        };
        assert_eq!(chosen(&tables, &options), expected);
    }
    let tables = vec![(6, 2, with(11 * MIB)), (7, 1, summary("a-z", 600))];
    assert_eq!(
        chosen(&tables, &options(Effort::Settle)),
        "nothing",
        "what is below blocks it"
    );
}
