//! The uploader: sources in, staged bodies out.
//!
//! Invariants:
//! - bytes in memory never exceed `memory_bytes_max`: they are reserved before they are read, and
//!   the reservation travels with them until their PUT ends;
//! - whoever waits for memory holds none, except the one open pack, and the limit leaves room
//!   beside it for two blocks: so the wait always ends;
//! - a sequence number is used once; numbers that fail stay unused;
//! - a PUT that has begun runs to its end, whoever stops waiting for it: so [`Uploader::stop`] can
//!   say when none is under way any more, and nothing arrives in a session that was swept.

use super::{
    options::{Compression, UploadOptions},
    pack::{OpenPack, PackTicket, SealedPack},
    prepare::{Part, Prepared},
    source::{self, Input, Piece, PlainSource, SmallFile, Source},
    staged::{self, Staged},
};
use crate::{BlockStore, Error};
use bytes::Bytes;
use nokv_env::FileSystem;
use nokv_types::{BlockId, INLINE_BYTES_MAX, SessionId};
use parking_lot::Mutex;
use std::{
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{
    io::AsyncRead,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};

/// Uploads bodies into one session.
///
/// **Concurrency**: cheap to clone; clones share the session, the limits and the open pack. Call
/// from as many tasks as there are sources; the limits hold over all of them. Needs a tokio
/// runtime. **Guarantees**: there must be only one uploader (with its clones) per session, because
/// it numbers the session's objects from 0.
#[derive(Clone)]
pub struct Uploader {
    pub(super) inner: Arc<Inner>,
}

/// What an uploader has done so far.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct UploadStats {
    /// Bytes of sources read.
    pub source_bytes: u64,
    /// Objects stored.
    pub object_count: u64,
    /// Bytes of objects stored.
    pub object_bytes: u64,
    /// Most bytes that were in memory at once.
    pub memory_bytes_peak: u64,
}

pub(super) struct Inner {
    files: Arc<dyn FileSystem>,
    store: Arc<dyn BlockStore>,
    session: SessionId,
    pub(super) options: UploadOptions,
    sequence_next: AtomicU64,
    memory: Arc<Semaphore>,
    puts: Arc<Semaphore>,
    pack: Mutex<Option<OpenPack>>,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct Counters {
    source_bytes: AtomicU64,
    object_count: AtomicU64,
    object_bytes: AtomicU64,
    memory_bytes_peak: AtomicU64,
}

impl Uploader {
    /// An uploader into `session`, which must be freshly opened. `files` is where
    /// [`Self::upload_file`] reads.
    ///
    /// **Errors**: [`Error::Invalid`] for options out of their limits.
    pub fn new(
        files: Arc<dyn FileSystem>,
        store: Arc<dyn BlockStore>,
        session: SessionId,
        options: UploadOptions,
    ) -> Result<Self, Error> {
        let memory = Arc::new(Semaphore::new(options.memory_bytes_max as usize));
        Self::with_memory(files, store, session, options, memory)
    }

    /// The same with memory that it shares with others: `memory` has a permit for each byte, as
    /// many as the options say.
    ///
    /// **Errors**: as [`Self::new`].
    pub fn with_memory(
        files: Arc<dyn FileSystem>,
        store: Arc<dyn BlockStore>,
        session: SessionId,
        options: UploadOptions,
        memory: Arc<Semaphore>,
    ) -> Result<Self, Error> {
        let options = options.checked()?;
        let inner = Inner {
            files,
            store,
            session,
            options,
            sequence_next: AtomicU64::new(0),
            memory,
            puts: Arc::new(Semaphore::new(options.parallel_puts)),
            pack: Mutex::new(None),
            counters: Arc::new(Counters::default()),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Numbers the objects from here on instead of from 0: for a session in which an earlier
    /// uploader has used the numbers below. To be called before anything is uploaded.
    pub fn number_from(&self, sequence: u32) {
        let next = &self.inner.sequence_next;
        next.fetch_max(u64::from(sequence), Ordering::Relaxed);
    }

    /// Begins no further PUT and waits for those under way. After it the session may be closed.
    /// Idempotent.
    pub async fn stop(&self) {
        let puts = &self.inner.puts;
        let all = u32::try_from(self.inner.options.parallel_puts).unwrap_or(u32::MAX);
        // Those that wait for their turn already are ahead of this.
        if let Ok(_all) = puts.acquire_many(all).await {
            puts.close();
        }
    }

    /// The session that the blocks belong to.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.inner.session
    }

    /// Uploads a local file. `size_hint` is its size from a directory walk: with it, a small file
    /// costs one trip to a blocking thread instead of two. A wrong hint costs only time.
    ///
    /// **Errors**: [`Error::SourceChanged`] when its size changes meanwhile; [`Error::NotFound`],
    /// [`Error::PermissionDenied`] for the file; those of the object store may come now or from
    /// [`Staged::durable`].
    pub async fn upload_file(&self, path: &Path, size_hint: Option<u64>) -> Result<Staged, Error> {
        let inner = &self.inner;
        let small = size_hint.and_then(|size| u32::try_from(size).ok());
        let small = small.filter(|size| *size <= inner.largest_small());
        let (file, size) = match small {
            Some(size) => {
                let memory = inner.reserve(size).await;
                let files = Arc::clone(&inner.files);
                let compression = match size as usize <= INLINE_BYTES_MAX {
                    true => Compression::Off,
                    false => inner.options.compression,
                };
                match source::read_small_file(files, path, size, compression).await? {
                    SmallFile::Whole(piece) => return inner.stage_small(size, piece, memory),
                    SmallFile::Resized(file, size) => (file, size),
                }
            }
            None => source::open_file(Arc::clone(&inner.files), path).await?,
        };
        let name = path.display().to_string();
        inner
            .stage(PlainSource::new(Input::File(file), name, Some(size)))
            .await
    }

    /// Uploads a stream, of exactly `size` bytes when given. `name` is what messages call it.
    ///
    /// **Errors**: as [`Self::upload_file`].
    pub async fn upload_reader(
        &self,
        reader: impl AsyncRead + Unpin + Send,
        name: &str,
        size: Option<u64>,
    ) -> Result<Staged, Error> {
        self.inner
            .stage(Source::new(Input::Reader(reader), name.to_owned(), size))
            .await
    }

    /// Uploads bytes that are in memory already (they count against the limit all the same).
    ///
    /// **Errors**: as [`Self::upload_file`].
    pub async fn upload_bytes(&self, bytes: Bytes) -> Result<Staged, Error> {
        let size = bytes.len() as u64;
        let name = "bytes in memory".to_owned();
        self.inner
            .stage(PlainSource::new(Input::Memory(bytes), name, Some(size)))
            .await
    }

    /// Closes the open pack, so that its PUT starts now. [`Staged::durable`] does so by itself.
    pub fn flush(&self) {
        self.inner.seal_pack(None);
    }

    /// What has been done so far, for progress and tests.
    #[must_use]
    pub fn stats(&self) -> UploadStats {
        let counters = &self.inner.counters;
        UploadStats {
            source_bytes: counters.source_bytes.load(Ordering::Relaxed),
            object_count: counters.object_count.load(Ordering::Relaxed),
            object_bytes: counters.object_bytes.load(Ordering::Relaxed),
            memory_bytes_peak: counters.memory_bytes_peak.load(Ordering::Relaxed),
        }
    }
}

impl fmt::Debug for Uploader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Uploader")
            .field("session", &self.inner.session)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// Reads a source to its end, block by block.
    async fn stage<R: AsyncRead + Unpin>(
        self: &Arc<Self>,
        mut source: Source<R>,
    ) -> Result<Staged, Error> {
        let mut puts = JoinSet::new();
        let mut parts = Vec::new();
        let mut pack = None;
        loop {
            let want = source.next_bytes(self.options.block_bytes);
            if want == 0 {
                break;
            }
            let mut memory = self.reserve(want).await;
            let body_offset = source.position();
            let Piece { bytes, is_last } = source.next(want).await?;
            drop(memory.split(want as usize - bytes.len()));
            self.count_source(&bytes);
            if is_last && body_offset == 0 && bytes.len() <= INLINE_BYTES_MAX {
                return Ok(self.staged_inline(bytes));
            }
            if bytes.is_empty() {
                break;
            }
            if is_last && bytes.len() <= self.options.packed_bytes_max as usize {
                let prepared =
                    Prepared::beside(bytes, body_offset, self.options.compression).await?;
                let (part, ticket) = self.add_to_pack(&prepared, body_offset, memory)?;
                parts.push(part);
                pack = Some(ticket);
            } else {
                self.put_block(&mut puts, bytes, body_offset, memory)?;
            }
            while let Some(joined) = puts.try_join_next() {
                parts.push(staged::put_result(joined)?);
            }
            if is_last {
                break;
            }
        }
        let size = source.position();
        if size == 0 {
            return Ok(self.staged_inline(Bytes::new()));
        }
        Ok(Staged {
            size,
            inline: None,
            puts,
            parts,
            pack,
            uploader: Arc::clone(self),
        })
    }

    /// Stages a whole small source that has been read already.
    fn stage_small(
        self: &Arc<Self>,
        size: u32,
        piece: Prepared,
        memory: OwnedSemaphorePermit,
    ) -> Result<Staged, Error> {
        let counter = &self.counters.source_bytes;
        counter.fetch_add(u64::from(size), Ordering::Relaxed);
        if size as usize <= INLINE_BYTES_MAX {
            return Ok(self.staged_inline(piece.stored));
        }
        let (part, ticket) = self.add_to_pack(&piece, 0, memory)?;
        Ok(Staged {
            size: u64::from(size),
            inline: None,
            puts: JoinSet::new(),
            parts: vec![part],
            pack: Some(ticket),
            uploader: Arc::clone(self),
        })
    }

    fn staged_inline(self: &Arc<Self>, bytes: Bytes) -> Staged {
        Staged {
            size: bytes.len() as u64,
            inline: Some(bytes),
            puts: JoinSet::new(),
            parts: Vec::new(),
            pack: None,
            uploader: Arc::clone(self),
        }
    }

    /// Starts to prepare and to PUT a block, beside those before it.
    fn put_block(
        self: &Arc<Self>,
        puts: &mut JoinSet<Result<Part, Error>>,
        bytes: Bytes,
        body_offset: u64,
        memory: OwnedSemaphorePermit,
    ) -> Result<(), Error> {
        let block = self.next_block()?;
        let inner = Arc::clone(self);
        puts.spawn(async move {
            let compression = inner.options.compression;
            let prepared = Prepared::beside(bytes, body_offset, compression).await?;
            let part = prepared.part(block, 0, body_offset);
            inner.put(block, prepared.stored).await?;
            drop(memory);
            Ok(part)
        });
        Ok(())
    }

    /// Puts bytes into the open pack, opening and closing packs as needed.
    pub(super) fn add_to_pack(
        &self,
        piece: &Prepared,
        body_offset: u64,
        memory: OwnedSemaphorePermit,
    ) -> Result<(Part, PackTicket), Error> {
        let bytes_max = self.options.pack_bytes_max as usize;
        let mut full = None;
        let mut slot = self.pack.lock();
        if slot
            .as_ref()
            .is_some_and(|pack| pack.len() + piece.stored.len() > bytes_max)
        {
            full = slot.take();
        }
        if slot.is_none() {
            *slot = Some(OpenPack::new(self.next_block()?, bytes_max));
        }
        let pack = slot.as_mut().expect("it was made just above");
        let added = pack.add(piece, body_offset, memory);
        drop(slot);
        if let Some(full) = full {
            self.put_pack(full.seal());
        }
        Ok(added)
    }

    /// Closes the open pack: any, or only the one with this id.
    pub(super) fn seal_pack(&self, only: Option<BlockId>) {
        let mut slot = self.pack.lock();
        let wanted = slot
            .as_ref()
            .is_some_and(|pack| only.is_none_or(|id| id == pack.block()));
        let pack = if wanted { slot.take() } else { None };
        drop(slot);
        if let Some(pack) = pack {
            self.put_pack(pack.seal());
        }
    }

    /// Starts the PUT of a pack, whose end its tickets learn.
    fn put_pack(&self, pack: SealedPack) {
        let put = self.put(pack.block, pack.bytes);
        tokio::spawn(async move {
            let result = put.await;
            drop(pack.memory);
            pack.outcome.send_replace(Some(result));
        });
    }

    /// A PUT that waits for its turn.
    pub(super) fn put(
        &self,
        block: BlockId,
        bytes: Bytes,
    ) -> impl Future<Output = Result<(), Error>> + Send + 'static {
        let (store, puts) = (Arc::clone(&self.store), Arc::clone(&self.puts));
        let counters = Arc::clone(&self.counters);
        async move {
            let turn = puts.acquire_owned().await.map_err(|_| stopped())?;
            let object_bytes = bytes.len() as u64;
            let begun = tokio::spawn(async move {
                let result = store.put(block, bytes).await;
                drop(turn);
                result
            });
            staged::put_result(begun.await)?;
            counters.object_count.fetch_add(1, Ordering::Relaxed);
            counters
                .object_bytes
                .fetch_add(object_bytes, Ordering::Relaxed);
            Ok(())
        }
    }

    /// Waits until `bytes` more may be in memory.
    pub(super) async fn reserve(&self, bytes: u32) -> OwnedSemaphorePermit {
        let memory = Arc::clone(&self.memory);
        let permit = memory
            .acquire_many_owned(bytes)
            .await
            .expect("the semaphore is never closed");
        let used = self.options.memory_bytes_max as usize - self.memory.available_permits();
        self.counters
            .memory_bytes_peak
            .fetch_max(used as u64, Ordering::Relaxed);
        permit
    }

    pub(super) fn next_block(&self) -> Result<BlockId, Error> {
        let sequence = self.sequence_next.fetch_add(1, Ordering::Relaxed);
        match u32::try_from(sequence) {
            Ok(sequence) => Ok(BlockId {
                session: self.session,
                sequence,
            }),
            Err(_) => Err(Error::Exhausted(format!(
                "upload session {} has used all its 2^32 objects: open another",
                self.session.get()
            ))),
        }
    }

    /// Largest source that is staged from a single read.
    fn largest_small(&self) -> u32 {
        let inline = u32::try_from(INLINE_BYTES_MAX).expect("inline bodies are small");
        self.options.packed_bytes_max.max(inline)
    }

    fn count_source(&self, bytes: &[u8]) {
        self.counters
            .source_bytes
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
    }
}

fn stopped() -> Error {
    Error::Unavailable("the upload was stopped".to_owned())
}
