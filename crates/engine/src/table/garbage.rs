//! How much of a table a compaction could drop, and from when on: a bounded histogram.
//!
//! An entry that a newer one of the same key hides is seen only by reads in `from..until` (its own
//! version, the newer one's). It can go when the horizon has reached `until` and no pin lies in
//! between. A deletion that hides nothing in its table can go (from the lowest level) once the
//! horizon has reached it: `from = until`.
//!
//! Invariant: merging two spans widens them, so the estimate is never above what a compaction
//! really drops. A table that was just compacted has nothing droppable left, so it isn't chosen
//! again and again.

/// Spans kept for a table. With 8, a pin in the middle of a long history still lets most of it be
/// estimated.
pub(crate) const SPANS_MAX: usize = 8;

/// Bytes that only reads in `from..until` see.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Span {
    pub(crate) from: u64,
    pub(crate) until: u64,
    pub(crate) bytes: u64,
}

/// The spans of one table, by `until`, then `from`, each pair once.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Garbage {
    spans: Vec<Span>,
}

impl Garbage {
    /// The spans, ascending by their end.
    pub(crate) fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// All bytes, droppable yet or not.
    pub(crate) fn byte_count(&self) -> u64 {
        self.spans
            .iter()
            .fold(0, |sum, span| sum.saturating_add(span.bytes))
    }

    /// Adds a span; the two neighbours whose union is shortest become one when there are too many.
    pub(crate) fn add(&mut self, span: Span) {
        let place = |other: &Span| (other.until, other.from);
        let index = self
            .spans
            .partition_point(|other| place(other) < place(&span));
        if let Some(other) = self.spans.get_mut(index)
            && place(other) == place(&span)
        {
            other.bytes = other.bytes.saturating_add(span.bytes);
            return;
        }
        self.spans.insert(index, span);
        if self.spans.len() > SPANS_MAX {
            self.merge_closest();
        }
    }

    /// Bytes that a compaction with this horizon and these pins (ascending) drops at least.
    pub(crate) fn droppable(&self, horizon: u64, pins: &[u64]) -> u64 {
        let is_free = |span: &&Span| {
            let next_pin = pins.partition_point(|pin| *pin < span.from);
            span.until <= horizon && pins.get(next_pin).is_none_or(|pin| *pin >= span.until)
        };
        self.spans
            .iter()
            .filter(is_free)
            .fold(0, |sum, span| sum.saturating_add(span.bytes))
    }

    fn merge_closest(&mut self) {
        let union = |pair: &[Span]| match pair {
            [left, right] => right.until - left.from.min(right.from),
            _ => u64::MAX,
        };
        let lengths = self.spans.windows(2).map(union).enumerate();
        let Some((index, _)) = lengths.min_by_key(|(_, length)| *length) else {
            return;
        };
        let left = self.spans.remove(index);
        if index < self.spans.len() {
            let right = self.spans.remove(index);
            let (from, bytes) = (
                right.from.min(left.from),
                right.bytes.saturating_add(left.bytes),
            );
            self.add(Span {
                from,
                bytes,
                ..right
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_estimate_is_never_above_the_truth(
            spans in proptest::collection::vec((0..50_u64, 0..50_u64, 1..9_u64), 0..40),
            horizon in 0..110_u64,
            mut pins in proptest::collection::vec(0..110_u64, 0..4),
        ) {
            pins.sort_unstable();
            let mut garbage = Garbage::default();
            let mut truth = 0;
            for (from, length, bytes) in spans {
                let span = Span { from, until: from + length, bytes };
                garbage.add(span);
                let pinned = pins.iter().any(|pin| (span.from..span.until).contains(pin));
                if span.until <= horizon && !pinned {
                    truth += bytes;
                }
            }
            prop_assert!(garbage.spans().len() <= SPANS_MAX);
            prop_assert!(garbage.spans().is_sorted_by_key(|span| span.until));
            prop_assert!(garbage.droppable(horizon, &pins) <= truth);
            prop_assert_eq!(garbage.droppable(u64::MAX, &[]), garbage.byte_count());
        }
    }
}
