//! redb 4: a copy-on-write B-tree in Rust. One writer. Buffered is `Durability::None`: a commit
//! that a crash of the process may lose too, until the next immediate one, so it promises less than
//! the others' buffered.

use super::super::engine::{Durability, Engine, EngineOptions, Sink};
use anyhow::Result;
use redb::{Database, ReadableDatabase, TableDefinition};
use std::path::Path;

const TABLE: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("bench");

struct Redb {
    database: Database,
    durability: Durability,
}

/// Opens or creates.
pub(crate) fn open_redb(dir: &Path, options: EngineOptions) -> Result<Box<dyn Engine>> {
    let mut builder = Database::builder();
    builder.set_cache_size(usize::try_from(options.cache_bytes)?);
    let database = builder.create(dir.join("redb"))?;
    let transaction = database.begin_write()?;
    transaction.open_table(TABLE)?;
    transaction.commit()?;
    Ok(Box::new(Redb {
        database,
        durability: options.durability,
    }))
}

impl Redb {
    fn write<'a>(
        &self,
        durability: Durability,
        records: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Result<()> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(match durability {
            Durability::Buffered => redb::Durability::None,
            Durability::Synced => redb::Durability::Immediate,
        })?;
        let mut table = transaction.open_table(TABLE)?;
        for (key, value) in records {
            table.insert(key, value)?;
        }
        drop(table);
        Ok(transaction.commit()?)
    }
}

impl Engine for Redb {
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.write(self.durability, std::iter::once((key, value)))
    }

    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool> {
        let table = self.database.begin_read()?.open_table(TABLE)?;
        let Some(found) = table.get(key)? else {
            return Ok(false);
        };
        value.clear();
        value.extend_from_slice(found.value());
        Ok(true)
    }

    fn scan(&self, start: &[u8], limit: usize, sink: Sink<'_>) -> Result<usize> {
        let table = self.database.begin_read()?.open_table(TABLE)?;
        let mut count = 0;
        for entry in table.range(start..)?.take(limit) {
            let (key, value) = entry?;
            sink(key.value(), value.value());
            count += 1;
        }
        Ok(count)
    }

    fn batch(&self, records: &[(Vec<u8>, Vec<u8>)]) -> Result<()> {
        let records = records
            .iter()
            .map(|(key, value)| (key.as_slice(), value.as_slice()));
        self.write(Durability::Buffered, records)
    }

    fn sync(&self) -> Result<()> {
        self.write(Durability::Synced, std::iter::empty())
    }
}
