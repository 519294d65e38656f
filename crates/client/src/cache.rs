//! The cache of this client: where it is, and how large.
//!
//! Invariants:
//! - clones share one cache, opened when it is first needed;
//! - a disk is used only where it is nearer than the object store: blocks in a folder of this
//!   machine are on a disk already.

use crate::{Access, Client};
use nokv_env::Env;
use nokv_object::{BlockCache, BodyReader, CacheOptions, CacheStats, HedgeOptions, ReadOptions};
use nokv_proto::v1::{self, request::Method, response::Result as Answer};
use nokv_types::{Failure, Reason};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// Where blocks are kept on disk.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum CacheDir {
    /// Nowhere.
    #[default]
    None,
    /// In this directory, which other processes may share.
    At(PathBuf),
    /// In this directory if the object store is farther away than it.
    Remote(PathBuf),
}

/// What a client keeps near at hand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CacheConfig {
    /// Where, on disk.
    pub dir: CacheDir,
    /// Most bytes on disk, for all that share the directory; `None` for a tenth of what the disk
    /// has.
    pub disk_bytes_max: Option<u64>,
    /// Most bytes in memory.
    pub memory_bytes_max: u64,
}

impl Default for CacheConfig {
    fn default() -> Self {
        let options = CacheOptions::default();
        Self {
            dir: CacheDir::None,
            disk_bytes_max: options.disk_bytes_max,
            memory_bytes_max: options.memory_bytes_max,
        }
    }
}

/// A cache that is opened when somebody reads.
#[derive(Default)]
pub(crate) struct CacheSlot {
    config: CacheConfig,
    hedge: Option<HedgeOptions>,
    cache: OnceCell<Arc<BlockCache>>,
    /// The reader of open files and pieces, whose limits are for all of them together.
    reader: OnceCell<BodyReader>,
}

impl Client {
    /// The same client with a cache of its own, shared by its clones.
    #[must_use]
    pub fn with_cache(&self, config: CacheConfig) -> Self {
        self.with_slot(CacheSlot {
            config,
            hedge: self.cache.hedge,
            ..CacheSlot::default()
        })
    }

    /// The same client sending a second request for reads of the object store that take longer than
    /// all but one in twenty did: fewer late answers for at most a tenth more requests.
    #[must_use]
    pub fn with_hedged_reads(&self, options: HedgeOptions) -> Self {
        self.with_slot(CacheSlot {
            config: self.cache.config.clone(),
            hedge: Some(options),
            cache: self.cache.cache.clone(),
            reader: OnceCell::new(),
        })
    }

    fn with_slot(&self, slot: CacheSlot) -> Self {
        Self {
            cache: Arc::new(slot),
            ..self.clone()
        }
    }

    /// A reader of bodies, through the cache; one for all who read with the usual options.
    pub(crate) async fn reader(&self, options: ReadOptions) -> Result<BodyReader, Failure> {
        if options != ReadOptions::default() {
            return self.make_reader(options).await;
        }
        let reader = self
            .cache
            .reader
            .get_or_try_init(|| self.make_reader(options));
        reader.await.cloned()
    }

    async fn make_reader(&self, options: ReadOptions) -> Result<BodyReader, Failure> {
        let options = ReadOptions {
            hedge: self.cache.hedge,
            ..options
        };
        let files = Arc::clone(&self.shared.env.files);
        let reader = BodyReader::new(files, self.blocks().await?, options)?;
        Ok(reader.with_cache(self.block_cache().await?))
    }

    /// What the cache has done so far.
    #[must_use]
    pub fn cache_stats(&self) -> CacheStats {
        let cache = self.cache.cache.get();
        cache.map(|cache| cache.stats()).unwrap_or_default()
    }

    /// The cache, opened.
    ///
    /// **Errors**: those of asking the server whose store it is.
    pub(crate) async fn block_cache(&self) -> Result<Arc<BlockCache>, Failure> {
        let cache = self.cache.cache.get_or_try_init(|| self.open_cache());
        cache.await.cloned()
    }

    /// Waits until what is to be kept is on disk.
    pub(crate) async fn flush_cache(&self) {
        if let Some(cache) = self.cache.cache.get() {
            cache.flush().await;
        }
    }

    async fn open_cache(&self) -> Result<Arc<BlockCache>, Failure> {
        let status = self.shared.greeting().await?;
        let config = &self.cache.config;
        let options = CacheOptions {
            dir: self.cache_dir(&status),
            disk_bytes_max: config.disk_bytes_max,
            memory_bytes_max: config.memory_bytes_max,
            ..CacheOptions::default()
        };
        let store = <[u8; 16]>::try_from(&status.store_id[..])
            .map_err(|_| nokv_proto::invalid("store_id", "is not 16 bytes"))?;
        let env: Env = self.shared.env.clone();
        let opened = tokio::task::spawn_blocking(move || BlockCache::open(&env, store, &options));
        opened
            .await
            .map_err(|error| Failure::new(Reason::Io, format!("opening the cache failed: {error}")))
    }

    fn cache_dir(&self, status: &v1::StatusResponse) -> Option<PathBuf> {
        let url = &status.objects_url;
        let is_near = nokv_object::forgets(url) || url.starts_with("file:");
        let is_remote = !is_near || matches!(self.access(), Access::Network(_));
        match &self.cache.config.dir {
            CacheDir::None => None,
            CacheDir::At(dir) => Some(dir.clone()),
            CacheDir::Remote(dir) => is_remote.then(|| dir.clone()),
        }
    }
}

impl crate::client::Shared {
    /// What the server said of itself.
    async fn greeting(&self) -> Result<v1::StatusResponse, Failure> {
        if let Some(known) = self.known() {
            return Ok(known);
        }
        let asked = self
            .transport
            .call(
                Method::Status(v1::StatusRequest::default()),
                |answer| match answer {
                    Answer::Status(status) => Some(status),
                    _ => None,
                },
            )
            .await?;
        self.know(asked.clone());
        Ok(asked)
    }
}
