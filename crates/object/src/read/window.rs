//! How far to read ahead of a reader: pure.
//!
//! Invariants:
//! - nothing is read ahead before a second read has gone on where the first ended, and as long as
//!   reads leave holes;
//! - the window is at most twice what was read in one go, and at most the limit: whoever stops
//!   early has cost little;
//! - no byte is asked for twice until the reader jumps.

use std::ops::Range;

/// Reads that begin so far from where the last ended still go on: kernels send neighbouring reads
/// in any order.
const SLACK_BYTES: u64 = 1 << 20;
/// Holes that a stream may have for a moment, beside half of it, for the same reason.
const HOLES_BYTES: u64 = 256 << 10;
/// First window: less is not worth a GET.
const WINDOW_BYTES_MIN: u64 = 1 << 20;

/// Where a reader is, and what was asked for on its behalf.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Window {
    /// Where the reads that go on from each other began.
    start: u64,
    /// Where the one that reached farthest ended.
    end: u64,
    /// Bytes of all of them.
    read_bytes: u64,
    /// What was asked for ends here; `None` before anything was.
    asked: Option<u64>,
}

/// What a read means for reading ahead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Ahead {
    /// Nothing more is to be fetched now.
    Nothing,
    /// These bytes will be wanted soon.
    Fetch(Range<u64>),
    /// The reader is elsewhere: what was fetched for it is of no use.
    Drop,
}

impl Window {
    /// Takes note of a read; `bytes_max` is the largest window.
    pub(super) fn read(&mut self, read: &Range<u64>, bytes_max: u64) -> Ahead {
        let length = read.end.saturating_sub(read.start);
        let before = self.clone();
        self.start = self.start.min(read.start);
        self.end = self.end.max(read.end);
        self.read_bytes = self.read_bytes.saturating_add(length);
        let run = self.end.saturating_sub(self.start);
        let is_near = read.start <= before.end.saturating_add(SLACK_BYTES)
            && read.start.saturating_add(SLACK_BYTES) >= before.end;
        // What goes on leaves few holes: reads here and there within a megabyte are no stream.
        let is_dense = self.read_bytes.saturating_add(HOLES_BYTES) >= run / 2;
        let goes_on = before.read_bytes > 0 && is_near && is_dense;
        if !goes_on {
            *self = Self {
                start: read.start,
                end: read.end,
                read_bytes: length,
                asked: None,
            };
            return before.asked.map_or(Ahead::Nothing, |_| Ahead::Drop);
        }
        if self.end == before.end {
            return Ahead::Nothing;
        }
        let asked = self.asked.unwrap_or(0).max(self.end);
        let window = run.saturating_mul(2).max(WINDOW_BYTES_MIN).min(bytes_max);
        let target = self.end.saturating_add(window);
        // In steps of half a window: a few larger GETs rather than many small ones.
        if target.saturating_sub(asked) < window.div_ceil(2) || window == 0 {
            return Ahead::Nothing;
        }
        self.asked = Some(target);
        Ahead::Fetch(asked..target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAX: u64 = 32 << 20;
    const PIECE: u64 = 128 << 10;

    #[test]
    fn a_stream_is_ahead_soon_and_never_more_than_the_limit() {
        let mut window = Window::default();
        let (mut asked, mut longest) = (0, 0);
        for number in 0..1_000 {
            let read = number * PIECE..(number + 1) * PIECE;
            if let Ahead::Fetch(range) = window.read(&read, MAX) {
                assert_eq!(range.start, asked.max(read.end), "no gap, nothing twice");
                asked = range.end;
            }
            assert!(
                number < 2 || asked > read.end,
                "ahead from the third read on"
            );
            longest = longest.max(asked.saturating_sub(read.end));
            assert!(asked <= read.end + MAX);
        }
        assert!(longest > MAX - PIECE * 2);
    }

    #[test]
    fn random_reads_fetch_nothing() {
        let mut window = Window::default();
        for number in 1..1_000_u64 {
            let start = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 24;
            let ahead = window.read(&(start..start + 4_096), MAX);
            assert!(!matches!(ahead, Ahead::Fetch(_)), "{number}");
        }
    }

    #[test]
    fn a_jump_drops_what_was_fetched() {
        let mut window = Window::default();
        for number in 0..10 {
            window.read(&(number * PIECE..(number + 1) * PIECE), MAX);
        }
        let far = 1 << 30;
        assert_eq!(window.read(&(far..far + PIECE), MAX), Ahead::Drop);
        assert_eq!(window.read(&(0..PIECE), MAX), Ahead::Nothing);
    }

    proptest! {
        /// Neighbouring reads in another order are still one stream.
        #[test]
        fn reads_out_of_order_go_on(order in Just((0..64_u64).collect::<Vec<_>>()).prop_shuffle()) {
            let mut window = Window::default();
            let mut fetched = false;
            for group in 0..16 {
                for place in order.iter().filter(|place| **place / 4 == group) {
                    let start = place * PIECE;
                    let ahead = window.read(&(start..start + PIECE), MAX);
                    prop_assert!(ahead != Ahead::Drop);
                    fetched |= matches!(ahead, Ahead::Fetch(_));
                }
            }
            prop_assert!(fetched);
        }
    }
}
