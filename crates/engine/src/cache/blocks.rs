//! The budget of the data blocks in memory, and which of them go when it is used up.
//!
//! S3-FIFO (Yang and others, "FIFO queues are all you need for cache eviction", 2023): a block
//! enters a small queue on probation; who was read again by the time it leaves that goes to the
//! main queue, where those that are read stay. A scan passes through the small queue and pushes out
//! nothing that is read again and again. A hit changes no queue: it sets a bit in the frame.
//!
//! Invariants: the bytes counted are those of filled frames, and stay at or below the limit but for
//! one block while it is exchanged; each filled frame is in one queue, once. A frame whose table is
//! gone is dead: its memory is freed and uncounted at once, its place in a queue is passed over.
//!
//! Locks: a shard's queues, then a frame.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;

use super::frames::{Frame, Frames};
use crate::table::Payload;

/// Memory of a block beside its bytes: the head of the allocation, its place in a queue.
const ENTRY_BYTES: usize = 64;

/// Blocks are assumed to be of this size for sizing the ghosts.
const USUAL_BLOCK_BYTES: u64 = 8 << 10;

/// The part of the budget that a shard has, at least: blocks heavier than that are not kept, so
/// this lets blocks of some MiB in.
const SHARD_BYTES_MIN: u64 = 4 << 20;

const SHARDS_MAX: u64 = 64;

/// One byte in so many is for probation.
const PROBATION_PART: u64 = 10;

/// Blocks that eviction lets stay, before it takes the next one whatever was read: bounds the time
/// under the lock.
const SPARED_MAX: usize = 64;

/// Buffers that a shard keeps for the next blocks to be read.
const SPARE_MAX: usize = 2;

/// Counters of hits, side by side, so that processors do not fight for one line.
const STRIPES: usize = 16;

/// All data blocks in memory.
pub(crate) struct Blocks {
    shards: Box<[Shard]>,
    /// The most that a shard may hold, bytes.
    shard_limit: AtomicU64,
    hits: [Stripe; STRIPES],
    misses: AtomicU64,
}

#[derive(Default)]
#[repr(align(64))]
struct Stripe(AtomicU64);

#[repr(align(64))]
struct Shard {
    queues: Mutex<Queues>,
    /// Of filled frames.
    bytes: AtomicU64,
}

struct Queues {
    probation: VecDeque<Resident>,
    probation_bytes: u64,
    main: VecDeque<Resident>,
    /// Fingerprints of blocks that left probation without having been read again: who comes back
    /// goes to the main queue.
    ghosts: Box<[u32]>,
    spare: Vec<Payload>,
}

/// A filled frame in a queue.
struct Resident {
    frames: Weak<Frames>,
    place: u32,
    bytes: u32,
}

impl Blocks {
    /// None yet; together at most `budget_bytes`.
    pub(super) fn new(budget_bytes: u64) -> Self {
        let shards = (budget_bytes / SHARD_BYTES_MIN).clamp(1, SHARDS_MAX);
        let shards = 1 << shards.ilog2();
        let ghosts = (budget_bytes / shards / USUAL_BLOCK_BYTES).next_power_of_two();
        let shard = |_| Shard {
            queues: Mutex::new(Queues {
                probation: VecDeque::new(),
                probation_bytes: 0,
                main: VecDeque::new(),
                ghosts: (0..ghosts).map(|_| 0).collect(),
                spare: Vec::new(),
            }),
            bytes: AtomicU64::new(0),
        };
        Self {
            shards: (0..shards).map(shard).collect(),
            shard_limit: AtomicU64::new(budget_bytes / shards),
            hits: Default::default(),
            misses: AtomicU64::new(0),
        }
    }

    /// What they may weigh together from now on.
    pub(super) fn limit_to(&self, bytes: u64) {
        let limit = bytes / self.shards.len() as u64;
        self.shard_limit.store(limit, Ordering::Relaxed);
        for shard in &self.shards {
            if shard.bytes.load(Ordering::Relaxed) > limit {
                shard.make_room(&mut shard.queues.lock(), limit);
            }
        }
    }

    /// Whether the shard of this block is filled so little that `bytes` more in each shard would
    /// push out nothing.
    pub(super) fn has_room(&self, key: u64, bytes: u64) -> bool {
        let limit = self.shard_limit.load(Ordering::Relaxed);
        let filled = self
            .shard(key)
            .map(|shard| shard.bytes.load(Ordering::Relaxed));
        filled.is_some_and(|filled| filled + bytes < limit)
    }

    /// Of all filled frames.
    pub(super) fn bytes(&self) -> u64 {
        let shards = self.shards.iter();
        shards
            .map(|shard| shard.bytes.load(Ordering::Relaxed))
            .sum()
    }

    pub(super) fn hit_count(&self) -> u64 {
        let stripes = self.hits.iter();
        stripes.map(|stripe| stripe.0.load(Ordering::Relaxed)).sum()
    }

    pub(super) fn miss_count(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }

    pub(super) fn count_miss(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn count_hit(&self, key: u64) {
        if let Some(stripe) = self.hits.get(high_bits(key, STRIPES)) {
            stripe.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn take_spare(&self, key: u64, bytes: usize) -> Option<Payload> {
        let mut queues = self.shard(key)?.queues.lock();
        let place = queues.spare.iter().position(|spare| spare.fits(bytes))?;
        Some(queues.spare.swap_remove(place))
    }

    /// Fills the frame, unless somebody else has.
    pub(super) fn admit(&self, frames: &Arc<Frames>, place: usize, payload: Payload) {
        self.count_miss();
        let key = frames.key(place);
        let bytes = weight(&payload);
        let limit = self.shard_limit.load(Ordering::Relaxed);
        let (Some(shard), Some(frame)) = (self.shard(key), frames.frame(place)) else {
            return;
        };
        let (Ok(place), Ok(small)) = (u32::try_from(place), u32::try_from(bytes)) else {
            return;
        };
        if bytes > limit {
            return;
        }
        let mut queues = shard.queues.lock();
        if frame.payload.read().is_some() {
            return;
        }
        shard.make_room(&mut queues, limit - bytes);
        frame.is_used.store(false, Ordering::Relaxed);
        *frame.payload.write() = Some(payload);
        shard.bytes.fetch_add(bytes, Ordering::Relaxed);
        let resident = Resident {
            frames: Arc::downgrade(frames),
            place,
            bytes: small,
        };
        if queues.take_ghost(key) {
            queues.main.push_back(resident);
        } else {
            queues.probation_bytes += bytes;
            queues.probation.push_back(resident);
        }
    }

    /// The frame of this block is no more.
    pub(super) fn forget(&self, key: u64, payload: &Payload) {
        if let Some(shard) = self.shard(key) {
            shard.bytes.fetch_sub(weight(payload), Ordering::Relaxed);
        }
    }

    fn shard(&self, key: u64) -> Option<&Shard> {
        self.shards.get(high_bits(key, self.shards.len()))
    }
}

impl Shard {
    /// Empties frames until the filled ones weigh at most `limit`.
    fn make_room(&self, queues: &mut Queues, limit: u64) {
        let mut spared = 0;
        while self.bytes.load(Ordering::Relaxed) > limit {
            let probation_limit = limit / PROBATION_PART;
            let Some(freed) = queues.evict(probation_limit, &mut spared) else {
                return;
            };
            self.bytes.fetch_sub(weight(&freed), Ordering::Relaxed);
            if queues.spare.len() < SPARE_MAX && freed.is_unshared() {
                queues.spare.push(freed);
            }
        }
    }
}

impl Queues {
    /// Empties one frame; `None` when there is none. `spared` counts those that were let stay.
    fn evict(&mut self, probation_limit: u64, spared: &mut usize) -> Option<Payload> {
        loop {
            let on_probation = self.probation_bytes > probation_limit || self.main.is_empty();
            let resident = if on_probation {
                let resident = self.probation.pop_front()?;
                self.probation_bytes -= u64::from(resident.bytes);
                resident
            } else {
                self.main.pop_front()?
            };
            let Some(frames) = resident.frames.upgrade() else {
                continue;
            };
            let place = resident.place as usize;
            let Some(frame) = frames.frame(place) else {
                continue;
            };
            if is_spared(frame, spared) {
                self.main.push_back(resident);
                continue;
            }
            let payload = frame.payload.write().take();
            if on_probation {
                self.put_ghost(frames.key(place));
            }
            if payload.is_some() {
                return payload;
            }
        }
    }

    fn put_ghost(&mut self, key: u64) {
        let (place, print) = self.ghost_of(key);
        if let Some(ghost) = self.ghosts.get_mut(place) {
            *ghost = print;
        }
    }

    fn take_ghost(&mut self, key: u64) -> bool {
        let (place, print) = self.ghost_of(key);
        let Some(ghost) = self.ghosts.get_mut(place).filter(|ghost| **ghost == print) else {
            return false;
        };
        *ghost = 0;
        true
    }

    /// Its place among the ghosts, and its fingerprint, which is not 0.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "masked to the table's size"
    )]
    fn ghost_of(&self, key: u64) -> (usize, u32) {
        let mixed = key ^ (key >> 32);
        let place = mixed as usize & (self.ghosts.len() - 1);
        (place, (mixed >> 24) as u32 | 1)
    }
}

/// Whether it was read again, and may stay for that.
fn is_spared(frame: &Frame, spared: &mut usize) -> bool {
    let is_spared = frame.is_used.swap(false, Ordering::Relaxed) && *spared < SPARED_MAX;
    *spared += usize::from(is_spared);
    is_spared
}

/// What a block counts for.
fn weight(payload: &Payload) -> u64 {
    (payload.byte_count() + ENTRY_BYTES) as u64
}

/// A number below `count`, a power of two.
#[expect(clippy::cast_possible_truncation, reason = "shifted to a few bits")]
fn high_bits(key: u64, count: usize) -> usize {
    key.checked_shr(u64::BITS - count.ilog2()).unwrap_or(0) as usize
}
