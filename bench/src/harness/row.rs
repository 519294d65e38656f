//! One measured figure, and the report of a run: rows and what is missing.
//!
//! The field names are the JSON form that issue readers and scripts rely on; unknown quantities are
//! `null`, never 0.

use super::{Latencies, Measured};
use serde::{Deserialize, Serialize};

/// One system under one workload.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    /// The subcommand: `ycsb`, `namespace`, `bodies`.
    pub(crate) bench: String,
    /// Who was measured; ours begin with `nokv`.
    pub(crate) system: String,
    /// What it did; where an operation is not one call, the name says its unit (`put-tree
    /// [files]`).
    pub(crate) workload: String,
    /// Concurrent callers.
    pub(crate) threads: u32,
    /// `buffered` or `synced`; for bodies where the bytes went.
    pub(crate) durability: String,
    /// `warm` or `cold`, as the README defines them.
    pub(crate) cache: String,
    /// Operations per second.
    pub(crate) ops_s: f64,
    /// Median latency.
    pub(crate) p50_us: Option<f64>,
    /// 95th percentile.
    pub(crate) p95_us: Option<f64>,
    /// 99th percentile.
    pub(crate) p99_us: Option<f64>,
    /// Slowest operation.
    pub(crate) max_us: Option<f64>,
    /// User and system CPU seconds of the measured window, background threads included.
    pub(crate) cpu_s: f64,
    /// Peak resident memory of the process.
    pub(crate) rss_mib: f64,
    /// Bytes allocated on disk after the run.
    pub(crate) disk_mib: f64,
}

/// What a row is about, before it is measured.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    /// See [`Row::bench`].
    pub(crate) bench: &'a str,
    /// See [`Row::system`].
    pub(crate) system: &'a str,
    /// See [`Row::workload`].
    pub(crate) workload: &'a str,
    /// See [`Row::threads`].
    pub(crate) threads: u32,
    /// See [`Row::durability`].
    pub(crate) durability: &'a str,
    /// See [`Row::cache`].
    pub(crate) cache: &'a str,
}

impl Row {
    /// A row from a measured window; disk and memory are filled by who knows them.
    pub(crate) fn new(subject: Subject<'_>, measured: &Measured) -> Self {
        let Measured {
            ops,
            seconds,
            latencies,
            cpu_s,
        } = measured;
        let at = |quantile| {
            latencies
                .as_ref()
                .map(|it: &Latencies| it.quantile_us(quantile))
        };
        Self {
            bench: subject.bench.into(),
            system: subject.system.into(),
            workload: subject.workload.into(),
            threads: subject.threads,
            durability: subject.durability.into(),
            cache: subject.cache.into(),
            ops_s: *ops as f64 / seconds.max(1e-9),
            p50_us: at(0.50),
            p95_us: at(0.95),
            p99_us: at(0.99),
            max_us: at(1.0),
            cpu_s: *cpu_s,
            rss_mib: 0.0,
            disk_mib: 0.0,
        }
    }

    /// Whether this is one of our own systems.
    pub(crate) fn is_ours(&self) -> bool {
        self.system.starts_with("nokv")
    }

    /// Rows with the same key are comparable with each other.
    pub(crate) fn group(&self) -> (&str, &str, u32, &str, &str) {
        (
            &self.bench,
            &self.workload,
            self.threads,
            &self.durability,
            &self.cache,
        )
    }
}

/// A system or a workload without a figure, and why.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct Missing {
    /// Who.
    pub(crate) system: String,
    /// Why, and how to get it.
    pub(crate) reason: String,
}

/// All that one run found.
#[derive(Default, Debug)]
pub(crate) struct Report {
    /// Figures, in the order measured.
    pub(crate) rows: Vec<Row>,
    /// What has none.
    pub(crate) missing: Vec<Missing>,
    /// Remarks that change how a figure must be read.
    pub(crate) notes: Vec<String>,
}

impl Report {
    /// Names a system that could not be measured.
    pub(crate) fn miss(&mut self, system: impl Into<String>, reason: impl Into<String>) {
        let missing = Missing {
            system: system.into(),
            reason: reason.into(),
        };
        eprintln!("  missing: {}: {}", missing.system, missing.reason);
        if !self.missing.contains(&missing) {
            self.missing.push(missing);
        }
    }

    /// Takes a figure and shows it at once, for whoever waits.
    pub(crate) fn take(&mut self, row: Row) {
        eprintln!(
            "  {:<24} {:<22} {:>2} {:<9} {:>12.0}/s  p99 {:>9.0} us  cpu {:>6.1} s  rss {:>6.0} MiB",
            row.system,
            row.workload,
            row.threads,
            row.durability,
            row.ops_s,
            row.p99_us.unwrap_or(f64::NAN),
            row.cpu_s,
            row.rss_mib
        );
        self.rows.push(row);
    }
}
