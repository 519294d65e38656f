//! A sharded cache with byte weights over `quick_cache`.
//!
//! Its replacement is S3-FIFO-like: a block that is read once passes through a small probation
//! queue and does not push out what is read again and again. Compactions and verifications don't
//! fill it at all ([`FillCache::No`]).

use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::{
    DefaultHashBuilder, OptionsBuilder, Weighter,
    sync::{Cache, DefaultLifecycle},
};

use crate::table::Payload;

/// Memory of an entry beside the block's bytes: slot, key, hash table, ghost, and the heads of the
/// allocations.
const ENTRY_BYTES: usize = 160;

/// Blocks are assumed to be of this size for sizing the cache's tables.
const USUAL_BLOCK_BYTES: usize = 8 << 10;

/// The part of the budget that a shard has, at least: entries heavier than a shard's part are not
/// cached, so this lets blocks of some MiB in.
const SHARD_BYTES_MIN: usize = 4 << 20;

const SHARDS_MAX: usize = 64;

/// Tables keep index partitions of at most this part of the budget; beyond it, partitions compete
/// with data blocks for the cache.
const PINNED_PART: u64 = 4;

/// Memory of a kept partition beside its bytes.
const PINNED_BYTES: usize = 128;

/// Which block.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct BlockKey {
    pub(crate) table: u64,
    pub(crate) offset: u64,
}

/// A block, checked and decompressed; a clone shares its bytes.
#[derive(Clone, Debug)]
pub(crate) enum CachedBlock {
    Data(Payload),
    Partition(Payload),
}

/// Whether blocks that were not in the cache are put there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum FillCache {
    #[default]
    Yes,
    /// For readers that pass through once: compaction, verification.
    No,
}

/// Counters and gauges.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct CacheFigures {
    pub(crate) bytes: u64,
    pub(crate) hit_count: u64,
    pub(crate) miss_count: u64,
}

#[derive(Clone)]
struct Bytes;

impl Weighter<BlockKey, CachedBlock> for Bytes {
    fn weight(&self, _: &BlockKey, block: &CachedBlock) -> u64 {
        let (CachedBlock::Data(payload) | CachedBlock::Partition(payload)) = block;
        (payload.len() + ENTRY_BYTES) as u64
    }
}

/// The cache of a store. Shared by all its tables and readers.
///
/// **Concurrency**: any thread; a lookup takes one shard's lock for reading.
pub(crate) struct BlockCache {
    blocks: Cache<BlockKey, CachedBlock, Bytes>,
    budget_bytes: u64,
    /// What tables keep for themselves: taken from the budget of the blocks.
    pinned_bytes: AtomicU64,
}

impl BlockCache {
    /// A cache that holds at most `budget_bytes`.
    pub(crate) fn new(budget_bytes: usize) -> Self {
        let shards = (budget_bytes / SHARD_BYTES_MIN).clamp(1, SHARDS_MAX);
        let options = OptionsBuilder::new()
            .weight_capacity(budget_bytes as u64)
            .estimated_items_capacity((budget_bytes / USUAL_BLOCK_BYTES).max(16))
            .shards(if shards.is_power_of_two() {
                shards
            } else {
                shards.next_power_of_two() / 2
            })
            .build()
            .expect("both capacities are set");
        let lifecycle = DefaultLifecycle::default();
        Self {
            blocks: Cache::with_options(options, Bytes, DefaultHashBuilder::default(), lifecycle),
            budget_bytes: budget_bytes as u64,
            pinned_bytes: AtomicU64::new(0),
        }
    }

    /// Asks to keep so many bytes outside of the cache, on its budget; whether that is granted.
    pub(crate) fn pin(&self, bytes: usize) -> bool {
        let bytes = (bytes + PINNED_BYTES) as u64;
        let limit = self.budget_bytes / PINNED_PART;
        let add = |pinned: u64| pinned.checked_add(bytes).filter(|sum| *sum <= limit);
        let order = Ordering::Relaxed;
        let is_granted = self.pinned_bytes.fetch_update(order, order, add).is_ok();
        if is_granted {
            self.fit();
        }
        is_granted
    }

    /// Gives back what [`BlockCache::pin`] granted, for `count` blocks together.
    pub(crate) fn unpin(&self, bytes: usize, count: usize) {
        if count > 0 {
            let bytes = (bytes + count * PINNED_BYTES) as u64;
            self.pinned_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.fit();
        }
    }

    /// Leaves to the blocks what tables do not keep.
    fn fit(&self) {
        let pinned = self.pinned_bytes.load(Ordering::Relaxed);
        self.blocks
            .set_capacity(self.budget_bytes.saturating_sub(pinned).max(1));
    }

    /// A block, if it is there; a reader that does not fill leaves no trace of having asked.
    #[inline]
    pub(crate) fn get(&self, key: BlockKey, fill: FillCache) -> Option<CachedBlock> {
        match fill {
            FillCache::Yes => self.blocks.get(&key),
            FillCache::No => self.blocks.peek(&key),
        }
    }

    /// Puts a block in, or, when it is heavier than a shard's part of the budget, not.
    pub(crate) fn insert(&self, key: BlockKey, block: CachedBlock, fill: FillCache) {
        if fill == FillCache::Yes {
            self.blocks.insert(key, block);
        }
    }

    pub(crate) fn figures(&self) -> CacheFigures {
        CacheFigures {
            bytes: self.blocks.weight() + self.pinned_bytes.load(Ordering::Relaxed),
            hit_count: self.blocks.hits(),
            miss_count: self.blocks.misses(),
        }
    }
}

impl std::fmt::Debug for BlockCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.figures().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(bytes: usize) -> CachedBlock {
        CachedBlock::Partition(vec![0; bytes].into())
    }

    fn key(offset: u64) -> BlockKey {
        BlockKey { table: 1, offset }
    }

    #[test]
    fn the_budget_holds_and_is_used() {
        for budget in [1_usize << 20, 64 << 20] {
            let cache = BlockCache::new(budget);
            let count = 4 * budget as u64 / 8000;
            for offset in 0..count {
                cache.insert(key(offset), partition(8000), FillCache::Yes);
                assert!(cache.figures().bytes <= budget as u64);
            }
            assert!(cache.figures().bytes >= budget as u64 * 9 / 10);
        }
    }

    #[test]
    fn what_is_read_again_and_again_survives_a_scan() {
        let cache = BlockCache::new(8 << 20);
        for round in 0..20 {
            for offset in 0..200 {
                if cache.get(key(offset), FillCache::Yes).is_none() {
                    cache.insert(key(offset), partition(8000), FillCache::Yes);
                }
            }
            for scanned in 0..500 {
                let offset = 1000 + round * 500 + scanned;
                cache.insert(key(offset), partition(8000), FillCache::Yes);
            }
        }
        let kept = (0..200).filter(|offset| cache.get(key(*offset), FillCache::No).is_some());
        assert!(kept.count() >= 190);
    }

    #[test]
    fn what_tables_keep_is_a_part_of_the_budget() {
        let budget = 8 << 20;
        let cache = BlockCache::new(budget);
        let mut granted = 0;
        while cache.pin(32 << 10) {
            granted += 1;
        }
        assert!(
            (granted * (32 << 10)..budget).contains(&(budget / 4 - 1000)),
            "{granted}"
        );
        for offset in 0..2000 {
            cache.insert(key(offset), partition(8000), FillCache::Yes);
            assert!(cache.figures().bytes <= budget as u64);
        }
        assert!(cache.figures().bytes >= budget as u64 * 9 / 10);
        cache.unpin(granted * (32 << 10), granted);
        assert!(cache.figures().bytes <= budget as u64 * 4 / 5);
        assert!(cache.pin(32 << 10));
    }

    #[test]
    fn who_does_not_fill_leaves_no_trace() {
        let cache = BlockCache::new(1 << 20);
        cache.insert(key(1), partition(8000), FillCache::No);
        assert!(cache.get(key(1), FillCache::No).is_none());
        assert_eq!(cache.figures(), CacheFigures::default());
    }
}
