//! The printed table: groups of comparable rows, fastest first, each with its ratio to the best
//! peer.

use super::{Report, Row};
use std::fmt::Write;

/// What a row's place in its group is.
#[derive(Debug, PartialEq)]
enum Standing {
    /// Our row, at this multiple of the best peer.
    Ours(f64),
    /// A peer's row, at this multiple of the best peer.
    Peer(f64),
    /// No peer was measured.
    Alone,
}

/// The whole report as text: table, rows that we lose, what is missing, remarks.
pub(crate) fn render(report: &Report) -> String {
    let mut text = String::new();
    render_into(report, &mut text).expect("writing to a string does not fail");
    text
}

fn render_into(report: &Report, text: &mut String) -> std::fmt::Result {
    writeln!(
        text,
        "{:<24} {:<9} {:>3} {:<5} {:<22} {:>12} {:>7} {:>10} {:>10} {:>10} {:>10} {:>8} {:>8} {:>9}",
        "workload",
        "durable",
        "thr",
        "cache",
        "system",
        "ops/s",
        "ratio",
        "p50 us",
        "p95 us",
        "p99 us",
        "max us",
        "cpu s",
        "rss MiB",
        "disk MiB"
    )?;
    let mut lost = Vec::new();
    for group in groups(&report.rows) {
        for row in &group {
            let standing = standing(row, &group);
            if let Standing::Ours(ratio) = standing
                && ratio < 1.0
            {
                lost.push((*row, ratio));
            }
            line(text, row, &standing)?;
        }
        writeln!(text)?;
    }
    if !lost.is_empty() {
        writeln!(text, "Rows that we lose:")?;
        for (row, ratio) in lost {
            writeln!(
                text,
                "  {} {} {}: {:.2} of the best peer",
                row.system, row.workload, row.durability, ratio
            )?;
        }
    }
    for missing in &report.missing {
        writeln!(text, "missing: {}: {}", missing.system, missing.reason)?;
    }
    for note in &report.notes {
        writeln!(text, "note: {note}")?;
    }
    Ok(())
}

fn line(text: &mut String, row: &Row, standing: &Standing) -> std::fmt::Result {
    let ratio = match standing {
        Standing::Ours(ratio) | Standing::Peer(ratio) => format!("{ratio:.2}"),
        Standing::Alone => "-".into(),
    };
    let micros = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.1}"));
    writeln!(
        text,
        "{:<24} {:<9} {:>3} {:<5} {:<22} {:>12.1} {:>7} {:>10} {:>10} {:>10} {:>10} {:>8.2} {:>8.1} {:>9.1}",
        row.workload,
        row.durability,
        row.threads,
        row.cache,
        row.system,
        row.ops_s,
        ratio,
        micros(row.p50_us),
        micros(row.p95_us),
        micros(row.p99_us),
        micros(row.max_us),
        row.cpu_s,
        row.rss_mib,
        row.disk_mib
    )
}

/// Comparable rows together, groups in order of first appearance, fastest row first.
fn groups(rows: &[Row]) -> Vec<Vec<&Row>> {
    let mut groups: Vec<Vec<&Row>> = Vec::new();
    for row in rows {
        match groups
            .iter_mut()
            .find(|group| group[0].group() == row.group())
        {
            Some(group) => group.push(row),
            None => groups.push(vec![row]),
        }
    }
    for group in &mut groups {
        group.sort_by(|left, right| right.ops_s.total_cmp(&left.ops_s));
    }
    groups
}

fn standing(row: &Row, group: &[&Row]) -> Standing {
    let best = group
        .iter()
        .filter(|other| !other.is_ours())
        .map(|other| other.ops_s)
        .fold(f64::NAN, f64::max);
    if best.is_nan() || best <= 0.0 {
        return Standing::Alone;
    }
    let ratio = row.ops_s / best;
    if row.is_ours() {
        Standing::Ours(ratio)
    } else {
        Standing::Peer(ratio)
    }
}
