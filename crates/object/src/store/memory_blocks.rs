//! Blocks in memory: what `memory:` means. They are gone with the process, as such a store is.

use super::key;
use crate::{BlockEntry, BlockStore, Error};
use async_trait::async_trait;
use bytes::Bytes;
use nokv_types::{BlockId, SessionId};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Range,
};

/// An object store in this process's memory.
#[derive(Default)]
pub struct MemoryBlocks {
    objects: Mutex<BTreeMap<BlockId, Bytes>>,
}

impl MemoryBlocks {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Every object, for checkers that compare the store with the namespace.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<BlockId, Bytes> {
        self.objects.lock().clone()
    }
}

impl fmt::Debug for MemoryBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "memory: ({} objects)", self.objects.lock().len())
    }
}

#[async_trait]
impl BlockStore for MemoryBlocks {
    async fn put(&self, block: BlockId, bytes: Bytes) -> Result<(), Error> {
        self.objects.lock().insert(block, bytes);
        Ok(())
    }

    async fn get_range(&self, block: BlockId, range: Range<u32>) -> Result<Bytes, Error> {
        let bytes = self.objects.lock().get(&block).cloned();
        let bytes = bytes.ok_or_else(|| super::block_store::missing(self, block))?;
        let end = (range.end as usize).min(bytes.len());
        Ok(bytes.slice((range.start as usize).min(end)..end))
    }

    async fn delete_many(&self, blocks: &[BlockId]) -> Result<(), Error> {
        let mut objects = self.objects.lock();
        for block in blocks {
            objects.remove(block);
        }
        Ok(())
    }

    async fn list_session(&self, session: SessionId) -> Result<Vec<BlockEntry>, Error> {
        let first = BlockId {
            session,
            sequence: 0,
        };
        let last = BlockId {
            session,
            sequence: u32::MAX,
        };
        let objects = self.objects.lock();
        let entry = |(block, bytes): (&BlockId, &Bytes)| BlockEntry {
            block: *block,
            bytes: bytes.len() as u64,
        };
        Ok(objects.range(first..=last).map(entry).collect())
    }

    async fn list_sessions(&self) -> Result<Vec<SessionId>, Error> {
        let objects = self.objects.lock();
        let sessions: BTreeSet<_> = objects.keys().map(|block| block.session).collect();
        Ok(sessions.into_iter().collect())
    }

    async fn probe(&self) -> Result<(), Error> {
        Ok(())
    }

    fn place(&self, block: BlockId) -> String {
        format!("memory:{}", key::block_key(block))
    }
}
