//! Runs of bytes that differ from a body: written, or made zero.
//!
//! Invariants: runs ascend, none is empty, none overlap; runs of one kind that touch are one.

use std::collections::BTreeMap;
use std::ops::Range;

/// What a run holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Bytes that were written.
    Data,
    /// Zeros that take no room.
    Zero,
}

/// Runs by where they start: where they end, and what they are.
#[derive(Clone, Default, Debug)]
pub(crate) struct Runs(BTreeMap<u64, (u64, Kind)>);

impl Runs {
    /// Makes a range one kind, whatever was there.
    pub(crate) fn set(&mut self, range: Range<u64>, kind: Kind) {
        if range.is_empty() {
            return;
        }
        self.remove(range.clone());
        let (mut start, mut end) = (range.start, range.end);
        if let Some((&before, &(before_end, before_kind))) = self.0.range(..start).next_back()
            && before_end == start
            && before_kind == kind
        {
            start = before;
        }
        if let Some(&(after_end, after_kind)) = self.0.get(&end)
            && after_kind == kind
        {
            self.0.remove(&end);
            end = after_end;
        }
        self.0.insert(start, (end, kind));
    }

    /// Forgets a range.
    pub(crate) fn remove(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        if let Some((&start, &(end, kind))) = self.0.range(..range.start).next_back()
            && end > range.start
        {
            self.0.insert(start, (range.start, kind));
            if end > range.end {
                self.0.insert(range.end, (end, kind));
            }
        }
        while let Some((&start, &(end, kind))) = self.0.range(range.clone()).next() {
            self.0.remove(&start);
            if end > range.end {
                self.0.insert(range.end, (end, kind));
            }
        }
    }

    /// The runs within a range, cut to it, ascending.
    pub(crate) fn within(&self, range: Range<u64>) -> impl Iterator<Item = (Range<u64>, Kind)> {
        let first = self
            .0
            .range(..range.start)
            .next_back()
            .filter(|(_, (end, _))| *end > range.start);
        let inside = match range.is_empty() {
            true => self.0.range(0..0),
            false => self.0.range(range.clone()),
        };
        let first = first.filter(|_| !range.is_empty());
        first
            .into_iter()
            .chain(inside)
            .map(move |(start, (end, kind))| {
                ((*start).max(range.start)..(*end).min(range.end), *kind)
            })
    }

    /// Puts other runs on top.
    pub(crate) fn cover(&mut self, other: &Self) {
        for (start, (end, kind)) in &other.0 {
            self.set(*start..*end, *kind);
        }
    }

    /// Bytes of the runs that were written.
    pub(crate) fn data_bytes(&self) -> u64 {
        let data = self.0.iter().filter(|(_, (_, kind))| *kind == Kind::Data);
        data.map(|(start, (end, _))| end - start).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Runs};
    use proptest::prelude::*;

    fn kind() -> impl Strategy<Value = Option<Kind>> {
        prop_oneof![Just(Some(Kind::Data)), Just(Some(Kind::Zero)), Just(None)]
    }

    proptest! {
        #[test]
        fn runs_are_what_was_set_last(
            steps in prop::collection::vec((0u64..40, 0u64..12, kind()), 1..40),
        ) {
            let mut runs = Runs::default();
            let mut model = [None; 64];
            for (start, length, kind) in steps {
                let range = start..start + length;
                match kind {
                    Some(kind) => runs.set(range.clone(), kind),
                    None => runs.remove(range.clone()),
                }
                for place in range {
                    model[place as usize] = kind;
                }
                for from in 0..50u64 {
                    for to in from..50 {
                        let mut seen = [None; 64];
                        let mut last: Option<(u64, Kind)> = None;
                        for (run, kind) in runs.within(from..to) {
                            prop_assert!(!run.is_empty());
                            if let Some((end, before)) = last {
                                let touches = end == run.start;
                                prop_assert!(end < run.start || (touches && before != kind));
                            }
                            last = Some((run.end, kind));
                            run.for_each(|place| seen[place as usize] = Some(kind));
                        }
                        let (from, to) = (from as usize, to as usize);
                        prop_assert_eq!(&seen[from..to], &model[from..to]);
                    }
                }
                let data = model.iter().filter(|kind| **kind == Some(Kind::Data)).count();
                prop_assert_eq!(runs.data_bytes(), data as u64);
            }
        }
    }
}
