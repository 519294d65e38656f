//! What was changed of a body and is not flushed: pure, without bytes.
//!
//! The bytes of written runs are in the staging of the file, at the offsets that they have in the
//! file. Edits lie in two layers: those that a flush under way has taken, and those after it; both
//! stage at the same place, so reading needs no more than their order.
//!
//! Invariants:
//! - what a read gets is the newest of: later edits, taken edits below `taken_limit`, the base
//!   below `base_limit`, zeros;
//! - cutting lowers every limit, so bytes that were cut off never come back.

use super::runs::{Kind, Runs};
use std::ops::Range;

/// Where bytes come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// The staging.
    Staged,
    /// Nowhere: zeros.
    Zero,
    /// The base.
    Base,
}

/// A part of a file, from one source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Segment {
    /// Which part.
    pub(crate) range: Range<u64>,
    /// From where.
    pub(crate) source: Source,
}

/// The edits of a file.
#[derive(Clone, Debug)]
pub(crate) struct Overlay {
    size: u64,
    base_limit: u64,
    runs: Runs,
    /// Whether anything was edited since the last flush began.
    is_edited: bool,
    taken: Option<Taken>,
}

/// What a flush under way has taken.
#[derive(Clone, Debug)]
struct Taken {
    runs: Runs,
    /// Of the taken runs, and of the base that the flush makes.
    limit: u64,
}

impl Overlay {
    /// No edits of a body of this size.
    pub(crate) fn new(size: u64) -> Self {
        Self {
            size,
            base_limit: size,
            runs: Runs::default(),
            is_edited: false,
            taken: None,
        }
    }

    /// Bytes of the file.
    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// Whether there is anything that no finished flush has made durable.
    pub(crate) const fn is_dirty(&self) -> bool {
        self.is_edited || self.taken.is_some()
    }

    /// Whether a flush has something to do.
    pub(crate) const fn is_edited(&self) -> bool {
        self.is_edited
    }

    /// Bytes that staging must keep.
    pub(crate) fn staged_bytes(&self) -> u64 {
        self.runs.data_bytes()
            + self
                .taken
                .as_ref()
                .map_or(0, |taken| taken.runs.data_bytes())
    }

    /// Notes that a range was written.
    pub(crate) fn write(&mut self, range: Range<u64>) {
        self.size = self.size.max(range.end);
        self.runs.set(range, Kind::Data);
        self.is_edited = true;
    }

    /// Makes a range zeros; beyond the end it is not there.
    pub(crate) fn punch(&mut self, range: Range<u64>) {
        let range = range.start..range.end.min(self.size);
        self.runs.set(range, Kind::Zero);
        self.is_edited = true;
    }

    /// Cuts, or extends by zeros.
    pub(crate) fn set_size(&mut self, size: u64) {
        if size < self.size {
            self.runs.remove(size..u64::MAX);
            self.base_limit = self.base_limit.min(size);
            if let Some(taken) = &mut self.taken {
                taken.limit = taken.limit.min(size);
            }
        }
        self.size = size;
        self.is_edited = true;
    }

    /// Gives the edits so far to a flush.
    pub(crate) fn take(&mut self) {
        let runs = std::mem::take(&mut self.runs);
        self.is_edited = false;
        self.taken = Some(Taken {
            runs,
            limit: self.size,
        });
    }

    /// The flush has made a base of what it took.
    pub(crate) fn flushed(&mut self) {
        if let Some(taken) = self.taken.take() {
            self.base_limit = taken.limit;
        }
    }

    /// The flush has failed: what it took is edits again.
    pub(crate) fn give_back(&mut self) {
        if let Some(taken) = self.taken.take() {
            let mut runs = taken.runs;
            runs.remove(taken.limit..u64::MAX);
            runs.cover(&self.runs);
            self.runs = runs;
            self.is_edited = true;
        }
    }

    /// The sources of a range, ascending and without gap, cut at the end of the file.
    pub(crate) fn segments(&self, range: Range<u64>) -> Vec<Segment> {
        let mut segments = Segments(Vec::new());
        let mut at = range.start;
        let end = range.end.min(self.size);
        for (run, kind) in self.runs.within(range.start..end.max(range.start)) {
            self.below_edits(at..run.start, &mut segments);
            segments.push(run.clone(), source(kind));
            at = run.end;
        }
        self.below_edits(at..end, &mut segments);
        segments.0
    }

    fn below_edits(&self, range: Range<u64>, segments: &mut Segments) {
        let Some(taken) = &self.taken else {
            return self.below_taken(range, segments);
        };
        let mut at = range.start;
        let visible = range.start..range.end.min(taken.limit).max(range.start);
        for (run, kind) in taken.runs.within(visible) {
            self.below_taken(at..run.start, segments);
            segments.push(run.clone(), source(kind));
            at = run.end;
        }
        self.below_taken(at..range.end, segments);
    }

    fn below_taken(&self, range: Range<u64>, segments: &mut Segments) {
        let shown = range.end.min(self.base_limit).max(range.start);
        segments.push(range.start..shown, Source::Base);
        segments.push(shown..range.end, Source::Zero);
    }
}

const fn source(kind: Kind) -> Source {
    match kind {
        Kind::Data => Source::Staged,
        Kind::Zero => Source::Zero,
    }
}

/// Segments on their way; neighbours of one source become one.
struct Segments(Vec<Segment>);

impl Segments {
    fn push(&mut self, range: Range<u64>, source: Source) {
        if range.is_empty() {
            return;
        }
        match self.0.last_mut() {
            Some(last) if last.source == source && last.range.end == range.start => {
                last.range.end = range.end;
            }
            _ => self.0.push(Segment { range, source }),
        }
    }
}
