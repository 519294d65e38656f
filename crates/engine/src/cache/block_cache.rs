//! A sharded cache with byte weights over `quick_cache`.
//!
//! Its replacement is S3-FIFO-like: a block that is read once passes through a small probation
//! queue and does not push out what is read again and again. Compactions and verifications don't
//! fill it at all ([`FillCache::No`]).

use quick_cache::{
    DefaultHashBuilder, OptionsBuilder, Weighter,
    sync::{Cache, DefaultLifecycle},
};

use crate::table::{DataBlock, IndexBlock};

/// Memory of an entry beside the block's bytes: slot, key, hash table, ghost, and the heads of the
/// allocations.
const ENTRY_BYTES: usize = 160;

/// Blocks are assumed to be of this size for sizing the cache's tables.
const USUAL_BLOCK_BYTES: usize = 8 << 10;

/// The part of the budget that a shard has, at least: entries heavier than a shard's part are not
/// cached, so this lets blocks of some MiB in.
const SHARD_BYTES_MIN: usize = 4 << 20;

const SHARDS_MAX: usize = 64;

/// Which block.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct BlockKey {
    pub(crate) table: u64,
    pub(crate) offset: u64,
}

/// A decoded block; a clone shares its bytes.
#[derive(Clone, Debug)]
pub(crate) enum CachedBlock {
    Data(DataBlock),
    Partition(IndexBlock),
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
        let bytes = match block {
            CachedBlock::Data(block) => block.bytes().len(),
            CachedBlock::Partition(index) => index.byte_count(),
        };
        (bytes + ENTRY_BYTES) as u64
    }
}

/// The cache of a store. Shared by all its tables and readers.
///
/// **Concurrency**: any thread; a lookup takes one shard's lock for reading.
pub(crate) struct BlockCache {
    blocks: Cache<BlockKey, CachedBlock, Bytes>,
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
        }
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
            bytes: self.blocks.weight(),
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
        let mut payload = vec![0; bytes - 20];
        payload.extend_from_slice(&[0; 20]);
        CachedBlock::Partition(IndexBlock::parse(payload.into()).expect("an empty index"))
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
    fn who_does_not_fill_leaves_no_trace() {
        let cache = BlockCache::new(1 << 20);
        cache.insert(key(1), partition(8000), FillCache::No);
        assert!(cache.get(key(1), FillCache::No).is_none());
        assert_eq!(cache.figures(), CacheFigures::default());
    }
}
