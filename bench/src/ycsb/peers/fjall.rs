//! fjall 3: an LSM tree in Rust. `insert` reaches the operating system's buffers by default; synced
//! writes persist the journal with `fdatasync`.

use super::super::engine::{Durability, Engine, EngineOptions, Sink};
use anyhow::Result;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use std::path::Path;

struct Fjall {
    database: Database,
    keyspace: Keyspace,
    durability: Durability,
}

/// Opens or creates.
pub(crate) fn open_fjall(dir: &Path, options: EngineOptions) -> Result<Box<dyn Engine>> {
    let database = Database::builder(dir)
        .cache_size(options.cache_bytes)
        .open()?;
    let keyspace = database.keyspace("bench", KeyspaceCreateOptions::default)?;
    Ok(Box::new(Fjall {
        database,
        keyspace,
        durability: options.durability,
    }))
}

impl Engine for Fjall {
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.keyspace.insert(key, value)?;
        match self.durability {
            Durability::Buffered => Ok(()),
            Durability::Synced => self.sync(),
        }
    }

    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool> {
        let Some(found) = self.keyspace.get(key)? else {
            return Ok(false);
        };
        value.clear();
        value.extend_from_slice(&found);
        Ok(true)
    }

    fn scan(&self, start: &[u8], limit: usize, sink: Sink<'_>) -> Result<usize> {
        let mut count = 0;
        for guard in self.keyspace.range(start..).take(limit) {
            let (key, value) = guard.into_inner()?;
            sink(&key, &value);
            count += 1;
        }
        Ok(count)
    }

    fn batch(&self, records: &[(Vec<u8>, Vec<u8>)]) -> Result<()> {
        let mut batch = self.database.batch();
        for (key, value) in records {
            batch.insert(&self.keyspace, key.as_slice(), value.as_slice());
        }
        Ok(batch.commit()?)
    }

    fn sync(&self) -> Result<()> {
        Ok(self.database.persist(PersistMode::SyncData)?)
    }
}
