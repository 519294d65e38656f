//! Slowing writers down so that flush and compaction keep up.
//!
//! A store that takes writes faster than it can sort them must slow the writers, and it should do
//! so early and little rather than late and fully. *Pressure* runs from 0 (no debt) to 1 (the
//! limit): tables in level 0 beyond what compaction tolerates, and memtables that wait to be
//! flushed while the active one fills up. Below 1 a write pays for its bytes by a pause that grows
//! with the square of the pressure; at 1 it waits for progress.
//!
//! Invariant: memory is bounded: at most `immutables_max` sealed memtables, and the active one.

use std::time::Duration;

use super::{
    background::Progress,
    core::{Core, Counters, Writing},
};
use crate::{Error, compaction::Effort};

/// The pause of a write of [`PAUSE_UNIT_BYTES`] just below the limit: with it, writers go at some 4
/// MiB/s.
const PAUSE_MICROS_MAX: f64 = 1000.0;

/// The bytes that pay one pause.
const PAUSE_UNIT_BYTES: f64 = 4096.0;

/// One pause is never longer: a caller would take it for a stop.
const PAUSE_MICROS_LIMIT: f64 = 10_000.0;

/// Pauses shorter than this are not worth a system call.
const PAUSE_MICROS_MIN: f64 = 20.0;

/// Level 0 slows writers from this many times the number of tables at which compaction begins,
const LEVEL0_SLOW_FACTOR: f64 = 3.0;

/// and stops them at this many times.
const LEVEL0_STOP_FACTOR: f64 = 9.0;

impl Core {
    /// Pauses or waits as the state of the store asks for, before `byte_count` bytes are written.
    ///
    /// # Errors
    /// The failure of the background work that the writer would have to wait for.
    pub(super) fn throttle(&self, writing: &Writing, byte_count: usize) -> Result<(), Error> {
        let pressure = self.pressure();
        if pressure <= 0.0 {
            return Ok(());
        }
        let start = self.env.clock.monotonic();
        if pressure >= 1.0 {
            Counters::add(&self.counters.stalls, 1);
            self.wait_for_progress(writing)?;
        } else {
            let pause = pause_micros(pressure, byte_count);
            if pause < PAUSE_MICROS_MIN {
                return Ok(());
            }
            Counters::add(&self.counters.slowdowns, 1);
            self.env.clock.sleep(Duration::from_secs_f64(pause / 1e6));
        }
        let waited = self.env.clock.monotonic().saturating_sub(start).as_micros();
        Counters::add(
            &self.counters.stall_micros,
            u64::try_from(waited).unwrap_or(u64::MAX),
        );
        Ok(())
    }

    /// Waits by working: it waits for the flush or compaction that runs, then does the next.
    fn wait_for_progress(&self, writing: &Writing) -> Result<(), Error> {
        while self.pressure() >= 1.0 {
            self.check_open()?;
            let is_flushed = self.flush_one(writing)? == Progress::Done;
            if is_flushed || self.compact_one(writing, Effort::Balance)? == Progress::Done {
                writing.note_progress(None);
            }
        }
        Ok(())
    }

    /// How near the store is to the limit of its debt; 1 and more is at it.
    fn pressure(&self) -> f64 {
        let view = self.view.load();
        let level0 = view.tables.level0_count();
        let sealed = view.sealed.len();
        if sealed == 0 && level0 <= self.options.level0_tables {
            return 0.0;
        }
        let fullness = view.active.byte_count() as f64 / self.options.memtable_bytes as f64;
        let sealed_limit = self.options.immutables_max as f64;
        // The last memtable that may be sealed is filled ever more slowly; before it there is no
        // hurry.
        let memory = if sealed as f64 >= sealed_limit && fullness >= 1.0 {
            1.0
        } else {
            (sealed as f64 + fullness - sealed_limit).clamp(0.0, 0.99)
        };
        let tables = self.options.level0_tables as f64;
        let (slow, stop) = (tables * LEVEL0_SLOW_FACTOR, tables * LEVEL0_STOP_FACTOR);
        let level0 = (level0 as f64 - slow) / (stop - slow);
        memory.max(level0)
    }
}

/// The pause of a write below the limit.
fn pause_micros(pressure: f64, byte_count: usize) -> f64 {
    let units = byte_count as f64 / PAUSE_UNIT_BYTES;
    (pressure * pressure * PAUSE_MICROS_MAX * units).min(PAUSE_MICROS_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::{PAUSE_MICROS_LIMIT, pause_micros};

    #[test]
    fn a_pause_grows_with_pressure_and_bytes_and_is_bounded() {
        assert!(pause_micros(0.1, 4096) < pause_micros(0.5, 4096));
        assert!(pause_micros(0.5, 1000) < pause_micros(0.5, 4096));
        assert!(pause_micros(0.99, usize::MAX) <= PAUSE_MICROS_LIMIT);
    }
}
