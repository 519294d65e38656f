//! Blocks in an S3-compatible object store, through the `object_store` crate.
//!
//! Invariants: one request per put and per get (blocks and packs are far below what needs a
//! multipart upload); the crate's own retries are off, [`super::retry`] does them with one deadline
//! for all; keys below the prefix are exactly those of docs/format/objects.md.

use super::{key, s3_error};
use crate::{BlockEntry, BlockStore, Error};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use nokv_types::{BlockId, SessionId};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use std::{fmt, ops::Range, sync::Arc, time::Duration};

/// Listings of prefixes under way at once.
const PARALLEL_LISTS: usize = 16;
/// How long a probe may take in all: an address where nobody answers must not hold up a start.
const PROBE_MS_MAX: Duration = Duration::from_secs(15);

/// An object store behind the `object_store` crate.
pub(super) struct ObjectBlocks {
    store: Arc<dyn ObjectStore>,
    /// `s3://bucket/prefix`, for messages.
    name: String,
    /// Where requests go, for messages.
    endpoint: String,
    prefix: Path,
    probe_id: u64,
}

/// How an [`ObjectBlocks`] is called.
#[derive(Clone, Debug)]
pub(super) struct ObjectNames {
    /// `s3://bucket/prefix`, for messages; no credentials.
    pub(super) name: String,
    /// Where requests go, for messages; no credentials.
    pub(super) endpoint: String,
    /// The prefix within the bucket, without slashes around it.
    pub(super) prefix: String,
    /// A random number that keeps probes of several processes apart.
    pub(super) probe_id: u64,
}

impl ObjectBlocks {
    /// Blocks below a prefix of a store.
    pub(super) fn new(store: Arc<dyn ObjectStore>, names: ObjectNames) -> Self {
        let ObjectNames {
            name,
            endpoint,
            prefix,
            probe_id,
        } = names;
        Self {
            store,
            name,
            endpoint,
            prefix: Path::from(prefix),
            probe_id,
        }
    }

    fn path(&self, key: &str) -> Path {
        Path::from_iter(self.prefix.parts().chain(Path::from(key).parts()))
    }

    fn failed(&self, action: &str, key: &str, error: &object_store::Error) -> Error {
        s3_error::classify(
            &format!("{action} {}/{key}", self.name),
            &self.endpoint,
            error,
        )
    }

    /// The last parts of the "directories" below a key.
    async fn list_names(&self, key: &str) -> Result<Vec<String>, Error> {
        let listed = self.store.list_with_delimiter(Some(&self.path(key))).await;
        let listed = listed.map_err(|error| self.failed("list", key, &error))?;
        let name = |path: &Path| path.filename().map(str::to_owned);
        Ok(listed.common_prefixes.iter().filter_map(name).collect())
    }

    async fn probe_steps(&self) -> Result<(), Error> {
        let key = format!("probe-{:016x}", self.probe_id);
        let path = self.path(&key);
        let content = Bytes::from_static(b"NoKV was here");
        let failed = |action: &str, error: &object_store::Error| self.failed(action, &key, error);
        let put = self.store.put(&path, content.clone().into()).await;
        put.map_err(|error| failed("store", &error))?;
        let got = self.store.get_range(&path, 5..13).await;
        let got = got.map_err(|error| failed("read", &error))?;
        self.list_names(key::BLOCKS).await?;
        self.store
            .delete(&path)
            .await
            .map_err(|error| failed("delete", &error))?;
        if got != content.slice(5..13) {
            return Err(Error::Io(format!(
                "{} gives back other bytes than it got: check what answers at {}",
                self.name, self.endpoint
            )));
        }
        Ok(())
    }
}

impl fmt::Debug for ObjectBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.name, self.endpoint)
    }
}

#[async_trait]
impl BlockStore for ObjectBlocks {
    async fn put(&self, block: BlockId, bytes: Bytes) -> Result<(), Error> {
        let key = key::block_key(block);
        let put = self.store.put(&self.path(&key), bytes.into()).await;
        put.map(drop)
            .map_err(|error| self.failed("store", &key, &error))
    }

    async fn get_range(&self, block: BlockId, range: Range<u32>) -> Result<Bytes, Error> {
        let key = key::block_key(block);
        let wide = u64::from(range.start)..u64::from(range.end);
        match self.store.get_range(&self.path(&key), wide).await {
            Ok(bytes) => Ok(bytes),
            Err(error) if s3_error::is_missing_object(&error) => {
                Err(super::block_store::missing(self, block))
            }
            Err(error) if s3_error::is_range_error(&error) => Ok(Bytes::new()),
            Err(error) => Err(self.failed("read", &key, &error)),
        }
    }

    async fn delete_many(&self, blocks: &[BlockId]) -> Result<(), Error> {
        let paths: Vec<_> = blocks
            .iter()
            .map(|id| Ok(self.path(&key::block_key(*id))))
            .collect();
        let mut deleted = self.store.delete_stream(stream::iter(paths).boxed());
        while let Some(result) = deleted.next().await {
            match result {
                Ok(_) => {}
                Err(error) if s3_error::is_missing_object(&error) => {}
                Err(error) => return Err(self.failed("delete objects in", "", &error)),
            }
        }
        Ok(())
    }

    async fn list_session(&self, session: SessionId) -> Result<Vec<BlockEntry>, Error> {
        let prefix = key::session_prefix(session);
        let mut listed = self.store.list(Some(&self.path(&prefix)));
        let mut entries = Vec::new();
        loop {
            let object = listed.try_next().await;
            let Some(object) = object.map_err(|error| self.failed("list", &prefix, &error))? else {
                break;
            };
            if let Some(sequence) = object.location.filename().and_then(key::parse_sequence) {
                let block = BlockId { session, sequence };
                entries.push(BlockEntry {
                    block,
                    bytes: object.size,
                });
            }
        }
        entries.sort_unstable();
        Ok(entries)
    }

    async fn list_sessions(&self) -> Result<Vec<SessionId>, Error> {
        let spreads = self.list_names(key::BLOCKS).await?;
        let keys = spreads
            .into_iter()
            .map(|spread| format!("{}/{spread}", key::BLOCKS));
        let mut listed = stream::iter(keys)
            .map(|key| async move { self.list_names(&key).await })
            .buffer_unordered(PARALLEL_LISTS);
        let mut sessions = Vec::new();
        while let Some(names) = listed.try_next().await? {
            sessions.extend(names.iter().filter_map(|name| key::parse_session(name)));
        }
        sessions.sort_unstable();
        Ok(sessions)
    }

    async fn probe(&self) -> Result<(), Error> {
        match tokio::time::timeout(PROBE_MS_MAX, self.probe_steps()).await {
            Ok(result) => result,
            Err(_elapsed) => Err(Error::Unavailable(format!(
                "can't reach {}: {} did not answer within {} s; check the endpoint and the network",
                self.name,
                self.endpoint,
                PROBE_MS_MAX.as_secs()
            ))),
        }
    }

    fn place(&self, block: BlockId) -> String {
        format!("{}/{}", self.name, key::block_key(block))
    }
}
