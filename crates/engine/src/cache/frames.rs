//! Frames: where the data blocks of one index partition are in memory, if they are.
//!
//! Purpose: a lookup that found a block's place in the index finds the block right there. A table
//! of hashes would cost three cache lines more, on every lookup.
//!
//! Invariants: a frame that is filled is counted in [`Blocks`] and has exactly one place in its
//! queues; who has a share of the payload keeps the bytes whatever happens to the frame.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use nokv_art::prefetch_bytes;
use parking_lot::RwLock;

use super::blocks::Blocks;
use crate::table::Payload;

/// Of a processor's cache.
const LINE_BYTES: usize = 64;

/// The frames of a partition, one for each of its blocks.
pub(crate) struct Frames {
    frames: Box<[Frame]>,
    blocks: Arc<Blocks>,
    /// Tells its blocks from those of other partitions.
    seed: u64,
}

/// The place of one block.
#[derive(Default)]
pub(super) struct Frame {
    pub(super) payload: RwLock<Option<Payload>>,
    /// Read again since it was filled, or since eviction last looked.
    pub(super) is_used: AtomicBool,
}

impl Frames {
    /// Memory of one, bytes.
    pub(crate) const FRAME_BYTES: usize = size_of::<Frame>();

    /// `count` empty frames.
    pub(super) fn new(count: usize, seed: u64, blocks: Arc<Blocks>) -> Self {
        Self {
            frames: (0..count).map(|_| Frame::default()).collect(),
            blocks,
            seed,
        }
    }

    /// The block at a place, if it is in memory.
    #[inline]
    pub(crate) fn get(&self, place: usize) -> Option<Payload> {
        let frame = self.frames.get(place)?;
        let payload = frame.payload.read();
        // The count of shares, which is taken next, is in the line before.
        prefetch_bytes(payload.as_deref()?, LINE_BYTES);
        let payload = payload.clone()?;
        // Most are set already: only a store takes the line from the other processors.
        if !frame.is_used.load(Ordering::Relaxed) {
            frame.is_used.store(true, Ordering::Relaxed);
        }
        self.blocks.count_hit(self.key(place));
        Some(payload)
    }

    /// Starts loading the beginning of a block into the processor's caches, if it is in memory.
    #[inline]
    pub(crate) fn prefetch(&self, place: usize) {
        let Some(frame) = self.frames.get(place) else {
            return;
        };
        if let Some(payload) = frame
            .payload
            .try_read()
            .as_deref()
            .and_then(Option::as_deref)
        {
            prefetch_bytes(payload, 0);
            prefetch_bytes(payload, LINE_BYTES);
        }
    }

    /// Whether so many more bytes push out nothing.
    pub(crate) fn has_room(&self, place: usize, bytes: u64) -> bool {
        self.blocks.has_room(self.key(place), bytes)
    }

    /// Memory for a block that is about to be read, if there is any to be used again.
    pub(crate) fn spare(&self, place: usize, bytes: usize) -> Option<Payload> {
        self.blocks.take_spare(self.key(place), bytes)
    }

    /// Puts a block that was read into its frame; others may have to go.
    pub(crate) fn put(self: &Arc<Self>, place: usize, payload: Payload) {
        self.blocks.admit(self, place, payload);
    }

    pub(super) fn frame(&self, place: usize) -> Option<&Frame> {
        self.frames.get(place)
    }

    /// Tells the block from all others, and is spread evenly.
    #[inline]
    pub(super) fn key(&self, place: usize) -> u64 {
        (self.seed ^ place as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        for place in 0..self.frames.len() {
            let key = self.key(place);
            let frame = self.frames.get_mut(place);
            if let Some(payload) = frame.and_then(|frame| frame.payload.get_mut().take()) {
                self.blocks.forget(key, &payload);
            }
        }
    }
}
