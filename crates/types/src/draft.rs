//! A body that is being edited: the pure core of random writes.
//!
//! An edit makes a new list of extents that shares with the one before what it does not cover; an
//! extent that it covers in part leaves its other parts, which show parts of the same unit. Nothing
//! here moves a byte, except of bodies that are inline.
//!
//! Invariants:
//! - extents are in ascending order, do not overlap, end within the size; neighbours that go on in
//!   the same unit are one;
//! - what an edit does not cover reads as before; what it covers reads as it says; past the old end
//!   everything reads as zeros unless written;
//! - an edit that would need bytes that nobody here has fails with [`DraftError::NeedsBytes`] and
//!   leaves the draft as it was.

use crate::{Body, Digest, Extent, Failure, INLINE_BYTES_MAX, Layout, Reason};
use bytes::Bytes;
use std::ops::Range;

/// Largest body: the largest offset of POSIX.
pub const BODY_BYTES_MAX: u64 = i64::MAX as u64;

/// Why a draft refuses an edit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DraftError {
    /// Inline bytes would have to become an object, or bytes of objects inline: upload the range
    /// and write that.
    NeedsBytes,
    /// The body would be larger than [`BODY_BYTES_MAX`].
    TooLarge,
    /// The range is not within the body, or extents do not fit their range.
    OutOfRange,
}

/// A body under edit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Draft {
    size: u64,
    bytes: DraftBytes,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum DraftBytes {
    Inline(Vec<u8>),
    Extents(Vec<Extent>),
}

/// A range of a body that is written anew.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Run {
    /// The range, not empty.
    pub range: Range<u64>,
    /// What is in it; gaps are holes.
    pub extents: Vec<Extent>,
}

/// What is in a range of a body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Slice {
    /// These bytes.
    Inline(Bytes),
    /// These extents, their offsets counted from the start of the range; gaps are holes.
    Extents(Vec<Extent>),
}

impl Draft {
    /// A draft that reads as the body does.
    #[must_use]
    pub fn of(body: &Body) -> Self {
        let bytes = match body.layout() {
            Layout::Inline(bytes) => DraftBytes::Inline(bytes.to_vec()),
            Layout::Extents(extents) => DraftBytes::Extents(extents.clone()),
        };
        Self {
            size: body.size(),
            bytes,
        }
    }

    /// Bytes, holes included.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The extents; none of an inline body.
    #[must_use]
    pub fn extents(&self) -> &[Extent] {
        match &self.bytes {
            DraftBytes::Inline(_) => &[],
            DraftBytes::Extents(extents) => extents,
        }
    }

    /// Writes runs, which are in ascending order and do not overlap; one past the end makes the
    /// body longer. **Errors**: all of [`DraftError`].
    pub fn write(&mut self, runs: &[Run]) -> Result<(), DraftError> {
        let end = checked_runs(runs)?;
        if end > BODY_BYTES_MAX {
            return Err(DraftError::TooLarge);
        }
        let are_holes = runs.iter().all(|run| run.extents.is_empty());
        match &mut self.bytes {
            // Zeros are bytes that anybody has: the body can stay inline.
            DraftBytes::Inline(inline) if are_holes && end <= INLINE_BYTES_MAX as u64 => {
                for run in runs {
                    clear(inline, &run.range);
                }
            }
            _ => {
                let extents = self.as_extents(runs)?;
                *extents = spliced(extents, runs);
            }
        }
        self.size = self.size.max(end);
        Ok(())
    }

    /// Writes bytes into a body that is, and stays, inline. **Errors**: all of [`DraftError`] but
    /// `OutOfRange`.
    pub fn write_inline(&mut self, offset: u64, bytes: &[u8]) -> Result<(), DraftError> {
        let end = offset
            .checked_add(bytes.len() as u64)
            .filter(|end| *end <= BODY_BYTES_MAX)
            .ok_or(DraftError::TooLarge)?;
        if bytes.is_empty() {
            return Ok(());
        }
        let covers_all = offset == 0 && end >= self.size;
        if end > INLINE_BYTES_MAX as u64 {
            return Err(DraftError::NeedsBytes);
        }
        let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
        let inline = match &mut self.bytes {
            DraftBytes::Inline(inline) => inline,
            bytes @ DraftBytes::Extents(_) if covers_all => {
                *bytes = DraftBytes::Inline(Vec::new());
                let DraftBytes::Inline(inline) = bytes else {
                    unreachable!("it was just made so")
                };
                inline
            }
            DraftBytes::Extents(_) => return Err(DraftError::NeedsBytes),
        };
        if inline.len() < at(end) {
            inline.resize(at(end), 0);
        }
        if let Some(target) = inline.get_mut(at(offset)..at(end)) {
            target.copy_from_slice(bytes);
        }
        self.size = inline.len() as u64;
        Ok(())
    }

    /// Makes what of a range lies within the body a hole. Never changes the size.
    pub fn punch(&mut self, range: Range<u64>) {
        let range = range.start.min(self.size)..range.end.min(self.size);
        if range.is_empty() {
            return;
        }
        match &mut self.bytes {
            DraftBytes::Inline(bytes) => {
                let at = |offset| usize::try_from(offset).unwrap_or(usize::MAX);
                if let Some(bytes) = bytes.get_mut(at(range.start)..at(range.end)) {
                    bytes.fill(0);
                }
            }
            DraftBytes::Extents(extents) => {
                let extents_before = std::mem::take(extents);
                let run = Run {
                    range,
                    extents: Vec::new(),
                };
                *extents = spliced(&extents_before, &[run]);
            }
        }
    }

    /// Cuts off, or makes longer by a hole. **Errors**: `TooLarge`, `NeedsBytes`.
    pub fn resize(&mut self, size: u64) -> Result<(), DraftError> {
        if size > BODY_BYTES_MAX {
            return Err(DraftError::TooLarge);
        }
        if size == 0 {
            self.bytes = DraftBytes::Inline(Vec::new());
        } else if size < self.size {
            self.cut_off(size);
        } else if size > self.size {
            self.stretch(size)?;
        }
        self.size = size;
        Ok(())
    }

    /// Takes a range out: what is behind moves to its start. **Errors**: `OutOfRange`.
    pub fn collapse(&mut self, range: Range<u64>) -> Result<(), DraftError> {
        if range.is_empty() || range.end > self.size {
            return Err(DraftError::OutOfRange);
        }
        let removed = range.end - range.start;
        let at = |offset| usize::try_from(offset).unwrap_or(usize::MAX);
        match &mut self.bytes {
            DraftBytes::Inline(bytes) => drop(bytes.drain(at(range.start)..at(range.end))),
            DraftBytes::Extents(extents) => {
                let mut kept = Vec::with_capacity(extents.len() + 1);
                take(&mut kept, extents, 0..range.start);
                let mut moved = Vec::new();
                take(&mut moved, extents, range.end..u64::MAX);
                for extent in &mut moved {
                    extent.body_offset -= removed;
                }
                moved.into_iter().for_each(|extent| push(&mut kept, extent));
                *extents = kept;
            }
        }
        self.size -= removed;
        if self.size == 0 {
            self.bytes = DraftBytes::Inline(Vec::new());
        }
        Ok(())
    }

    /// Puts a hole in front of what is at `range.start`: that and what is behind moves to
    /// `range.end`. **Errors**: all of [`DraftError`].
    pub fn insert(&mut self, range: Range<u64>) -> Result<(), DraftError> {
        if range.is_empty() || range.start > self.size {
            return Err(DraftError::OutOfRange);
        }
        let added = range.end - range.start;
        let size = self.size.checked_add(added);
        let size = size
            .filter(|size| *size <= BODY_BYTES_MAX)
            .ok_or(DraftError::TooLarge)?;
        if let DraftBytes::Inline(bytes) = &mut self.bytes
            && size <= INLINE_BYTES_MAX as u64
        {
            let at = |offset| usize::try_from(offset).unwrap_or(usize::MAX);
            let start = at(range.start);
            bytes.splice(start..start, std::iter::repeat_n(0, at(added)));
        } else {
            let extents = self.as_extents(&[])?;
            let mut kept = Vec::with_capacity(extents.len() + 1);
            take(&mut kept, extents, 0..range.start);
            let mut moved = Vec::new();
            take(&mut moved, extents, range.start..u64::MAX);
            for extent in &mut moved {
                extent.body_offset += added;
            }
            kept.append(&mut moved);
            *extents = kept;
        }
        self.size = size;
        Ok(())
    }

    /// What is in a range, to be written elsewhere. **Errors**: `OutOfRange`.
    pub fn slice(&self, range: Range<u64>) -> Result<Slice, DraftError> {
        if range.start > range.end || range.end > self.size {
            return Err(DraftError::OutOfRange);
        }
        match &self.bytes {
            DraftBytes::Inline(bytes) => {
                let at = |offset| usize::try_from(offset).unwrap_or(usize::MAX);
                let bytes = bytes.get(at(range.start)..at(range.end));
                let bytes = bytes.ok_or(DraftError::OutOfRange)?;
                Ok(Slice::Inline(Bytes::copy_from_slice(bytes)))
            }
            DraftBytes::Extents(extents) => {
                let mut slice = Vec::new();
                let start = range.start;
                take(&mut slice, extents, range);
                for extent in &mut slice {
                    extent.body_offset -= start;
                }
                Ok(Slice::Extents(slice))
            }
        }
    }

    /// The body, with its digest if somebody knows it.
    #[must_use]
    pub fn finish(self, digest: Option<Digest>) -> Body {
        let layout = match self.bytes {
            DraftBytes::Inline(bytes) => Layout::Inline(bytes.into()),
            DraftBytes::Extents(extents) => Layout::Extents(extents),
        };
        Body::new(self.size, digest, layout).expect("every edit keeps a draft valid")
    }

    fn cut_off(&mut self, size: u64) {
        match &mut self.bytes {
            DraftBytes::Inline(bytes) => {
                bytes.truncate(usize::try_from(size).unwrap_or(usize::MAX));
            }
            DraftBytes::Extents(extents) => {
                let first = extents.partition_point(|extent| extent.end() <= size);
                let part = extents.get(first).and_then(|extent| extent.cut(&(0..size)));
                extents.truncate(first);
                extents.extend(part);
            }
        }
    }

    fn stretch(&mut self, size: u64) -> Result<(), DraftError> {
        match &mut self.bytes {
            DraftBytes::Inline(bytes) if size <= INLINE_BYTES_MAX as u64 => {
                bytes.resize(usize::try_from(size).unwrap_or(usize::MAX), 0);
            }
            _ => drop(self.as_extents(&[])?),
        }
        Ok(())
    }

    /// The extents, of an inline body too if runs cover all of it that is not zero.
    fn as_extents(&mut self, runs: &[Run]) -> Result<&mut Vec<Extent>, DraftError> {
        if let DraftBytes::Inline(bytes) = &self.bytes {
            let mut runs = runs.iter().peekable();
            for (offset, byte) in (0_u64..).zip(bytes) {
                while runs.next_if(|run| run.range.end <= offset).is_some() {}
                let is_covered = runs.peek().is_some_and(|run| run.range.start <= offset);
                if *byte != 0 && !is_covered {
                    return Err(DraftError::NeedsBytes);
                }
            }
            self.bytes = DraftBytes::Extents(Vec::new());
        }
        match &mut self.bytes {
            DraftBytes::Extents(extents) => Ok(extents),
            DraftBytes::Inline(_) => Err(DraftError::NeedsBytes),
        }
    }
}

/// Sets a range of inline bytes to zero, making them longer where it reaches past their end.
fn clear(inline: &mut Vec<u8>, range: &Range<u64>) {
    let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
    let (start, end) = (at(range.start), at(range.end));
    if inline.len() < end {
        inline.resize(end, 0);
    }
    if let Some(bytes) = inline.get_mut(start..end) {
        bytes.fill(0);
    }
}

impl From<DraftError> for Failure {
    fn from(error: DraftError) -> Self {
        match error {
            DraftError::NeedsBytes => Self::new(
                Reason::Unsupported,
                "this edit needs bytes that are not uploaded; upload what is inline with it",
            ),
            DraftError::TooLarge => Self::new(
                Reason::TooLarge,
                format!("a body has at most {BODY_BYTES_MAX} bytes"),
            ),
            DraftError::OutOfRange => Self::new(
                Reason::InvalidArgument,
                "the range is empty, not within the file, or not as long as its extents",
            ),
        }
    }
}

/// The end of the last run.
fn checked_runs(runs: &[Run]) -> Result<u64, DraftError> {
    let mut end = 0;
    for run in runs {
        if run.range.is_empty() || run.range.start < end {
            return Err(DraftError::OutOfRange);
        }
        end = run.range.start;
        for extent in &run.extents {
            if !extent.is_sound() || extent.body_offset < end || extent.end() > run.range.end {
                return Err(DraftError::OutOfRange);
            }
            end = extent.end();
        }
        end = run.range.end;
    }
    Ok(end)
}

/// Extents with runs written over them, in one pass.
fn spliced(before: &[Extent], runs: &[Run]) -> Vec<Extent> {
    let written: usize = runs.iter().map(|run| run.extents.len() + 1).sum();
    let mut after = Vec::with_capacity(before.len() + written);
    let mut position = 0;
    let mut rest = before;
    for run in runs {
        rest = take(&mut after, rest, position..run.range.start);
        for extent in &run.extents {
            push(&mut after, *extent);
        }
        position = run.range.end;
    }
    take(&mut after, rest, position..u64::MAX);
    after
}

/// Appends what of the extents lies in a range; those that end behind it are returned.
fn take<'a>(target: &mut Vec<Extent>, from: &'a [Extent], range: Range<u64>) -> &'a [Extent] {
    let first = from.partition_point(|extent| extent.end() <= range.start);
    let mut rest = from.get(first..).unwrap_or(&[]);
    while let Some((extent, others)) = rest.split_first() {
        if let Some(part) = extent.cut(&range) {
            push(target, part);
        }
        if extent.end() > range.end {
            break;
        }
        rest = others;
    }
    rest
}

/// Appends an extent, as part of the last if that goes on in it.
fn push(extents: &mut Vec<Extent>, extent: Extent) {
    match extents.last_mut() {
        Some(last) if last.continues_in(&extent) => last.length += extent.length,
        _ => extents.push(extent),
    }
}
