//! Calls: how many of each method, how long they took, how they failed.
//!
//! Invariant: every method has its row; the compiler refuses one without.

use super::figure::Figure;
use super::latency::Latency;
use nokv_env::Clock;
use nokv_proto::v1::request::Method;
use nokv_types::{Failure, Reason};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

macro_rules! methods {
    ($($name:ident)*) => {
        #[derive(Clone, Copy)]
        enum Row { $($name,)* }

        /// The methods by name, in the order of their rows.
        const NAMES: &[&str] = &[$(stringify!($name),)*];

        fn row(method: &Method) -> usize {
            let row = match method { $(Method::$name(_) => Row::$name,)* };
            row as usize
        }
    };
}

methods! {
    Lookup ReadDir ReadLink Usage MakeDir MakeNode Symlink Link Rename Remove SetAttributes Publish
    GetXattr ListXattrs SetXattr ReplaceBody EditBody Sync ReadPlan OpenSession RenewSession CloseSession PutBlock GetBlock
    Status Collect ListMounts CreateMount RetireMount Check
    CreateSnapshot RenewSnapshot RemoveSnapshot ListSnapshots
    SetQuota RemoveQuota GetQuota ListQuotas CheckQuota Room Watch
    CreateBranch RemoveBranch ListBranches Diff Merge Restore Undo Command
}

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
        let failures = NAMES.len() * Reason::ALL.len();
        Arc::new(Self {
            clock,
            methods: NAMES.iter().map(|_| Latency::default()).collect(),
            failures: (0..failures).map(|_| AtomicU64::new(0)).collect(),
        })
    }

    /// A call has come.
    pub(crate) fn asked(self: &Arc<Self>, method: &Method) -> Asked {
        Asked {
            recorder: Arc::clone(self),
            row: row(method),
            at: self.clock.monotonic(),
        }
    }

    /// The figures of methods that were called.
    pub(super) fn figures(&self) -> Vec<Figure> {
        let mut figures = Vec::new();
        for (name, method) in NAMES.iter().zip(&self.methods) {
            let latencies = method.so_far();
            if latencies.count() > 0 {
                let help = "Time from a request's arrival to its answer, by method";
                let figure = Figure::latencies("rpc_duration_seconds", help, latencies);
                figures.push(figure.with("method", *name));
            }
        }
        let rows = self.failures.chunks(Reason::ALL.len()).zip(NAMES);
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
