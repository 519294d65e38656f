//! Slowing writers down so that flush and compaction keep up.
//!
//! A store that takes writes faster than it can sort them must slow the writers, and it should do
//! so early and little rather than late and fully. *Pressure* runs from 0 (no debt) to 1 (much):
//! the depth and the bytes of level 0 beyond what compaction tolerates, the memory that waits to be
//! flushed, and a log that is longer than it should be. The first two count the active memtable as
//! it fills, so pressure moves with every write and does not jump with every flush. All writers
//! together may write [`PACE_BYTES_PER_SECOND`] / pressure², so the store comes to rest where the
//! pace is that of its compactions.
//!
//! Invariants: memory is bounded: at most `immutables_max` sealed memtables, and the active one;
//! only there, and at twice the debt that makes the slowest pace, does a writer wait for work to be
//! done.

use std::time::Duration;

use parking_lot::Mutex;

use super::{
    background::Progress,
    core::{Core, Counters, Writing},
    view::View,
};
use crate::{Error, compaction::Effort};

/// The pace of all writers at pressure 1: a few small writes a millisecond, so that none waits
/// long, and far below what any device compacts.
const PACE_BYTES_PER_SECOND: f64 = (2 << 20) as f64;

/// A write waits no longer for its turn, but for the time of its own bytes: a caller would take it
/// for a stop.
const PAUSE_MAX: Duration = Duration::from_millis(8);

/// Nor does a large write wait longer than this for its own bytes.
const PAUSE_LARGE_MAX: Duration = Duration::from_millis(100);

/// Pauses shorter than this are left to later writes: a system call costs about as much.
const PAUSE_MIN: Duration = Duration::from_micros(100);

/// Level 0 slows writers from this many times the depth at which compaction begins, or as many
/// memtables of bytes,
const LEVEL0_SLOW_FACTOR: f64 = 3.0;

/// and fully at this many times.
const LEVEL0_FULL_FACTOR: f64 = 9.0;

/// The debt in level 0 at which writers wait: compaction has failed, or there is none.
const DEBT_STOP: f64 = 2.0;

/// Memory slows writers when so many memtables are full, the active one included.
const MEMTABLES_SLOW: f64 = 1.5;

/// When the next write may go.
#[derive(Debug, Default)]
pub(super) struct Pacer(Mutex<Duration>);

impl Pacer {
    /// Lines a write up at this pressure; how long it must wait.
    fn line_up(&self, now: Duration, pressure: f64, byte_count: usize) -> Duration {
        let pace = PACE_BYTES_PER_SECOND / (pressure * pressure);
        let cost = Duration::try_from_secs_f64(byte_count as f64 / pace).unwrap_or(PAUSE_LARGE_MAX);
        let pause_max = PAUSE_MAX.max(cost.min(PAUSE_LARGE_MAX));
        let mut due = self.0.lock();
        let wait = due.saturating_sub(now).min(pause_max);
        // What could not be waited for is not owed by those who come later.
        *due = now + wait + cost;
        wait
    }
}

/// How near the store is to its limits; 1 and more is at them.
#[derive(Clone, Copy, Debug)]
struct Pressure {
    /// Of memtables, and the log that they hold.
    memory: f64,
    /// Of level 0.
    debt: f64,
}

impl Core {
    /// Pauses or waits as the state of the store asks for, before `byte_count` bytes are written.
    ///
    /// # Errors
    /// The failure of the background work that the writer would have to wait for.
    pub(super) fn throttle(&self, writing: &Writing, byte_count: usize) -> Result<(), Error> {
        let pressure = self.pressure(&self.view.load());
        if pressure.is_none() {
            return Ok(());
        }
        let start = self.env.clock.monotonic();
        if pressure.is_stop() {
            Counters::add(&self.counters.stalls, 1);
            self.wait_for_progress(writing)?;
        } else {
            let highest = pressure.memory.max(pressure.debt).min(1.0);
            let wait = writing.pacer.line_up(start, highest, byte_count);
            if wait < PAUSE_MIN {
                return Ok(());
            }
            Counters::add(&self.counters.slowdowns, 1);
            self.env.clock.sleep(wait);
        }
        let waited = self.env.clock.monotonic().saturating_sub(start).as_micros();
        Counters::add(
            &self.counters.stall_micros,
            u64::try_from(waited).unwrap_or(u64::MAX),
        );
        Ok(())
    }

    /// Waits by working: it waits for the flush that runs, then does the next; the same for
    /// compactions.
    fn wait_for_progress(&self, writing: &Writing) -> Result<(), Error> {
        while self.pressure(&self.view.load()).is_stop() {
            self.check_open()?;
            let is_flushed = self.flush_one(writing)? == Progress::Done;
            if is_flushed || self.compact_one(writing, Effort::Balance)? == Progress::Done {
                writing.note_progress(None);
            } else {
                // All that could be done is being done.
                let mut signal = writing.signal.lock();
                writing.progress.wait_for(&mut signal, PAUSE_MAX);
            }
        }
        Ok(())
    }

    fn pressure(&self, view: &View) -> Pressure {
        let tables = &view.tables;
        let sealed = view.sealed.len();
        let unit = self.options.level0_tables as f64;
        let memtable_bytes = self.options.memtable_bytes as f64;
        let level0 =
            (tables.level0_depth() as f64).max(tables.level0_bytes() as f64 / memtable_bytes);
        if sealed == 0 && level0 < unit * LEVEL0_SLOW_FACTOR {
            return Pressure {
                memory: 0.0,
                debt: 0.0,
            };
        }
        let fullness = view.active.fullness(&self.options).min(1.0);
        let (slow, full) = (unit * LEVEL0_SLOW_FACTOR, unit * LEVEL0_FULL_FACTOR);
        let filled = sealed as f64 + fullness;
        let limit = self.options.immutables_max as f64 + 1.0;
        let memory = (filled - MEMTABLES_SLOW) / (limit - MEMTABLES_SLOW);
        Pressure {
            memory: memory.max(self.log_pressure()),
            debt: (level0 + filled - slow) / (full - slow),
        }
    }

    /// From 0 at the limit of the log to 1 at twice as much.
    fn log_pressure(&self) -> f64 {
        let log_bytes = self.writing.as_ref().map_or(0, |own| own.log.disk_bytes());
        log_bytes as f64 / self.options.log_bytes_max() as f64 - 1.0
    }
}

impl Pressure {
    fn is_none(self) -> bool {
        self.memory <= 0.0 && self.debt <= 0.0
    }

    fn is_stop(self) -> bool {
        self.memory >= 1.0 || self.debt >= DEBT_STOP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_writers_together_keep_the_pace_and_none_waits_long() {
        for pressure in [0.1, 0.5, 1.0] {
            let pacer = Pacer::default();
            let mut now = Duration::from_secs(100);
            // Sixteen writers, each of which comes back as soon as its wait is over.
            let mut writers = [now; 16];
            for _ in 0..20_000 {
                let writer = writers.iter_mut().min().expect("there are some");
                now = now.max(*writer);
                let wait = pacer.line_up(now, pressure, 1000);
                assert!(wait <= PAUSE_MAX, "{wait:?}");
                *writer = now + wait;
            }
            let seconds = (now - Duration::from_secs(100)).as_secs_f64();
            let pace = 20_000_000.0 / seconds * pressure * pressure / PACE_BYTES_PER_SECOND;
            assert!((0.95..1.05).contains(&pace), "{pace} at {pressure}");
        }
    }

    #[test]
    fn a_large_write_pays_for_itself_within_bounds() {
        let pacer = Pacer::default();
        let now = Duration::from_secs(1);
        assert_eq!(pacer.line_up(now, 1.0, 64 << 20), Duration::ZERO);
        assert_eq!(pacer.line_up(now, 1.0, 64 << 20), PAUSE_LARGE_MAX);
        assert!(pacer.line_up(now + PAUSE_LARGE_MAX, 1.0, 10) <= PAUSE_MAX);
    }
}
