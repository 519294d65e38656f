//! How often each operation ran, how long it took, and what the last ones were.
//!
//! Invariants: counting takes no lock; the log keeps lines only while somebody reads it, at most
//! [`LOG_LINES_MAX`] of them.

use fuser::{Errno, INodeNo};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Lines of the access log that wait for a slow reader; the oldest go first.
const LOG_LINES_MAX: usize = 16_384;
/// Latencies are counted by powers of two of microseconds: the last bucket begins at half a minute.
const BUCKETS: usize = 26;

macro_rules! operations {
    ($($name:ident = $text:literal,)*) => {
        /// What the kernel asks for.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) enum Operation { $($name,)* }

        const NAMES: &[&str] = &[$($text,)*];
    };
}

operations! {
    Lookup = "lookup",
    GetAttributes = "getattr",
    SetAttributes = "setattr",
    ReadLink = "readlink",
    MakeNode = "mknod",
    MakeDir = "mkdir",
    Unlink = "unlink",
    RemoveDir = "rmdir",
    Symlink = "symlink",
    Rename = "rename",
    Link = "link",
    Open = "open",
    Create = "create",
    Read = "read",
    Write = "write",
    Flush = "flush",
    Release = "release",
    Sync = "fsync",
    OpenDir = "opendir",
    ReadDir = "readdir",
    ReadDirPlus = "readdirplus",
    SyncDir = "fsyncdir",
    Room = "statfs",
    SetXattr = "setxattr",
    GetXattr = "getxattr",
    ListXattr = "listxattr",
    RemoveXattr = "removexattr",
    Allocate = "fallocate",
    Seek = "lseek",
    Copy = "copy_file_range",
    TestLock = "getlk",
    Lock = "setlk",
}

/// The counters of a mount.
pub(crate) struct Stats {
    counters: Vec<Counter>,
    readers: AtomicUsize,
    log: Mutex<VecDeque<String>>,
    logged: tokio::sync::Notify,
}

#[derive(Default)]
struct Counter {
    count: AtomicU64,
    failed: AtomicU64,
    nanos: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

impl Stats {
    pub(crate) fn new() -> Self {
        Self {
            counters: NAMES.iter().map(|_| Counter::default()).collect(),
            readers: AtomicUsize::new(0),
            log: Mutex::default(),
            logged: tokio::sync::Notify::new(),
        }
    }

    /// An operation has ended.
    pub(crate) fn count(
        &self,
        operation: Operation,
        number: INodeNo,
        took: Duration,
        error: Option<Errno>,
    ) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        if let Some(counter) = self.counters.get(operation as usize) {
            counter.count.fetch_add(1, Ordering::Relaxed);
            counter.nanos.fetch_add(nanos, Ordering::Relaxed);
            counter
                .failed
                .fetch_add(error.is_some().into(), Ordering::Relaxed);
            let bucket = (64 - (nanos / 1000).leading_zeros()) as usize;
            counter.buckets[bucket.min(BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
        }
        if self.readers.load(Ordering::Relaxed) > 0 {
            self.log(operation, number, took, error);
        }
    }

    fn log(&self, operation: Operation, number: INodeNo, took: Duration, error: Option<Errno>) {
        let name = NAMES.get(operation as usize).unwrap_or(&"");
        let outcome = error.map_or(0, |error| error.code());
        let line = format!(
            "{name} inode={} errno={outcome} us={}\n",
            number.0,
            took.as_micros()
        );
        let mut log = self.log.lock();
        if log.len() >= LOG_LINES_MAX {
            log.pop_front();
        }
        log.push_back(line);
        drop(log);
        self.logged.notify_one();
    }

    /// Somebody opens the access log.
    pub(crate) fn add_reader(&self) {
        self.readers.fetch_add(1, Ordering::Relaxed);
    }

    /// Somebody closes it.
    pub(crate) fn remove_reader(&self) {
        if self.readers.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.log.lock().clear();
        }
    }

    /// Lines of the access log, at most `bytes`; waits a while for the first.
    pub(crate) async fn read_log(&self, bytes: usize) -> String {
        /// The kernel can't take back a read: a reader that is killed waits no longer than this.
        const IDLE: Duration = Duration::from_secs(1);
        if self.log.lock().is_empty() {
            let idle = tokio::time::timeout(IDLE, self.logged.notified())
                .await
                .is_err();
            if idle {
                return "#\n".to_owned();
            }
        }
        let mut log = self.log.lock();
        let mut text = String::new();
        while let Some(line) = log.front()
            && text.len() + line.len() <= bytes
        {
            text.push_str(line);
            log.pop_front();
        }
        text
    }

    /// The counters as JSON: for each operation that ran its count, failures, and latencies in
    /// microseconds (mean, and upper bounds of the median and of 99 in 100).
    pub(crate) fn json(&self) -> String {
        let mut json = String::from("{");
        for (name, counter) in NAMES.iter().zip(&self.counters) {
            let count = counter.count.load(Ordering::Relaxed);
            if count == 0 {
                continue;
            }
            if json.len() > 1 {
                json.push(',');
            }
            let failed = counter.failed.load(Ordering::Relaxed);
            let mean = counter.nanos.load(Ordering::Relaxed) as f64 / count as f64 / 1000.0;
            let (p50, p99) = (counter.quantile(count, 50), counter.quantile(count, 99));
            json.push_str(&format!(
                "\"{name}\":{{\"count\":{count},\"failed\":{failed},\"mean_us\":{mean:.1},\
                 \"p50_us\":{p50},\"p99_us\":{p99}}}"
            ));
        }
        json.push_str("}\n");
        json
    }
}

impl Counter {
    /// Microseconds that so many in a hundred took at most.
    fn quantile(&self, count: u64, percent: u64) -> u64 {
        let rank = (count * percent).div_ceil(100);
        let mut seen = 0;
        for (bucket, hits) in self.buckets.iter().enumerate() {
            seen += hits.load(Ordering::Relaxed);
            if seen >= rank {
                return 1 << bucket;
            }
        }
        1 << (BUCKETS - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::{NAMES, Operation, Stats};
    use fuser::{Errno, INodeNo};
    use std::time::Duration;

    #[test]
    fn operations_are_counted_and_logged_while_somebody_reads() {
        let stats = Stats::new();
        let count = |micros, error| {
            let took = Duration::from_micros(micros);
            stats.count(Operation::Lookup, INodeNo(7), took, error);
        };
        assert_eq!(stats.json(), "{}\n");
        count(3, None);
        assert!(stats.log.lock().is_empty());
        stats.add_reader();
        count(900, Some(Errno::ENOENT));
        let expected = "{\"lookup\":{\"count\":2,\"failed\":1,\"mean_us\":451.5,\"p50_us\":4,\"p99_us\":1024}}\n";
        assert_eq!(stats.json(), expected);
        assert_eq!(
            stats.log.lock().front().map(String::as_str),
            Some("lookup inode=7 errno=2 us=900\n")
        );
        stats.remove_reader();
        assert!(stats.log.lock().is_empty());
        assert_eq!(NAMES[Operation::Copy as usize], "copy_file_range");
    }
}
