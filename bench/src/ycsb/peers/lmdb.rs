//! LMDB through heed: a copy-on-write B+tree in a memory map. One writer; its "cache" is the page
//! cache, so the budget does not bound it and the map counts as resident memory. Buffered is
//! `MDB_NOSYNC` without a writable map: ordered only as the operating system writes back.

use super::super::engine::{Durability, Engine, EngineOptions, Sink};
use anyhow::Result;
use heed::types::Bytes;
use heed::{Database, Env, EnvFlags, EnvOpenOptions, WithTls};
use std::ops::Bound;
use std::path::Path;

/// Address space for the map; only used pages cost anything.
const MAP_BYTES: usize = 256 << 30;

struct Lmdb {
    env: Env<WithTls>,
    database: Database<Bytes, Bytes>,
}

/// Opens or creates.
#[expect(
    unsafe_code,
    reason = "heed's open is unsafe: nobody else may touch the mapped file"
)]
pub(crate) fn open_lmdb(dir: &Path, options: EngineOptions) -> Result<Box<dyn Engine>> {
    let mut opening = EnvOpenOptions::new();
    opening.map_size(MAP_BYTES);
    if options.durability == Durability::Buffered {
        // SAFETY: NO_SYNC gives up durability at power loss, not memory safety, as no writable map
        // is used.
        unsafe { opening.flags(EnvFlags::NO_SYNC) };
    }
    // SAFETY: the directory belongs to this process alone, and is opened once.
    let env = unsafe { opening.open(dir)? };
    let mut transaction = env.write_txn()?;
    let database = env.create_database(&mut transaction, None)?;
    transaction.commit()?;
    Ok(Box::new(Lmdb { env, database }))
}

impl Engine for Lmdb {
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let mut transaction = self.env.write_txn()?;
        self.database.put(&mut transaction, key, value)?;
        Ok(transaction.commit()?)
    }

    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool> {
        let transaction = self.env.read_txn()?;
        let Some(found) = self.database.get(&transaction, key)? else {
            return Ok(false);
        };
        value.clear();
        value.extend_from_slice(found);
        Ok(true)
    }

    fn scan(&self, start: &[u8], limit: usize, sink: Sink<'_>) -> Result<usize> {
        let transaction = self.env.read_txn()?;
        let range = (Bound::Included(start), Bound::Unbounded);
        let mut count = 0;
        for entry in self.database.range(&transaction, &range)?.take(limit) {
            let (key, value) = entry?;
            sink(key, value);
            count += 1;
        }
        Ok(count)
    }

    fn batch(&self, records: &[(Vec<u8>, Vec<u8>)]) -> Result<()> {
        let mut transaction = self.env.write_txn()?;
        for (key, value) in records {
            self.database.put(&mut transaction, key, value)?;
        }
        Ok(transaction.commit()?)
    }

    fn sync(&self) -> Result<()> {
        Ok(self.env.force_sync()?)
    }
}
