//! Ours, through its public interface: versions from a counter, and no history, as the others keep
//! none (the retention horizon is the end of time, so compaction keeps the newest version alone).

use super::super::engine::{self, EngineOptions, Sink};
use anyhow::Result;
use nokv_engine::{
    Batch, Direction, Durability, Engine, KeyRange, Keyspace, Options, Retention, Structure,
};
use nokv_env::Env;
use nokv_types::Version;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

const RECORDS: Keyspace = Keyspace::new(1);
/// Holds the marker that `sync` writes, so that it has something to wait for.
const MARKERS: Keyspace = Keyspace::new(2);

struct Nokv {
    engine: Engine,
    durability: Durability,
    version: AtomicU64,
}

/// Opens or creates, with the default memtable (a radix tree).
pub(crate) fn open_nokv(dir: &Path, options: EngineOptions) -> Result<Box<dyn engine::Engine>> {
    open(dir, options, Structure::Art)
}

/// Opens or creates, with a skip list as the memtable.
pub(crate) fn open_nokv_skip_list(
    dir: &Path,
    options: EngineOptions,
) -> Result<Box<dyn engine::Engine>> {
    open(dir, options, Structure::SkipList)
}

fn open(
    dir: &Path,
    options: EngineOptions,
    structure: Structure,
) -> Result<Box<dyn engine::Engine>> {
    let cache_bytes = usize::try_from(options.cache_bytes)?;
    let opening = Options {
        cache_bytes,
        structure,
        ..Options::default()
    };
    let engine = Engine::open(Env::real(), dir, opening)?;
    engine.set_retention(Retention {
        horizon: Version::MAX,
        pins: Vec::new(),
    });
    let version = AtomicU64::new(engine.last_version().next().as_u64());
    let durability = match options.durability {
        engine::Durability::Buffered => Durability::Buffered,
        engine::Durability::Synced => Durability::Synced,
    };
    Ok(Box::new(Nokv {
        engine,
        durability,
        version,
    }))
}

impl Nokv {
    fn draw_version(&self) -> Version {
        Version::from_u64(self.version.fetch_add(1, Ordering::Relaxed))
    }
}

impl engine::Engine for Nokv {
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let mut batch = Batch::new();
        batch.put(RECORDS, key, value, self.draw_version());
        Ok(self.engine.write(batch, self.durability)?)
    }

    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool> {
        let Some(record) = self.engine.get(RECORDS, key, Version::MAX)? else {
            return Ok(false);
        };
        value.clear();
        value.extend_from_slice(&record.value);
        Ok(true)
    }

    fn scan(&self, start: &[u8], limit: usize, sink: Sink<'_>) -> Result<usize> {
        let range = KeyRange::from(start);
        let mut scan = self
            .engine
            .scan(RECORDS, range, Version::MAX, Direction::Forward)?;
        let mut count = 0;
        while count < limit
            && let Some(entry) = scan.lend()?
        {
            sink(entry.key, entry.value);
            count += 1;
        }
        Ok(count)
    }

    fn batch(&self, records: &[(Vec<u8>, Vec<u8>)]) -> Result<()> {
        let mut batch = Batch::new();
        let version = self.draw_version();
        for (key, value) in records {
            batch.put(RECORDS, key, value, version);
        }
        Ok(self.engine.write(batch, Durability::Buffered)?)
    }

    fn sync(&self) -> Result<()> {
        let mut batch = Batch::new();
        batch.put(MARKERS, b"sync", b"", self.draw_version());
        Ok(self.engine.write(batch, Durability::Synced)?)
    }
}
