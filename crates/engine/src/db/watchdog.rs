//! The watchdog of the log: segments that can't be freed are noticed, and what holds them is
//! flushed.
//!
//! A segment is free when everything in it is in tables. A memtable that fills slowly while the log
//! grows fast (versions written again, ranges deleted) holds segments long before it is full; a
//! flush that fails holds them for ever. Over [`crate::Options::log_bytes_max`] the active memtable
//! is sealed, unless one waits to be flushed already; past it the throttle slows writers down
//! (`Core::pressure`), so the log is never much more than twice as long. Over the limit for long,
//! the reason is logged, once.

use super::core::{Core, Writing};

/// Over the limit for so long is no burst any more: a flush takes seconds at most.
const WARN_AFTER_MILLIS: u64 = 30_000;

/// What the watchdog remembers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LogWatch {
    /// Since when the log has been over its limit, by the wall clock.
    pub(super) since_millis: Option<u64>,
    is_warned: bool,
}

impl Core {
    /// Looks at the log; whether the active memtable should be sealed so that segments come free.
    pub(super) fn watch_log(&self, writing: &Writing) -> bool {
        if !self.is_log_over(writing) {
            *writing.log_watch.lock() = LogWatch::default();
            return false;
        }
        let now_millis = self.env.clock.now_millis();
        let mut watch = writing.log_watch.lock();
        let since_millis = *watch.since_millis.get_or_insert(now_millis);
        let is_due = now_millis.saturating_sub(since_millis) >= WARN_AFTER_MILLIS;
        if is_due && !watch.is_warned {
            watch.is_warned = true;
            let failure = writing.signal.lock().failure.clone();
            let reason = failure.map_or_else(
                || "flushing is slower than writing".to_owned(),
                |error| format!("flushing fails: {error}"),
            );
            let log_bytes = writing.log.disk_bytes();
            tracing::warn!(log_bytes, %reason, "the log is over its limit and can't be cut");
        }
        let view = self.view.load();
        view.sealed.is_empty() && !view.active.is_empty()
    }

    /// Whether the log takes more than it should.
    pub(super) fn is_log_over(&self, writing: &Writing) -> bool {
        writing.log.disk_bytes() > self.options.log_bytes_max()
    }
}
