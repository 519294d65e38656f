//! What a flush stores of a file: pure.
//!
//! | the file is | then |
//! |---|---|
//! | at most a few KiB | its bytes go into its node |
//! | small, or mostly new | all of it is stored |
//! | large, with edits | what was edited, widened to [`GRAIN_BYTES`], is stored; the rest is shared |
//!
//! Invariants: pieces ascend, do not overlap, and what lies between them is zeros; every piece that
//! is stored has more than [`INLINE_BYTES_MAX`] bytes and at most [`PIECE_BYTES_MAX`] and half as
//! much again.

use super::overlay::{Segment, Source};
use nokv_types::INLINE_BYTES_MAX;
use std::ops::Range;

/// What is edited is stored in multiples of this: smaller pieces would cost an object each and make
/// lists of extents long; larger ones store more than was edited.
pub(crate) const GRAIN_BYTES: u64 = 64 << 10;
/// Files up to this are stored whole: one small object, read in one go, with a digest.
const WHOLE_BYTES_MAX: u64 = 1 << 20;
/// Most bytes of a piece: a block.
pub(crate) const PIECE_BYTES_MAX: u64 = 4 << 20;

/// A part of the body that a flush makes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Piece {
    /// Bytes to store.
    Store(Range<u64>),
    /// What the base has there.
    Share(Range<u64>),
}

/// The pieces of a file with these segments, which cover it from 0 to its end.
pub(crate) fn plan(segments: &[Segment]) -> Vec<Piece> {
    let size = segments.last().map_or(0, |last| last.range.end);
    let shared: u64 = segments
        .iter()
        .filter(|segment| segment.source == Source::Base)
        .map(|segment| segment.range.end - segment.range.start)
        .sum();
    let zeros = segments
        .iter()
        .any(|segment| segment.source == Source::Zero);
    if size <= WHOLE_BYTES_MAX || (shared <= size / 4 && !zeros) {
        return cut(0..size);
    }
    let mut pieces = Vec::new();
    let mut at = 0;
    for range in widened(segments, size) {
        share(segments, at..range.start, &mut pieces);
        pieces.extend(cut(range.clone()));
        at = range.end;
    }
    share(segments, at..size, &mut pieces);
    pieces
}

/// What was written, widened to whole grains, joined where they touch.
fn widened(segments: &[Segment], size: u64) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for segment in segments
        .iter()
        .filter(|segment| segment.source == Source::Staged)
    {
        let mut start = segment.range.start / GRAIN_BYTES * GRAIN_BYTES;
        let end = segment.range.end.next_multiple_of(GRAIN_BYTES).min(size);
        if end - start <= INLINE_BYTES_MAX as u64 {
            // The last grain is too short to be an object: the one before goes with it.
            start = start.saturating_sub(GRAIN_BYTES);
        }
        match ranges.last_mut() {
            Some(last) if last.end >= start => last.end = last.end.max(end),
            _ => ranges.push(start..end),
        }
    }
    ranges
}

/// What the base shows of a range.
fn share(segments: &[Segment], range: Range<u64>, pieces: &mut Vec<Piece>) {
    for segment in segments
        .iter()
        .filter(|segment| segment.source == Source::Base)
    {
        let shared = segment.range.start.max(range.start)..segment.range.end.min(range.end);
        if !shared.is_empty() {
            pieces.push(Piece::Share(shared));
        }
    }
}

/// Pieces of at most a block, the last maybe half as much longer.
fn cut(range: Range<u64>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut at = range.start;
    while range.end - at > PIECE_BYTES_MAX + PIECE_BYTES_MAX / 2 {
        pieces.push(Piece::Store(at..at + PIECE_BYTES_MAX));
        at += PIECE_BYTES_MAX;
    }
    if at < range.end {
        pieces.push(Piece::Store(at..range.end));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::super::overlay::Overlay;
    use super::{PIECE_BYTES_MAX, Piece, plan};
    use nokv_types::INLINE_BYTES_MAX;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_hold_what_was_edited(
            base in 0u64..20_000_000,
            writes in prop::collection::vec((0u64..24_000_000, 1u64..300_000), 0..8),
            cut in prop::option::of(0u64..20_000_000),
        ) {
            let mut overlay = Overlay::new(base);
            if let Some(size) = cut {
                overlay.set_size(size);
            }
            for (at, length) in &writes {
                overlay.write(*at..at + length);
            }
            prop_assume!(overlay.size() > INLINE_BYTES_MAX as u64);
            let pieces = plan(&overlay.segments(0..overlay.size()));
            let mut at = 0;
            for piece in &pieces {
                let (Piece::Store(range) | Piece::Share(range)) = piece;
                prop_assert!(range.start >= at && !range.is_empty());
                if let Piece::Store(range) = piece {
                    let bytes = range.end - range.start;
                    prop_assert!(bytes > INLINE_BYTES_MAX as u64);
                    prop_assert!(bytes <= PIECE_BYTES_MAX + PIECE_BYTES_MAX / 2);
                }
                at = range.end;
            }
            prop_assert!(at <= overlay.size());
            for (from, length) in writes {
                let held: u64 = pieces.iter().map(|piece| match piece {
                    Piece::Store(range) => {
                        range.end.min(from + length).saturating_sub(range.start.max(from))
                    }
                    Piece::Share(_) => 0,
                }).sum();
                prop_assert_eq!(held, length);
            }
        }
    }
}
