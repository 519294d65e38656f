//! What was written over a body and is not flushed: a sparse map of pieces.
//!
//! A file has up to two layers over its base: the one that a flush under way has taken, and the one
//! that writes go to. What a layer does not have is seen through it, below its `cut`.
//!
//! Invariants:
//! - pieces do not overlap; bytes in memory are at most a block each and lie within one block's
//!   window, so that a block that is written from front to back is one piece, and is uploaded when
//!   its window is full;
//! - nothing lies behind the size of the last truncation but what was written after it.

use super::staging::Staging;
use bytes::{Bytes, BytesMut};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// A run of bytes of a layer.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) length: u64,
    pub(crate) what: What,
}

/// Where the bytes of a piece are.
#[derive(Debug)]
pub(crate) enum What {
    /// Here; may still be written over in place.
    Memory(BytesMut),
    /// On their way to an object, or there: those from `skip` of what was staged.
    Staged { staging: Arc<Staging>, skip: u32 },
    /// Nowhere: zeros.
    Zeros,
}

/// A part of a range as a layer sees it.
#[derive(Debug)]
pub(crate) enum Seen {
    /// These bytes.
    Bytes(Bytes),
    /// Bytes that were staged, from `skip`.
    Staged { staging: Arc<Staging>, skip: u32 },
    /// Zeros.
    Zeros,
    /// What the layer below has.
    Below,
}

/// The edits since a flush.
#[derive(Debug)]
pub(crate) struct Layer {
    pieces: BTreeMap<u64, Piece>,
    block_bytes: u64,
    /// What is below is cut off here.
    cut: u64,
    /// The file is at least so long.
    floor: u64,
    /// Everything from here on was appended, and nothing was truncated.
    appended_from: Option<u64>,
    memory_bytes: u64,
    is_edited: bool,
}

impl Layer {
    pub(crate) fn new(block_bytes: u32) -> Self {
        Self {
            pieces: BTreeMap::new(),
            block_bytes: u64::from(block_bytes),
            cut: u64::MAX,
            floor: 0,
            appended_from: None,
            memory_bytes: 0,
            is_edited: false,
        }
    }

    /// Whether anything was edited.
    pub(crate) const fn is_edited(&self) -> bool {
        self.is_edited
    }

    /// Where what is below is cut off, if it is.
    pub(crate) const fn cut(&self) -> Option<u64> {
        if self.cut == u64::MAX {
            None
        } else {
            Some(self.cut)
        }
    }

    /// The least size that was set.
    pub(crate) const fn floor(&self) -> u64 {
        self.floor
    }

    /// Where appended bytes begin, if all bytes from there on were appended.
    pub(crate) const fn appended_from(&self) -> Option<u64> {
        self.appended_from
    }

    pub(crate) fn pieces(&self) -> &BTreeMap<u64, Piece> {
        &self.pieces
    }

    /// The size of the file if what is below has `below` bytes.
    pub(crate) fn size_over(&self, below: u64) -> u64 {
        let last = self.pieces.last_key_value();
        let end = last.map_or(0, |(start, piece)| start + piece.length);
        below.min(self.cut).max(self.floor).max(end)
    }

    /// Bytes in memory.
    pub(crate) const fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    /// Writes bytes that lie within one window.
    pub(crate) fn write(&mut self, offset: u64, bytes: &[u8]) {
        self.is_edited = true;
        if bytes.is_empty() || self.write_in_place(offset, bytes) {
            return;
        }
        let length = bytes.len() as u64;
        self.carve(offset..offset + length);
        self.memory_bytes += length;
        if !self.extend_left(offset, bytes) {
            let mut memory = BytesMut::with_capacity(bytes.len());
            memory.extend_from_slice(bytes);
            let what = What::Memory(memory);
            self.pieces.insert(offset, Piece { length, what });
        }
        self.close_gap(offset + length);
    }

    /// Notes that bytes at the end of the file, at `offset`, are appended.
    pub(crate) fn note_append(&mut self, offset: u64) {
        let is_first = self.pieces.range(offset..).next().is_none() && self.cut().is_none();
        if self.appended_from.is_none() && is_first && self.floor <= offset {
            self.appended_from = Some(offset);
        }
    }

    /// Notes that bytes are written where they are told to be.
    pub(crate) fn note_write(&mut self, range: &Range<u64>) {
        if self.appended_from.is_some_and(|from| range.end > from) {
            self.appended_from = None;
        }
    }

    /// Makes a range zeros.
    pub(crate) fn zero(&mut self, range: Range<u64>) {
        self.is_edited = true;
        if range.is_empty() {
            return;
        }
        self.note_write(&range);
        self.carve(range.clone());
        let length = range.end - range.start;
        let what = What::Zeros;
        self.pieces.insert(range.start, Piece { length, what });
    }

    /// Sets the size.
    pub(crate) fn resize(&mut self, size: u64) {
        self.is_edited = true;
        self.appended_from = None;
        self.carve(size..u64::MAX);
        self.cut = self.cut.min(size);
        self.floor = size;
    }

    /// What is in a range, in ascending parts without a gap.
    pub(crate) fn look(&self, range: Range<u64>) -> Vec<(Range<u64>, Seen)> {
        let mut parts = Vec::new();
        let mut at = range.start;
        let first = self.pieces.range(..=range.start).next_back();
        let from = first.map_or(range.start, |(start, _)| *start);
        for (start, piece) in self.pieces.range(from..range.end) {
            let part = (*start).max(range.start)..(start + piece.length).min(range.end);
            if part.is_empty() {
                continue;
            }
            self.below(at..part.start, &mut parts);
            at = part.end;
            let seen = piece.see(part.start - start, part.end - part.start);
            parts.push((part, seen));
        }
        self.below(at..range.end, &mut parts);
        parts
    }

    /// Takes the bytes in memory of a window, if it is full: they are to be staged.
    pub(crate) fn full_window(&mut self, offset: u64) -> Option<(u64, Bytes)> {
        let start = offset - offset % self.block_bytes;
        let piece = self.pieces.get(&start)?;
        let is_full = piece.length == self.block_bytes && matches!(piece.what, What::Memory(_));
        is_full.then(|| self.take_memory(start)).flatten()
    }

    /// Takes all bytes in memory, neighbours of one window together: they are to be staged.
    pub(crate) fn all_memory(&mut self) -> Vec<(u64, Bytes)> {
        self.join_windows();
        let in_memory = |(start, piece): (&u64, &Piece)| {
            matches!(piece.what, What::Memory(_)).then_some(*start)
        };
        let starts: Vec<u64> = self.pieces.iter().filter_map(in_memory).collect();
        let taken = starts
            .into_iter()
            .filter_map(|start| self.take_memory(start));
        taken.collect()
    }

    /// Puts what was taken back, as staged.
    pub(crate) fn put_staged(&mut self, offset: u64, length: u64, staging: Arc<Staging>) {
        let what = What::Staged { staging, skip: 0 };
        self.pieces.insert(offset, Piece { length, what });
    }

    /// Puts bytes of a staging that failed back into memory.
    pub(crate) fn unstage(&mut self, offset: u64, bytes: &[u8]) {
        let length = bytes.len() as u64;
        let what = What::Memory(BytesMut::from(bytes));
        self.carve(offset..offset + length);
        self.memory_bytes += length;
        self.pieces.insert(offset, Piece { length, what });
    }

    /// Lays the edits of `newer`, which came after this, over it.
    pub(crate) fn cover(&mut self, newer: Self) {
        if let Some(cut) = newer.cut() {
            self.resize(cut);
            self.floor = newer.floor;
        }
        self.is_edited |= newer.is_edited;
        for (start, piece) in newer.pieces {
            self.carve(start..start + piece.length);
            if piece.is_in_memory() {
                self.memory_bytes += piece.length;
            }
            self.pieces.insert(start, piece);
        }
        self.appended_from = None;
    }

    fn below(&self, range: Range<u64>, parts: &mut Vec<(Range<u64>, Seen)>) {
        let seen = range.start..range.end.min(self.cut.max(range.start));
        let cut = seen.end..range.end;
        if !seen.is_empty() {
            parts.push((seen, Seen::Below));
        }
        if !cut.is_empty() {
            parts.push((cut, Seen::Zeros));
        }
    }

    /// Writes over bytes in memory that cover all of the range.
    fn write_in_place(&mut self, offset: u64, bytes: &[u8]) -> bool {
        let Some((start, piece)) = self.pieces.range_mut(..=offset).next_back() else {
            return false;
        };
        let (skip, What::Memory(memory)) = (offset - start, &mut piece.what) else {
            return false;
        };
        let skip = index(skip);
        match memory.get_mut(skip..skip.saturating_add(bytes.len())) {
            Some(target) => target.copy_from_slice(bytes),
            None => return false,
        }
        true
    }

    /// Appends bytes to the piece in memory that ends where they begin, in the same window.
    fn extend_left(&mut self, offset: u64, bytes: &[u8]) -> bool {
        let block_bytes = self.block_bytes;
        let Some((start, piece)) = self.pieces.range_mut(..offset).next_back() else {
            return false;
        };
        let is_near = start + piece.length == offset && start / block_bytes == offset / block_bytes;
        let What::Memory(memory) = &mut piece.what else {
            return false;
        };
        if !is_near {
            return false;
        }
        if memory.capacity() - memory.len() < bytes.len() {
            memory.reserve(room(memory.len(), index(block_bytes - start % block_bytes)));
        }
        memory.extend_from_slice(bytes);
        piece.length += bytes.len() as u64;
        true
    }

    /// Joins the piece that ends at `offset` with the next, if that is in the same window and not
    /// longer: so that a window that is filled from the back does not copy all again and again.
    fn close_gap(&mut self, offset: u64) {
        let Some(next) = self.pieces.get(&offset) else {
            return;
        };
        let Some((start, piece)) = self.pieces.range(..offset).next_back() else {
            return;
        };
        let same_window = start / self.block_bytes == offset / self.block_bytes;
        let joins = start + piece.length == offset && same_window && next.length <= piece.length;
        if joins && piece.is_in_memory() && next.is_in_memory() {
            self.join(*start, offset);
        }
    }

    /// Appends the piece at `next` to that at `start`; both are in memory.
    fn join(&mut self, start: u64, next: u64) {
        let Some(Piece {
            length,
            what: What::Memory(bytes),
        }) = self.pieces.remove(&next)
        else {
            return;
        };
        if let Some(piece) = self.pieces.get_mut(&start)
            && let What::Memory(memory) = &mut piece.what
        {
            memory.extend_from_slice(&bytes);
            piece.length += length;
        }
    }

    fn join_windows(&mut self) {
        let starts: Vec<u64> = self.pieces.keys().copied().collect();
        let mut last: Option<u64> = None;
        for start in starts {
            let joins = last.and_then(|last| {
                let (before, next) = (self.pieces.get(&last)?, self.pieces.get(&start)?);
                let near = last + before.length == start
                    && last / self.block_bytes == start / self.block_bytes;
                (near && before.is_in_memory() && next.is_in_memory()).then_some(last)
            });
            match joins {
                Some(last) => self.join(last, start),
                None => last = Some(start),
            }
        }
    }

    fn take_memory(&mut self, start: u64) -> Option<(u64, Bytes)> {
        let piece = self.pieces.remove(&start)?;
        match piece.what {
            What::Memory(bytes) => {
                self.memory_bytes -= piece.length;
                Some((start, bytes.freeze()))
            }
            _ => None,
        }
    }

    /// Takes everything out of a range.
    fn carve(&mut self, range: Range<u64>) {
        self.split_at(range.start);
        self.split_at(range.end);
        let gone: Vec<u64> = self.pieces.range(range).map(|(start, _)| *start).collect();
        for start in gone {
            if let Some(piece) = self.pieces.remove(&start)
                && piece.is_in_memory()
            {
                self.memory_bytes -= piece.length;
            }
        }
    }

    /// Makes pieces end at `offset`.
    fn split_at(&mut self, offset: u64) {
        let Some((start, piece)) = self.pieces.range_mut(..offset).next_back() else {
            return;
        };
        let kept = offset - start;
        if kept >= piece.length {
            return;
        }
        let what = match &mut piece.what {
            What::Memory(memory) => What::Memory(memory.split_off(index(kept))),
            What::Staged { staging, skip } => What::Staged {
                staging: Arc::clone(staging),
                skip: *skip + u32::try_from(kept).expect("a staging is at most a block"),
            },
            What::Zeros => What::Zeros,
        };
        let length = piece.length - kept;
        piece.length = kept;
        self.pieces.insert(offset, Piece { length, what });
    }
}

impl Piece {
    fn is_in_memory(&self) -> bool {
        matches!(self.what, What::Memory(_))
    }

    /// What is in `length` bytes from `from` of the piece.
    fn see(&self, from: u64, length: u64) -> Seen {
        match &self.what {
            What::Memory(memory) => {
                let range = index(from)..index(from + length);
                Seen::Bytes(Bytes::copy_from_slice(memory.get(range).unwrap_or(&[])))
            }
            What::Staged { staging, skip } => Seen::Staged {
                staging: Arc::clone(staging),
                skip: *skip + u32::try_from(from).expect("a staging is at most a block"),
            },
            What::Zeros => Seen::Zeros,
        }
    }
}

/// How much more to reserve for a piece that grows: small ones stay small, one that has proven to
/// grow gets its whole window at once, so that a stream copies little twice.
fn room(length: usize, window: usize) -> usize {
    const PROVEN_BYTES: usize = 256 << 10;
    match length {
        0..PROVEN_BYTES => length.max(4096).min(window.saturating_sub(length)).max(1),
        _ => window.saturating_sub(length).max(1),
    }
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("an offset within a block")
}
