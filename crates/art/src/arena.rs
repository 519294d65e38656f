//! The memory of one memtable: a bump allocator of chunks that is freed as a whole.
//!
//! Purpose: everything a memtable stores (leaves, versions, values, tree nodes) lives here, so that
//! readers may follow raw pointers without counting references, and that the bytes are known
//! exactly.
//!
//! Invariants:
//! - Memory handed out is aligned to [`ALIGNMENT`], never moves, is never handed out twice and is
//!   freed only when the arena is dropped. What is replaced becomes garbage, counted by
//!   [`Arena::retire`].
//! - One thread allocates at a time (`&mut self`); the memtable keeps the arena behind its writer
//!   lock.
//! - An arena costs nothing before its first allocation; chunks double from [`CHUNK_BYTES_FIRST`]
//!   to the limit chosen at creation, so that a small memtable stays small and a large one makes
//!   few system calls.
//! - Whatever is larger than an eighth of the next chunk gets an allocation of its own, so that the
//!   unused tail of a chunk is at most an eighth of the following one.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// Alignment of every allocation: that of the widest field (pointers, `u64`). The three low bits of
/// each address are therefore free for the tags of the tree.
pub(crate) const ALIGNMENT: usize = 8;

/// The first chunk: an almost empty memtable (a new keyspace, a quiet shard) costs this.
pub(crate) const CHUNK_BYTES_FIRST: usize = 8 << 10;

/// The largest chunk: more would make the step of a budget visible, less would make calls to the
/// allocator.
pub(crate) const CHUNK_BYTES_MAX: usize = 2 << 20;

/// An allocation above this fraction of the next chunk is made on its own.
const OWN_FRACTION: usize = 8;

/// See the file head.
pub(crate) struct Arena {
    blocks: Vec<Block>,
    /// First free byte of the newest chunk; dangling while `remaining` is 0 and no chunk exists.
    free: NonNull<u8>,
    remaining: usize,
    chunk_bytes_next: usize,
    chunk_bytes_max: usize,
    used_bytes: usize,
    allocated_bytes: usize,
    garbage_bytes: usize,
}

/// One allocation of the system allocator.
struct Block {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the arena owns its blocks exclusively; the raw pointers in it are not tied to a thread.
unsafe impl Send for Arena {}

impl Arena {
    /// An arena whose chunks grow up to `chunk_bytes_max`.
    pub(crate) fn new(chunk_bytes_max: usize) -> Self {
        let chunk_bytes_max = chunk_bytes_max.clamp(CHUNK_BYTES_FIRST, CHUNK_BYTES_MAX);
        Self {
            blocks: Vec::new(),
            free: NonNull::dangling(),
            remaining: 0,
            chunk_bytes_next: CHUNK_BYTES_FIRST,
            chunk_bytes_max,
            used_bytes: 0,
            allocated_bytes: 0,
            garbage_bytes: 0,
        }
    }

    /// `bytes` of uninitialised memory, aligned to [`ALIGNMENT`], valid until the arena is dropped.
    pub(crate) fn allocate(&mut self, bytes: usize) -> NonNull<u8> {
        let bytes = bytes.next_multiple_of(ALIGNMENT);
        self.used_bytes += bytes;
        if bytes > self.remaining {
            if bytes > self.chunk_bytes_next / OWN_FRACTION {
                return self.block(bytes);
            }
            self.free = self.block(self.chunk_bytes_next);
            self.remaining = self.chunk_bytes_next;
            self.chunk_bytes_next = (self.chunk_bytes_next * 2).min(self.chunk_bytes_max);
        }
        let start = self.free;
        // SAFETY: `bytes <= remaining`, so the result is inside the newest chunk or one past its
        // end.
        self.free = unsafe { start.add(bytes) };
        self.remaining -= bytes;
        start
    }

    /// Counts `bytes` that were handed out as no longer reachable for new readers.
    pub(crate) fn retire(&mut self, bytes: usize) {
        self.garbage_bytes += bytes.next_multiple_of(ALIGNMENT);
    }

    /// Bytes handed out, garbage included.
    pub(crate) fn used_bytes(&self) -> usize {
        self.used_bytes
    }

    /// Bytes taken from the system allocator.
    pub(crate) fn allocated_bytes(&self) -> usize {
        self.allocated_bytes
    }

    /// Bytes handed out and since replaced.
    pub(crate) fn garbage_bytes(&self) -> usize {
        self.garbage_bytes
    }

    fn block(&mut self, bytes: usize) -> NonNull<u8> {
        let layout = Layout::from_size_align(bytes, ALIGNMENT)
            .expect("entries are bounded far below isize::MAX");
        debug_assert!(bytes > 0);
        // SAFETY: the layout has a size above zero: a chunk is never empty, and an allocation of
        // its own is larger than an eighth of one.
        let Some(start) = NonNull::new(unsafe { alloc(layout) }) else {
            handle_alloc_error(layout)
        };
        self.allocated_bytes += bytes;
        self.blocks.push(Block { start, layout });
        start
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        for block in &self.blocks {
            // SAFETY: `start` came from `alloc` with this very layout and is freed once, here.
            unsafe { dealloc(block.start.as_ptr(), block.layout) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ALIGNMENT, Arena, CHUNK_BYTES_FIRST, CHUNK_BYTES_MAX};

    #[test]
    fn allocations_are_aligned_disjoint_and_counted() {
        let mut arena = Arena::new(CHUNK_BYTES_MAX);
        assert_eq!(arena.allocated_bytes(), 0);
        let mut ranges = Vec::new();
        let mut used = 0;
        for step in 0..if cfg!(miri) { 60 } else { 3_000_usize } {
            let bytes = 1 + (step * 37) % 700 + if step % 97 == 0 { 20_000 } else { 0 };
            let start = arena.allocate(bytes).as_ptr();
            // SAFETY: `bytes` bytes were just handed out.
            unsafe { start.write_bytes(0xab, bytes) };
            assert_eq!(start.addr() % ALIGNMENT, 0);
            ranges.push((start.addr(), start.addr() + bytes));
            used += bytes.next_multiple_of(ALIGNMENT);
        }
        ranges.sort_unstable();
        assert!(
            ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0),
            "two allocations overlap"
        );
        assert_eq!(arena.used_bytes(), used);
        assert!(arena.allocated_bytes() >= used);
    }

    #[test]
    fn chunks_grow_from_small_and_a_large_value_does_not_waste_one() {
        let mut arena = Arena::new(CHUNK_BYTES_MAX);
        arena.allocate(16);
        assert_eq!(arena.allocated_bytes(), CHUNK_BYTES_FIRST);
        arena.allocate(1 << 20);
        assert_eq!(arena.allocated_bytes(), CHUNK_BYTES_FIRST + (1 << 20));
        arena.allocate(16);
        assert_eq!(arena.allocated_bytes(), CHUNK_BYTES_FIRST + (1 << 20));
        arena.retire(16);
        assert_eq!(arena.garbage_bytes(), 16);
    }
}
