//! Requests to the object store, counted on their way.

use super::figure::Figure;
use super::latency::Latency;
use async_trait::async_trait;
use bytes::Bytes;
use nokv_env::Clock;
use nokv_object::{BlockEntry, BlockStore, Error};
use nokv_types::{BlockId, SessionId};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is counted of one kind of request.
#[derive(Default)]
struct Requests {
    latency: Latency,
    failures: AtomicU64,
    bytes: AtomicU64,
}

/// A store that counts what is asked of it.
pub(crate) struct CountedBlocks {
    blocks: Arc<dyn BlockStore>,
    clock: Arc<dyn Clock>,
    put: Requests,
    get: Requests,
    delete: Requests,
    list: Requests,
}

impl CountedBlocks {
    pub(crate) fn new(blocks: Arc<dyn BlockStore>, clock: Arc<dyn Clock>) -> Self {
        Self {
            blocks,
            clock,
            put: Requests::default(),
            get: Requests::default(),
            delete: Requests::default(),
            list: Requests::default(),
        }
    }

    async fn count<T>(
        &self,
        requests: &Requests,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let begun = self.clock.monotonic();
        let outcome = request.await;
        let took = self.clock.monotonic().saturating_sub(begun);
        requests.latency.add(took);
        if outcome.is_err() {
            requests.failures.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }

    /// The figures of all kinds.
    pub(super) fn figures(&self) -> Vec<Figure> {
        let kinds = [
            ("put", &self.put),
            ("get", &self.get),
            ("delete", &self.delete),
            ("list", &self.list),
        ];
        let each = |(kind, requests): (&'static str, &Requests)| {
            let time = "Time of requests of this process to the object store, by kind";
            let failed = "Requests to the object store that failed, retries included, by kind";
            let moved = "Bytes to (put) and from (get) the object store";
            let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            [
                Figure::latencies("object_duration_seconds", time, requests.latency.so_far()),
                Figure::counter("object_failures", failed, count(&requests.failures)),
                Figure::counter("object_bytes", moved, count(&requests.bytes)),
            ]
            .map(|figure| figure.with("kind", kind))
        };
        kinds.into_iter().flat_map(each).collect()
    }
}

impl fmt::Debug for CountedBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.blocks.fmt(f)
    }
}

#[async_trait]
impl BlockStore for CountedBlocks {
    async fn put(&self, block: BlockId, bytes: Bytes) -> Result<(), Error> {
        let length = bytes.len() as u64;
        self.count(&self.put, self.blocks.put(block, bytes)).await?;
        self.put.bytes.fetch_add(length, Ordering::Relaxed);
        Ok(())
    }

    async fn get_range(&self, block: BlockId, range: Range<u32>) -> Result<Bytes, Error> {
        let request = self.blocks.get_range(block, range);
        let bytes = self.count(&self.get, request).await?;
        let length = bytes.len() as u64;
        self.get.bytes.fetch_add(length, Ordering::Relaxed);
        Ok(bytes)
    }

    async fn delete_many(&self, blocks: &[BlockId]) -> Result<(), Error> {
        self.count(&self.delete, self.blocks.delete_many(blocks))
            .await
    }

    async fn list_session(&self, session: SessionId) -> Result<Vec<BlockEntry>, Error> {
        self.count(&self.list, self.blocks.list_session(session))
            .await
    }

    async fn list_sessions(&self) -> Result<Vec<SessionId>, Error> {
        self.count(&self.list, self.blocks.list_sessions()).await
    }

    async fn forget_session(&self, session: SessionId) -> Result<(), Error> {
        self.blocks.forget_session(session).await
    }

    async fn probe(&self) -> Result<(), Error> {
        self.blocks.probe().await
    }

    fn place(&self, block: BlockId) -> String {
        self.blocks.place(block)
    }
}
