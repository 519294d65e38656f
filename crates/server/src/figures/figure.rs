//! One figure.

use super::latency::Latencies;

/// What is measured, and what it is now.
#[derive(Clone, PartialEq, Debug)]
pub struct Figure {
    /// Its name without the prefix `nokv_` (and without the suffix `_total` of counters).
    pub name: &'static str,
    /// What it is, one line.
    pub help: &'static str,
    /// What distinguishes it from figures of the same name.
    pub labels: Vec<(&'static str, String)>,
    /// Its value.
    pub value: Value,
}

/// A value.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// Only grows, from the start of the server.
    Counter(u64),
    /// Goes up and down.
    Gauge(f64),
    /// How long something took.
    Latencies(Box<Latencies>),
}

impl Figure {
    /// A counter without labels.
    #[must_use]
    pub const fn counter(name: &'static str, help: &'static str, value: u64) -> Self {
        Self {
            name,
            help,
            labels: Vec::new(),
            value: Value::Counter(value),
        }
    }

    /// A gauge without labels.
    #[must_use]
    pub const fn gauge(name: &'static str, help: &'static str, value: f64) -> Self {
        Self {
            name,
            help,
            labels: Vec::new(),
            value: Value::Gauge(value),
        }
    }

    /// A histogram without labels.
    #[must_use]
    pub fn latencies(name: &'static str, help: &'static str, value: Latencies) -> Self {
        Self {
            name,
            help,
            labels: Vec::new(),
            value: Value::Latencies(Box::new(value)),
        }
    }

    /// The same with a label.
    #[must_use]
    pub fn with(mut self, label: &'static str, value: impl Into<String>) -> Self {
        self.labels.push((label, value.into()));
        self
    }

    /// Its name with its labels, as `rpc_failures{method="Lookup",reason="NotFound"}`.
    #[must_use]
    pub fn full_name(&self) -> String {
        if self.labels.is_empty() {
            return self.name.to_owned();
        }
        let labels = self.labels.iter();
        let labels: Vec<_> = labels
            .map(|(label, value)| format!("{label}={value:?}"))
            .collect();
        format!("{}{{{}}}", self.name, labels.join(","))
    }
}
