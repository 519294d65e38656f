//! The table tells the truth about who is ahead, and hides neither a loss nor an absence.

use super::{Latencies, Measured, Report, Row, Subject, render};
use std::time::Duration;

fn row(system: &str, workload: &str, ops: u64) -> Row {
    let mut latencies = Latencies::new();
    latencies.record(Duration::from_micros(42));
    let measured = Measured {
        ops,
        seconds: 1.0,
        latencies: Some(latencies),
        cpu_s: 0.5,
    };
    let subject = Subject {
        bench: "ycsb",
        system,
        workload,
        threads: 16,
        durability: "buffered",
        cache: "warm",
    };
    Row::new(subject, &measured)
}

fn lines(report: &Report) -> Vec<String> {
    render(report)
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

#[test]
fn rows_are_grouped_sorted_and_related_to_the_best_peer() {
    let report = Report {
        rows: vec![
            row("slow", "A", 100),
            row("nokv", "A", 300),
            row("fast", "A", 200),
        ],
        ..Report::default()
    };
    let lines = lines(&report);
    assert!(
        lines[1].starts_with("A buffered 16 warm nokv 300.0 1.50 42."),
        "{}",
        lines[1]
    );
    assert!(lines[2].contains("fast 200.0 1.00"), "{}", lines[2]);
    assert!(lines[3].contains("slow 100.0 0.50"), "{}", lines[3]);
    assert!(!lines.iter().any(|line| line.contains("lose")));
}

#[test]
fn our_own_systems_are_not_peers_of_each_other() {
    let report = Report {
        rows: vec![
            row("nokv-a", "A", 300),
            row("nokv-b", "A", 100),
            row("peer", "A", 200),
        ],
        ..Report::default()
    };
    let text = lines(&report).join("\n");
    assert!(text.contains("nokv-a 300.0 1.50"), "{text}");
    assert!(
        text.contains("nokv-b A buffered: 0.50 of the best peer"),
        "{text}"
    );
}

#[test]
fn without_a_peer_there_is_no_ratio() {
    let report = Report {
        rows: vec![row("nokv", "A", 300)],
        ..Report::default()
    };
    assert!(lines(&report)[1].contains("nokv 300.0 - 42."));
}

#[test]
fn workloads_do_not_mix_and_the_missing_are_named() {
    let mut report = Report {
        rows: vec![row("nokv", "A", 10), row("peer", "B", 1_000)],
        ..Report::default()
    };
    report.miss("rocksdb", "build with --features rocksdb");
    report.miss("rocksdb", "build with --features rocksdb");
    let text = lines(&report).join("\n");
    assert!(text.contains("nokv 10.0 -"), "{text}");
    assert_eq!(text.matches("missing: rocksdb: build with").count(), 1);
}

#[test]
fn the_json_row_has_exactly_the_agreed_fields() {
    let json = serde_json::to_value(row("nokv", "A", 1)).expect("serializes");
    let mut fields: Vec<_> = json
        .as_object()
        .expect("an object")
        .keys()
        .cloned()
        .collect();
    fields.sort();
    let mut expected: Vec<_> =
        "bench system workload threads durability cache ops_s p50_us p95_us \
        p99_us max_us cpu_s rss_mib disk_mib"
            .split_whitespace()
            .collect();
    expected.sort_unstable();
    assert_eq!(fields, expected);
}
