//! The state of an open file, which all its handles share: pure but for starting uploads.
//!
//! Invariants:
//! - what a read gets is the newest of: the active layer, the one that a flush has taken, the base;
//! - the reservation covers the bytes in memory of the active layer (what was given back by a
//!   failed flush excepted), and never more.

use super::layer::{Layer, Seen, What};
use super::sessions::WriteSessions;
use super::staging::{Progress, Staging, Trouble};
use bytes::Bytes;
use nokv_namespace::Node;
use nokv_object::OpenBody;
use nokv_types::{Failure, INLINE_BYTES_MAX, Layout};
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// A generation of the file.
#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) node: Node,
    pub(crate) body: OpenBody,
}

impl Base {
    pub(crate) fn size(&self) -> u64 {
        self.body.body().size()
    }

    /// Its bytes, if they are inline.
    pub(crate) fn inline(&self) -> Option<&Bytes> {
        match self.body.body().layout() {
            Layout::Inline(bytes) => Some(bytes),
            Layout::Extents(_) => None,
        }
    }
}

/// Where a part of the file is to be had.
#[derive(Debug)]
pub(crate) enum Source {
    Bytes(Bytes),
    Staged { staging: Arc<Staging>, skip: u32 },
    Zeros,
    Base,
}

/// A piece that a flush has taken.
#[derive(Clone, Debug)]
pub(crate) struct TakenPiece {
    pub(crate) range: Range<u64>,
    pub(crate) what: TakenWhat,
}

/// What is in it.
#[derive(Clone, Debug)]
pub(crate) enum TakenWhat {
    Inline(Bytes),
    Staged { staging: Arc<Staging>, skip: u32 },
    Zeros,
}

/// What a flush has taken.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) pieces: Vec<TakenPiece>,
    pub(crate) cut: Option<u64>,
    pub(crate) floor: u64,
    pub(crate) appended_from: Option<u64>,
    pub(crate) base: Arc<Base>,
    /// Of the file as it was taken.
    pub(crate) size: u64,
    pub(crate) is_inline: bool,
}

impl Taken {
    /// Whether what an inline base has must become an object: the edits rest on that generation.
    pub(crate) fn absorbs(&self) -> bool {
        let keeps_base = self.cut != Some(0) && self.base.size() > 0;
        !self.is_inline && keeps_base && self.base.inline().is_some()
    }
}

/// The state.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) base: Arc<Base>,
    taken: Option<Layer>,
    active: Layer,
    memory: Option<OwnedSemaphorePermit>,
    /// Bytes that the sessions were told of.
    noted_bytes: u64,
    block_bytes: u32,
    trouble: Arc<Trouble>,
}

impl State {
    pub(crate) fn new(base: Arc<Base>, block_bytes: u32) -> Self {
        Self {
            base,
            taken: None,
            active: Layer::new(block_bytes),
            memory: None,
            noted_bytes: 0,
            block_bytes,
            trouble: Arc::default(),
        }
    }

    /// Bytes of the file as its handles see it.
    pub(crate) fn size(&self) -> u64 {
        let below = match &self.taken {
            Some(taken) => taken.size_over(self.base.size()),
            None => self.base.size(),
        };
        self.active.size_over(below)
    }

    /// Whether a flush has something to do.
    pub(crate) const fn is_edited(&self) -> bool {
        self.active.is_edited()
    }

    /// Whether anything was edited that no finished flush has stored.
    pub(crate) const fn is_dirty(&self) -> bool {
        self.active.is_edited() || self.taken.is_some()
    }

    /// Whether a flush is under way.
    pub(crate) const fn is_taken(&self) -> bool {
        self.taken.is_some()
    }

    /// Why bytes could not be stored since this was last asked.
    pub(crate) fn take_trouble(&self) -> Option<Failure> {
        self.trouble.lock().take()
    }

    pub(crate) fn piece_count(&self) -> usize {
        self.active.pieces().len()
    }

    /// Writes bytes of one window, for which `memory` was reserved; uploads the window once it is
    /// full.
    pub(crate) fn write(
        &mut self,
        sessions: &Arc<WriteSessions>,
        offset: u64,
        bytes: &[u8],
        memory: OwnedSemaphorePermit,
    ) {
        self.active.write(offset, bytes);
        match &mut self.memory {
            Some(held) => held.merge(memory),
            None => self.memory = Some(memory),
        }
        if let Some((start, bytes)) = self.active.full_window(offset) {
            self.stage(sessions, start, bytes);
        }
        self.settle_memory(sessions);
    }

    pub(crate) fn note_write(&mut self, range: &Range<u64>) {
        self.active.note_write(range);
    }

    pub(crate) fn note_append(&mut self, offset: u64) {
        self.active.note_append(offset);
    }

    pub(crate) fn zero(&mut self, sessions: &WriteSessions, range: Range<u64>) {
        self.active.zero(range);
        self.settle_memory(sessions);
    }

    pub(crate) fn resize(&mut self, sessions: &WriteSessions, size: u64) {
        self.active.resize(size);
        self.settle_memory(sessions);
    }

    /// Uploads all that is in memory.
    pub(crate) fn stage_all(&mut self, sessions: &Arc<WriteSessions>) {
        for (start, bytes) in self.active.all_memory() {
            self.stage(sessions, start, bytes);
        }
        self.settle_memory(sessions);
    }

    fn stage(&mut self, sessions: &Arc<WriteSessions>, start: u64, bytes: Bytes) {
        let length = bytes.len();
        // Bytes that a failed flush gave back have no reservation any more.
        let held = self
            .memory
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits);
        let memory = self
            .memory
            .as_mut()
            .and_then(|held_memory| held_memory.split(length.min(held)));
        let staging = Staging::start(sessions, &self.trouble, start, bytes, memory);
        self.active.put_staged(start, length as u64, staging);
    }

    /// Uploads bytes that are in no layer.
    pub(crate) fn stage_apart(
        &self,
        sessions: &Arc<WriteSessions>,
        start: u64,
        bytes: Bytes,
    ) -> Arc<Staging> {
        Staging::start(sessions, &self.trouble, start, bytes, None)
    }

    /// Gives back what is reserved for more than is in memory.
    fn settle_memory(&mut self, sessions: &WriteSessions) {
        let now = self.active.memory_bytes();
        sessions.note_unstaged(self.noted_bytes, now);
        self.noted_bytes = now;
        let used = usize::try_from(now).unwrap_or(usize::MAX);
        if let Some(held) = &mut self.memory {
            let unused = held.num_permits().saturating_sub(used);
            drop(held.split(unused));
        }
    }

    /// The parts of a range of the file, ascending and without a gap.
    pub(crate) fn look(&self, range: Range<u64>) -> Vec<(Range<u64>, Source)> {
        let mut parts = Vec::new();
        for (part, seen) in self.active.look(range) {
            match (seen, &self.taken) {
                (Seen::Below, Some(taken)) => {
                    for (part, seen) in taken.look(part) {
                        self.source(part, seen, &mut parts);
                    }
                }
                (seen, _) => self.source(part, seen, &mut parts),
            }
        }
        parts
    }

    fn source(&self, part: Range<u64>, seen: Seen, parts: &mut Vec<(Range<u64>, Source)>) {
        let source = match seen {
            Seen::Bytes(bytes) => Source::Bytes(bytes),
            Seen::Staged { staging, skip } => Source::Staged { staging, skip },
            Seen::Zeros => Source::Zeros,
            Seen::Below => {
                let end = self.base.size().clamp(part.start, part.end);
                if part.start < end {
                    parts.push((part.start..end, Source::Base));
                }
                if end < part.end {
                    parts.push((end..part.end, Source::Zeros));
                }
                return;
            }
        };
        parts.push((part, source));
    }

    /// Gives the edits so far to a flush.
    pub(crate) fn take(&mut self, sessions: &Arc<WriteSessions>) -> Taken {
        let is_inline = self.is_inline();
        if !is_inline {
            self.stage_all(sessions);
        }
        let size = self.size();
        let layer = std::mem::replace(&mut self.active, Layer::new(self.block_bytes));
        self.settle_memory(sessions);
        let pieces = layer.pieces().iter().map(|(start, piece)| TakenPiece {
            range: *start..start + piece.length,
            what: match &piece.what {
                What::Memory(bytes) => TakenWhat::Inline(Bytes::copy_from_slice(bytes)),
                What::Staged { staging, skip } => TakenWhat::Staged {
                    staging: Arc::clone(staging),
                    skip: *skip,
                },
                What::Zeros => TakenWhat::Zeros,
            },
        });
        let taken = Taken {
            pieces: pieces.collect(),
            cut: layer.cut(),
            floor: layer.floor(),
            appended_from: layer.appended_from(),
            base: Arc::clone(&self.base),
            size,
            is_inline,
        };
        self.taken = Some(layer);
        taken
    }

    /// The flush has made a base of what it took.
    pub(crate) fn flushed(&mut self, base: Arc<Base>) {
        self.taken = None;
        self.base = base;
    }

    /// The flush has failed: what it took is edits again, and what could not be stored is in
    /// memory.
    pub(crate) fn give_back(&mut self, sessions: &WriteSessions) {
        let Some(mut taken) = self.taken.take() else {
            return;
        };
        let block_bytes = self.block_bytes;
        let newer = std::mem::replace(&mut self.active, Layer::new(block_bytes));
        taken.cover(newer);
        self.active = taken;
        let failed: Vec<_> = self
            .active
            .pieces()
            .iter()
            .filter_map(failed_part)
            .collect();
        for (start, bytes) in failed {
            self.active.unstage(start, &bytes);
        }
        self.settle_memory(sessions);
    }

    /// Has bytes in memory again that were staged at a place, if that is what is there.
    pub(crate) fn unstage(
        &mut self,
        sessions: &WriteSessions,
        start: u64,
        of: &Arc<Staging>,
        bytes: &[u8],
    ) {
        let is_there = self.active.pieces().get(&start).is_some_and(|piece| {
            piece.length == bytes.len() as u64
                && matches!(&piece.what, What::Staged { staging, .. } if Arc::ptr_eq(staging, of))
        });
        if is_there {
            self.active.unstage(start, bytes);
            self.settle_memory(sessions);
        }
    }

    /// Whether the file fits inline, and its bytes are here.
    fn is_inline(&self) -> bool {
        let keeps_base = self.active.cut() != Some(0) && self.base.size() > 0;
        let is_here = |what: &What| !matches!(what, What::Staged { .. });
        self.size() <= INLINE_BYTES_MAX as u64
            && (!keeps_base || self.base.inline().is_some())
            && self
                .active
                .pieces()
                .values()
                .all(|piece| is_here(&piece.what))
    }
}

/// The bytes of a piece whose staging failed.
fn failed_part((start, piece): (&u64, &super::layer::Piece)) -> Option<(u64, Bytes)> {
    let What::Staged { staging, skip } = &piece.what else {
        return None;
    };
    let Progress::Failed(bytes, _) = staging.progress() else {
        return None;
    };
    let (skip, length) = (*skip as usize, usize::try_from(piece.length).ok()?);
    Some((*start, bytes.slice(skip..skip + length)))
}
