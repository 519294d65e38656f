//! The published crate `holt`: a persistent adaptive radix tree, through its documented API only.
//! Its cache is counted in frames of 512 KiB; `sync: false` is its group-commit log without a wait.

use super::super::engine::{Durability, Engine, EngineOptions, Sink};
use anyhow::{Result, ensure};
use holt::{RangeEntry, Tree, TreeBuilder};
use std::path::Path;

/// Unit of its cache budget, from its documentation.
const FRAME_BYTES: u64 = 512 << 10;

struct Holt(Tree);

/// Opens or creates.
pub(crate) fn open_holt(dir: &Path, options: EngineOptions) -> Result<Box<dyn Engine>> {
    let sync = options.durability == Durability::Synced;
    let tree = TreeBuilder::new(dir)
        .buffer_pool_size(usize::try_from(options.cache_bytes / FRAME_BYTES)?)
        .durability(holt::Durability::Wal { sync })
        .open()?;
    Ok(Box::new(Holt(tree)))
}

/// The largest short string below `key`: its range starts strictly after a bound. No key of ours
/// lies between, because ours are ASCII.
fn just_below(key: &[u8]) -> Vec<u8> {
    let mut bound = key.to_vec();
    if let Some(last) = bound.last_mut() {
        *last = last.saturating_sub(1);
        bound.push(0xff);
    }
    bound
}

impl Engine for Holt {
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(self.0.put(key, value)?)
    }

    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool> {
        let Some(found) = self.0.get(key)? else {
            return Ok(false);
        };
        value.clear();
        value.extend_from_slice(&found);
        Ok(true)
    }

    fn scan(&self, start: &[u8], limit: usize, sink: Sink<'_>) -> Result<usize> {
        let mut count = 0;
        for entry in self
            .0
            .range()
            .start_after(&just_below(start))
            .into_iter()
            .take(limit)
        {
            if let RangeEntry::Key { key, value, .. } = entry? {
                sink(&key, &value);
                count += 1;
            }
        }
        Ok(count)
    }

    fn batch(&self, records: &[(Vec<u8>, Vec<u8>)]) -> Result<()> {
        let committed = self.0.atomic(|batch| {
            for (key, value) in records {
                batch.put(key, value);
            }
        })?;
        ensure!(committed, "an unconditional batch was refused");
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        Ok(self.0.checkpoint()?)
    }
}
