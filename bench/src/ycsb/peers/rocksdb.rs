//! RocksDB: the LSM tree that most systems embed. LRU block cache of the budget, index and filter
//! blocks inside it, ten bloom bits, LZ4 (Zstandard at the bottom), as its tuning guide recommends;
//! the write buffers are its defaults.

use super::super::engine::{Durability, Engine, EngineOptions, Sink};
use anyhow::Result;
use rocksdb::{BlockBasedOptions, Cache, DB, DBCompressionType, Options, WriteBatch, WriteOptions};
use std::path::Path;

struct RocksDb {
    database: DB,
    durability: Durability,
}

/// Opens or creates.
pub(crate) fn open_rocksdb(dir: &Path, options: EngineOptions) -> Result<Box<dyn Engine>> {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&Cache::new_lru_cache(usize::try_from(options.cache_bytes)?));
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table.set_bloom_filter(10.0, false);
    let mut opening = Options::default();
    opening.create_if_missing(true);
    opening.set_block_based_table_factory(&table);
    opening.set_compression_type(DBCompressionType::Lz4);
    opening.set_bottommost_compression_type(DBCompressionType::Zstd);
    opening.increase_parallelism(i32::try_from(std::thread::available_parallelism()?.get())?);
    let database = DB::open(&opening, dir)?;
    Ok(Box::new(RocksDb {
        database,
        durability: options.durability,
    }))
}

fn write_options(durability: Durability) -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(durability == Durability::Synced);
    options
}

impl Engine for RocksDb {
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(self
            .database
            .put_opt(key, value, &write_options(self.durability))?)
    }

    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool> {
        let Some(found) = self.database.get_pinned(key)? else {
            return Ok(false);
        };
        value.clear();
        value.extend_from_slice(&found);
        Ok(true)
    }

    fn scan(&self, start: &[u8], limit: usize, sink: Sink<'_>) -> Result<usize> {
        // The raw iterator lends; the other one copies keys and values.
        let mut iterator = self.database.raw_iterator();
        iterator.seek(start);
        let mut count = 0;
        while count < limit
            && let Some((key, value)) = iterator.item()
        {
            sink(key, value);
            count += 1;
            iterator.next();
        }
        iterator.status()?;
        Ok(count)
    }

    fn batch(&self, records: &[(Vec<u8>, Vec<u8>)]) -> Result<()> {
        let mut batch = WriteBatch::default();
        for (key, value) in records {
            batch.put(key, value);
        }
        Ok(self.database.write(batch)?)
    }

    fn sync(&self) -> Result<()> {
        Ok(self.database.flush_wal(true)?)
    }
}
