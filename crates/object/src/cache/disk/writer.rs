//! Entries are written by a thread of their own, behind the reader's back.
//!
//! Invariants:
//! - a reader never waits for the disk that the cache is on: what finds the queue full is not kept;
//! - trouble with the disk costs the cache, not the reader: after an error nothing is written for a
//!   while.

use super::{files::CacheFiles, layout::Entry, ledger::Ledger};
use bytes::Bytes;
use nokv_env::Spawn;
use nokv_types::BlockId;
use parking_lot::Mutex;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};
use tokio::sync::oneshot;

/// Entries that wait to be written.
const QUEUE_COUNT_MAX: usize = 1024;
/// Bytes that wait: half a second of a slow disk.
const QUEUE_BYTES_MAX: u64 = 64 << 20;
/// How long nothing is written after an error.
const PAUSE: Duration = Duration::from_secs(10);

/// What the thread is told.
enum Job {
    Write(BlockId, u32, Bytes),
    Flush(oneshot::Sender<()>),
}

/// What the thread works on.
pub(super) struct Shelf {
    pub(super) files: CacheFiles,
    pub(super) ledger: Ledger,
    queued_bytes: AtomicU64,
    paused_until: Mutex<Duration>,
    pub(super) written: AtomicU64,
    pub(super) dropped: AtomicU64,
}

/// The way to the thread; it ends when this is dropped.
pub(super) struct Writer {
    shelf: Arc<Shelf>,
    jobs: Option<SyncSender<Job>>,
}

impl Shelf {
    pub(super) fn new(files: CacheFiles, ledger: Ledger) -> Self {
        Self {
            files,
            ledger,
            queued_bytes: AtomicU64::new(0),
            paused_until: Mutex::new(Duration::ZERO),
            written: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// Writes an entry unless one that is there holds it, or the disk is in trouble.
    pub(super) fn keep(&self, block: BlockId, offset: u32, bytes: &[u8]) {
        if self.files.env.clock.monotonic() < *self.paused_until.lock() {
            return;
        }
        if let Err(error) = self.try_keep(block, offset, bytes) {
            self.give_up(&error);
        }
    }

    fn try_keep(&self, block: BlockId, offset: u32, bytes: &[u8]) -> io::Result<()> {
        let Some(entry) = Entry::of(offset, bytes) else {
            return Ok(());
        };
        let range = entry.offset..entry.offset + entry.length;
        if self.files.list(block)?.iter().any(|it| it.holds(&range)) {
            return Ok(());
        }
        match self.ledger.take(entry.cost()) {
            // Somebody evicts: this entry is not kept, the next may be.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            taken => taken?,
        }
        self.files.write(block, &entry, bytes)?;
        self.written.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn give_up(&self, error: &io::Error) {
        *self.paused_until.lock() = self.files.env.clock.monotonic() + PAUSE;
        let dir = self.files.dir.display();
        tracing::warn!(%error, %dir, "the cache keeps nothing new for a while");
        if error.kind() == io::ErrorKind::StorageFull
            && let Err(error) = self.ledger.shrink()
        {
            tracing::debug!(%error, "could not make the cache smaller");
        }
    }
}

impl Writer {
    /// Starts the thread. Without one nothing is kept.
    pub(super) fn start(shelf: Arc<Shelf>) -> Self {
        let (jobs, receiver) = sync_channel(QUEUE_COUNT_MAX);
        let worker = Arc::clone(&shelf);
        let spawn: &dyn Spawn = &*shelf.files.env.spawn;
        let started = spawn.spawn("nokv-cache", Box::new(move || run(&worker, &receiver)));
        let jobs = match started {
            Ok(_runs_on) => Some(jobs),
            Err(error) => {
                tracing::warn!(%error, "the cache keeps nothing: no thread to write it");
                None
            }
        };
        Self { shelf, jobs }
    }

    /// Has an entry written soon, if there is room in the queue.
    pub(super) fn write(&self, block: BlockId, offset: u32, bytes: Bytes) {
        let Some(jobs) = &self.jobs else {
            return;
        };
        let length = bytes.len() as u64;
        let queued = self.shelf.queued_bytes.fetch_add(length, Ordering::Relaxed);
        let is_queued = queued + length <= QUEUE_BYTES_MAX
            && jobs.try_send(Job::Write(block, offset, bytes)).is_ok();
        if !is_queued {
            self.shelf.queued_bytes.fetch_sub(length, Ordering::Relaxed);
            self.shelf.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until all that was queued so far is written or given up.
    pub(super) async fn flush(&self) {
        let Some(jobs) = self.jobs.clone() else {
            return;
        };
        let (done, is_done) = oneshot::channel();
        let queued = tokio::task::spawn_blocking(move || jobs.send(Job::Flush(done)));
        if matches!(queued.await, Ok(Ok(()))) {
            // An error says that the thread has ended, and then nothing waits.
            drop(is_done.await);
        }
    }
}

fn run(shelf: &Shelf, jobs: &Receiver<Job>) {
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Write(block, offset, bytes) => {
                shelf.keep(block, offset, &bytes);
                let length = bytes.len() as u64;
                shelf.queued_bytes.fetch_sub(length, Ordering::Relaxed);
            }
            Job::Flush(done) => {
                shelf.ledger.give_back();
                if done.send(()).is_err() {
                    tracing::trace!("nobody waits for the flush any more");
                }
            }
        }
    }
    shelf.ledger.give_back();
}
