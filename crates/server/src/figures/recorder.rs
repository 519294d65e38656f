//! Calls: how many of each method, how long they took, how they failed.
//!
//! Rows are those of [`nokv_proto::v1::METHODS`], so that every method has one.

use super::figure::Figure;
use super::latency::Latency;
use nokv_env::Clock;
use nokv_proto::v1::{METHODS, request::Method};
use nokv_types::{Failure, Reason};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What is counted of the calls.
pub(crate) struct Recorder {
    clock: Arc<dyn Clock>,
    methods: Vec<Latency>,
    /// By method, then by reason.
    failures: Vec<AtomicU64>,
}

/// A call that is under way.
pub(crate) struct Asked {
    recorder: Arc<Recorder>,
    row: usize,
    at: Duration,
}

impl Recorder {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        let failures = METHODS.len() * Reason::ALL.len();
        Arc::new(Self {
            clock,
            methods: METHODS.iter().map(|_| Latency::default()).collect(),
            failures: (0..failures).map(|_| AtomicU64::new(0)).collect(),
        })
    }

    /// A call has come.
    pub(crate) fn asked(self: &Arc<Self>, method: &Method) -> Asked {
        Asked {
            recorder: Arc::clone(self),
            row: method.row(),
            at: self.clock.monotonic(),
        }
    }

    /// The figures of methods that were called.
    pub(super) fn figures(&self) -> Vec<Figure> {
        let mut figures = Vec::new();
        for (name, method) in METHODS.iter().zip(&self.methods) {
            let latencies = method.so_far();
            if latencies.count() > 0 {
                let help = "Time from a request's arrival to its answer, by method";
                let figure = Figure::latencies("rpc_duration_seconds", help, latencies);
                figures.push(figure.with("method", *name));
            }
        }
        let rows = self.failures.chunks(Reason::ALL.len()).zip(METHODS);
        for (failures, name) in rows {
            for (count, reason) in failures.iter().zip(Reason::ALL) {
                let count = count.load(Ordering::Relaxed);
                if count > 0 {
                    let help = "Calls that failed, by method and reason";
                    let figure = Figure::counter("rpc_failures", help, count);
                    let figure = figure.with("method", *name);
                    figures.push(figure.with("reason", reason.code()));
                }
            }
        }
        figures
    }
}

impl Asked {
    /// Counts the call with its outcome.
    pub(crate) fn answered<T>(self, result: &Result<T, Failure>) {
        let recorder = &self.recorder;
        let took = recorder.clock.monotonic().saturating_sub(self.at);
        if let Some(method) = recorder.methods.get(self.row) {
            method.add(took);
        }
        if let Err(failure) = result {
            let reason = Reason::ALL.iter().position(|one| *one == failure.reason());
            let at = self.row * Reason::ALL.len() + reason.unwrap_or_default();
            if let Some(count) = recorder.failures.get(at) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
