//! The budget as a whole: partitions that tables keep, partitions that they don't, data blocks.
//!
//! Partitions that tables do not keep are in a sharded map over `quick_cache` (S3-FIFO-like): only
//! stores whose index is larger than a quarter of the budget have any. Compactions and
//! verifications fill nothing ([`FillCache::No`]).

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use quick_cache::{
    DefaultHashBuilder, OptionsBuilder, Weighter,
    sync::{Cache, DefaultLifecycle},
};

use super::{blocks::Blocks, frames::Frames};
use crate::table::Partition;

/// Tables keep index partitions of at most this part of the budget,
const PINNED_PART: u64 = 4;

/// and the others may use this part.
const UNPINNED_PART: u64 = 8;

/// Memory of a partition beside its bytes and frames: allocations, parsed head, key.
const PARTITION_BYTES: usize = 256;

/// Partitions are assumed to be of this size for sizing the map.
const USUAL_PARTITION_BYTES: u64 = 48 << 10;

/// Shards of the map: a partition must be lighter than the part of one.
const SHARDS_MAX: u64 = 8;
const SHARD_BYTES_MIN: u64 = 256 << 10;

/// Which partition.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct PartitionKey {
    pub(crate) table: u64,
    /// In the top index.
    pub(crate) place: u32,
}

/// Whether what was not in the cache is put there.
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

impl Weighter<PartitionKey, Arc<Partition>> for Bytes {
    fn weight(&self, _: &PartitionKey, partition: &Arc<Partition>) -> u64 {
        weight(partition)
    }
}

/// The cache of a store. Shared by all its tables and readers.
///
/// **Concurrency**: any thread.
pub(crate) struct BlockCache {
    budget_bytes: u64,
    blocks: Arc<Blocks>,
    /// What tables keep.
    pinned_bytes: AtomicU64,
    /// What tables are in memory without their partitions and blocks.
    table_bytes: AtomicU64,
    unpinned: Cache<PartitionKey, Arc<Partition>, Bytes>,
}

impl BlockCache {
    /// A cache that holds at most `budget_bytes`.
    pub(crate) fn new(budget_bytes: usize) -> Self {
        let budget_bytes = budget_bytes as u64;
        let unpinned_bytes = budget_bytes / UNPINNED_PART;
        let shards = (unpinned_bytes / SHARD_BYTES_MIN).clamp(1, SHARDS_MAX);
        let items = (unpinned_bytes / USUAL_PARTITION_BYTES).max(16);
        let options = OptionsBuilder::new()
            .weight_capacity(unpinned_bytes)
            .estimated_items_capacity(usize::try_from(items).unwrap_or(usize::MAX))
            .shards(1 << shards.ilog2())
            .build()
            .expect("both capacities are set");
        let lifecycle = DefaultLifecycle::default();
        Self {
            budget_bytes,
            blocks: Arc::new(Blocks::new(budget_bytes)),
            pinned_bytes: AtomicU64::new(0),
            table_bytes: AtomicU64::new(0),
            unpinned: Cache::with_options(options, Bytes, DefaultHashBuilder::default(), lifecycle),
        }
    }

    /// Frames for the blocks of a partition.
    pub(crate) fn frames(&self, key: PartitionKey, count: usize) -> Frames {
        // Places are below 2^20, so partitions differ in what they leave.
        let seed = (key.table << 40) ^ (u64::from(key.place) << 20);
        Frames::new(count, seed, Arc::clone(&self.blocks))
    }

    /// Asks to keep a partition in its table; whether that is granted. Then [`BlockCache::unpin`]
    /// gives it back.
    pub(crate) fn pin(&self, partition: &Partition) -> bool {
        let (bytes, limit) = (weight(partition), self.budget_bytes / PINNED_PART);
        let add = |pinned: u64| pinned.checked_add(bytes).filter(|sum| *sum <= limit);
        let order = Ordering::Relaxed;
        let is_granted = self.pinned_bytes.fetch_update(order, order, add).is_ok();
        if is_granted {
            self.fit();
        }
        is_granted
    }

    pub(crate) fn unpin(&self, partition: &Partition) {
        self.pinned_bytes
            .fetch_sub(weight(partition), Ordering::Relaxed);
    }

    /// A partition that its table does not keep, if it is there; a reader that does not fill leaves
    /// no trace of having asked.
    pub(crate) fn get(&self, key: PartitionKey, fill: FillCache) -> Option<Arc<Partition>> {
        match fill {
            FillCache::Yes => self.unpinned.get(&key),
            FillCache::No => self.unpinned.peek(&key),
        }
    }

    /// Puts one in that was read.
    pub(crate) fn insert(&self, key: PartitionKey, partition: Arc<Partition>) {
        self.unpinned.insert(key, partition);
        self.fit();
    }

    /// One more was read from its file.
    pub(crate) fn count_miss(&self) {
        self.blocks.count_miss();
    }

    /// A table was opened that is so much in memory whatever is asked of it.
    pub(crate) fn add_table(&self, bytes: usize) {
        self.table_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.fit();
    }

    /// It is no more.
    pub(crate) fn remove_table(&self, bytes: usize) {
        self.table_bytes.fetch_sub(bytes as u64, Ordering::Relaxed);
        self.fit();
    }

    /// Leaves to the blocks what tables and partitions do not need.
    pub(crate) fn fit(&self) {
        let taken = self.taken_bytes();
        self.blocks
            .limit_to(self.budget_bytes.saturating_sub(taken));
    }

    /// By tables and partitions.
    fn taken_bytes(&self) -> u64 {
        let tables = self.table_bytes.load(Ordering::Relaxed);
        tables + self.pinned_bytes.load(Ordering::Relaxed) + self.unpinned.weight()
    }

    pub(crate) fn figures(&self) -> CacheFigures {
        CacheFigures {
            bytes: self.blocks.bytes() + self.taken_bytes(),
            hit_count: self.blocks.hit_count(),
            miss_count: self.blocks.miss_count(),
        }
    }
}

/// What a partition counts for, without its blocks.
fn weight(partition: &Partition) -> u64 {
    let frames = partition.index.entry_count() * Frames::FRAME_BYTES;
    (partition.index.payload().byte_count() + frames + PARTITION_BYTES) as u64
}

impl std::fmt::Debug for BlockCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.figures().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{IndexBlock, Payload};

    const BLOCK_BYTES: usize = 8000;

    /// A partition without a filter or entries, and frames for so many blocks.
    fn partition(cache: &BlockCache, table: u64, frames: usize) -> Partition {
        let index = IndexBlock::parse(vec![0; 32 << 10].into()).expect("an empty index");
        let key = PartitionKey { table, place: 0 };
        Partition::new(index, cache.frames(key, frames))
    }

    fn block(letter: u8) -> Payload {
        vec![letter; BLOCK_BYTES].into()
    }

    #[test]
    fn the_budget_holds_and_is_used() {
        for budget in [1_usize << 20, 64 << 20] {
            let cache = BlockCache::new(budget);
            let count = 4 * budget / BLOCK_BYTES;
            let own = partition(&cache, 1, count);
            for place in 0..count {
                own.frames.put(place, block(1));
                assert!(cache.figures().bytes <= budget as u64);
            }
            let filled = (0..count).filter(|place| own.frames.get(*place).is_some());
            assert!(filled.count() * BLOCK_BYTES >= budget * 9 / 10);
            assert!(cache.figures().bytes >= budget as u64 * 9 / 10);
            drop(own);
            assert_eq!(cache.figures().bytes, 0);
        }
    }

    #[test]
    fn a_frame_has_the_block_that_was_put_there() {
        let cache = BlockCache::new(4 << 20);
        let partitions = [partition(&cache, 1, 300), partition(&cache, 2, 300)];
        for place in 0..300 {
            for (number, own) in (0..).zip(&partitions) {
                assert!(own.frames.get(place).is_none());
                own.frames.put(place, block(number));
                own.frames.put(place, block(9));
            }
        }
        for place in 0..300 {
            for (number, own) in (0..).zip(&partitions) {
                if let Some(payload) = own.frames.get(place) {
                    assert_eq!(&payload[..], &block(number)[..]);
                }
            }
        }
        assert!(partitions[0].frames.get(300).is_none());
        partitions[0].frames.put(300, block(1));
    }

    #[test]
    fn what_is_read_again_and_again_survives_a_scan() {
        let cache = BlockCache::new(8 << 20);
        let own = partition(&cache, 1, 20_000);
        for round in 0..20 {
            for place in 0..200 {
                if own.frames.get(place).is_none() {
                    own.frames.put(place, block(1));
                }
            }
            for scanned in 0..500 {
                own.frames.put(1000 + round * 500 + scanned, block(2));
            }
        }
        let kept = (0..200).filter(|place| own.frames.get(*place).is_some());
        assert!(kept.count() >= 190);
    }

    #[test]
    fn what_tables_keep_is_a_part_of_the_budget() {
        let budget = 8 << 20;
        let cache = BlockCache::new(budget);
        let blocks = partition(&cache, 1, 4000);
        (0..2000).for_each(|place| blocks.frames.put(place, block(1)));
        let kept = partition(&cache, 2, 0);
        let mut granted = 0;
        while cache.pin(&kept) {
            granted += 1;
            assert!(cache.figures().bytes <= budget as u64);
        }
        let part = granted * (32 << 10);
        assert!((budget / 5..=budget / 4).contains(&part), "{granted}");
        (2000..4000).for_each(|place| blocks.frames.put(place, block(1)));
        assert!((budget as u64 * 9 / 10..=budget as u64).contains(&cache.figures().bytes));
        (0..granted).for_each(|_| cache.unpin(&kept));
        cache.fit();
        assert!(cache.pin(&kept));
    }

    #[test]
    fn many_threads_agree_on_the_bytes() {
        let cache = BlockCache::new(2 << 20);
        let own = partition(&cache, 1, 1000);
        std::thread::scope(|scope| {
            for thread in 0..4_usize {
                let own = &own;
                scope.spawn(move || {
                    for step in 0..20_000_usize {
                        let place = (step * 7919 + thread * 31) % 1000;
                        let letter = (place % 251) as u8;
                        match own.frames.get(place) {
                            Some(payload) => assert_eq!(payload[17], letter),
                            None => own.frames.put(place, block(letter)),
                        }
                    }
                });
            }
        });
        assert!(cache.figures().bytes <= 2 << 20);
        drop(own);
        assert_eq!(cache.figures().bytes, 0);
    }
}
