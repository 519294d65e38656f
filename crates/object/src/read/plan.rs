//! Which GETs a read needs: pure, so that it can be tested by enumeration.
//!
//! Invariants:
//! - the steps of a range, put together, are the bytes of the range, in order;
//! - every unit that is touched is fetched *whole*, because only then can its checksum be verified:
//!   no byte is ever returned unverified. A reader of small random ranges therefore wants a cache
//!   of whole blocks above this (blocks never change), or a mount with smaller blocks;
//! - neighbours in one object are one GET, up to `FETCH_BYTES_MAX`.

use super::options::{FETCH_BYTES_MAX, GAP_BYTES_MAX};
use nokv_types::{BlockId, Body, Extent, Layout, Unit};
use std::ops::Range;

/// One step of a read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// Bytes that are in the body itself.
    Inline(Range<usize>),
    /// This many zeros.
    Hole(u64),
    /// A GET.
    Fetch(Fetch),
}

/// One GET and what it is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Fetch {
    pub(crate) block: BlockId,
    pub(crate) range: Range<u32>,
    pub(crate) parts: Vec<Part>,
}

/// The wanted part of a unit, in offsets within its plain bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Part {
    pub(crate) unit: Unit,
    pub(crate) wanted: Range<u32>,
}

impl Part {
    /// The same unit, all of it.
    pub(super) fn all(&self) -> Self {
        Self {
            unit: self.unit,
            wanted: 0..self.unit.plain_bytes,
        }
    }

    /// What an extent shows.
    fn of(extent: &Extent) -> Self {
        Self {
            unit: extent.unit,
            wanted: extent.skip..extent.skip.saturating_add(extent.length),
        }
    }
}

impl Step {
    /// Bytes of the body that it brings.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Inline(range) => range.len() as u64,
            Self::Hole(count) => *count,
            Self::Fetch(fetch) => fetch
                .parts
                .iter()
                .map(|part| part.wanted.len() as u64)
                .sum(),
        }
    }
}

impl Fetch {
    pub(super) fn of(part: Part) -> Self {
        Self {
            block: part.unit.block,
            range: part.unit.object_range(),
            parts: vec![part],
        }
    }

    /// The GET that brings these parts, which are of one object and in order; `None` for none.
    pub(super) fn around(parts: Vec<Part>) -> Option<Self> {
        let (first, last) = (parts.first()?.unit, parts.last()?.unit);
        Some(Self {
            block: first.block,
            range: first.object_offset..last.object_range().end,
            parts,
        })
    }

    /// Bytes that the GET brings.
    pub(crate) fn bytes(&self) -> u32 {
        self.range.end.saturating_sub(self.range.start)
    }

    /// Takes the part in if it is of the same unit as the last, or lies behind, in the same object,
    /// at most `gap` bytes away.
    fn join(&mut self, part: Part, gap: u32) -> Result<(), Part> {
        if self.parts.last().is_some_and(|last| last.unit == part.unit) {
            self.parts.push(part);
            return Ok(());
        }
        let Range { start, end } = part.unit.object_range();
        let near = start >= self.range.end && start - self.range.end <= gap;
        let small = end.saturating_sub(self.range.start) <= FETCH_BYTES_MAX;
        if part.unit.block != self.block || !near || !small {
            return Err(part);
        }
        self.range.end = end;
        self.parts.push(part);
        Ok(())
    }
}

/// The steps that read `range` of a body; a range that reaches past the end is cut there.
pub(crate) fn plan_range(body: &Body, range: Range<u64>) -> Vec<Step> {
    let end = range.end.min(body.size());
    let start = range.start.min(end);
    if start == end {
        return Vec::new();
    }
    match body.layout() {
        Layout::Inline(_) => {
            let index = |offset| usize::try_from(offset).expect("inline bodies are small");
            vec![Step::Inline(index(start)..index(end))]
        }
        Layout::Extents(extents) => plan_extents(extents, start..end),
    }
}

fn plan_extents(extents: &[Extent], range: Range<u64>) -> Vec<Step> {
    let first = extents.partition_point(|extent| extent.end() <= range.start);
    let mut steps = Vec::new();
    let mut position = range.start;
    for extent in extents
        .iter()
        .skip(first)
        .take_while(|next| next.body_offset < range.end)
    {
        if extent.body_offset > position {
            steps.push(Step::Hole(extent.body_offset - position));
        }
        let Some(wanted) = extent.cut(&range) else {
            continue;
        };
        let part = Part::of(&wanted);
        position = wanted.end();
        let part = match steps.last_mut() {
            Some(Step::Fetch(fetch)) => match fetch.join(part, 0) {
                Ok(()) => continue,
                Err(part) => part,
            },
            _ => part,
        };
        steps.push(Step::Fetch(Fetch::of(part)));
    }
    if position < range.end {
        steps.push(Step::Hole(range.end - position));
    }
    steps
}

/// The GETs that bring many extents, each with the caller's mark; extents of one object that lie
/// near each other share a GET. The result is in order of blocks and offsets.
pub(crate) fn plan_many<M>(mut wanted: Vec<(Extent, M)>) -> Vec<(Fetch, Vec<M>)> {
    wanted.sort_by_key(|(extent, _)| (extent.unit.block, extent.unit.object_offset));
    let mut fetches: Vec<(Fetch, Vec<M>)> = Vec::new();
    for (extent, mark) in wanted {
        let part = Part::of(&extent);
        let part = match fetches.last_mut() {
            Some((fetch, marks)) => match fetch.join(part, GAP_BYTES_MAX) {
                Ok(()) => {
                    marks.push(mark);
                    continue;
                }
                Err(part) => part,
            },
            None => part,
        };
        fetches.push((Fetch::of(part), vec![mark]));
    }
    fetches
}
