//! An upload that nobody waits for any more: what it has begun ends, and nothing more begins.

use crate::{BlockEntry, BlockStore, Error, MemoryBlocks, UploadOptions, Uploader};
use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use nokv_env::MemoryFileSystem;
use nokv_types::{BLOCK_BYTES_MIN, BlockId, SessionId};
use std::{ops::Range, sync::Arc};
use tokio::sync::Semaphore;

const SESSION: SessionId = SessionId::new(7);

/// A store whose PUTs end when they are let.
#[derive(Debug)]
struct Gated {
    blocks: MemoryBlocks,
    begun: Semaphore,
    gate: Semaphore,
}

#[async_trait]
impl BlockStore for Gated {
    async fn put(&self, block: BlockId, bytes: Bytes) -> Result<(), Error> {
        self.begun.add_permits(1);
        let _let_through = self.gate.acquire().await;
        self.blocks.put(block, bytes).await
    }

    async fn get_range(&self, block: BlockId, range: Range<u32>) -> Result<Bytes, Error> {
        self.blocks.get_range(block, range).await
    }

    async fn delete_many(&self, blocks: &[BlockId]) -> Result<(), Error> {
        self.blocks.delete_many(blocks).await
    }

    async fn list_session(&self, session: SessionId) -> Result<Vec<BlockEntry>, Error> {
        self.blocks.list_session(session).await
    }

    async fn list_sessions(&self) -> Result<Vec<SessionId>, Error> {
        self.blocks.list_sessions().await
    }

    async fn probe(&self) -> Result<(), Error> {
        Ok(())
    }

    fn place(&self, block: BlockId) -> String {
        self.blocks.place(block)
    }
}

#[tokio::test]
async fn a_stopped_uploader_has_nothing_under_way_and_begins_nothing() {
    let store = Arc::new(Gated {
        blocks: MemoryBlocks::new(),
        begun: Semaphore::new(0),
        gate: Semaphore::new(0),
    });
    let options = UploadOptions {
        block_bytes: BLOCK_BYTES_MIN,
        packed_bytes_max: 20_000,
        parallel_puts: 3,
        ..UploadOptions::default()
    };
    let files = Arc::new(MemoryFileSystem::new());
    let blocks: Arc<dyn BlockStore> = store.clone();
    let uploader = Uploader::new(files, blocks, SESSION, options).expect("an uploader");
    let upload = tokio::spawn({
        let uploader = uploader.clone();
        async move {
            let bytes = vec![7; 9 * BLOCK_BYTES_MIN as usize];
            let staged = uploader.upload_reader(&bytes[..], "a source", None).await?;
            staged.durable().await
        }
    });
    store.begun.acquire_many(3).await.expect("open").forget();
    upload.abort();
    assert!(upload.await.expect_err("dropped").is_cancelled());
    let mut stop = Box::pin(uploader.stop());
    assert!(
        stop.as_mut().now_or_never().is_none(),
        "three are under way"
    );
    store.gate.add_permits(3);
    stop.await;
    let arrived = store.list_session(SESSION).await.expect("listed").len();
    assert_eq!(arrived, 3);
    let late = vec![8; 2 * BLOCK_BYTES_MIN as usize];
    let refused = match uploader.upload_reader(&late[..], "late", None).await {
        Ok(staged) => staged.durable().await.err(),
        Err(error) => Some(error),
    };
    assert!(
        matches!(refused, Some(Error::Unavailable(_))),
        "{refused:?}"
    );
    assert_eq!(store.begun.available_permits(), 0);
}
