//! The cache of one store on this machine: memory, then disk, then one fetch at a time.
//!
//! Invariants:
//! - what it returns was verified, when it was fetched and, from disk, again;
//! - it never fails: what it can't give, the object store has;
//! - a unit is fetched by one reader of this process at a time.

use super::{
    disk::{DiskRuns, Limits},
    flights::{Flights, Turn},
    memory::{Home, MemoryRuns},
    options::CacheOptions,
};
use crate::encoding;
use bytes::Bytes;
use nokv_env::Env;
use nokv_types::{BlockId, Encoding, Unit};
use std::{
    fmt, io,
    ops::Range,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Longest unit that is decoded without leaving the runtime's thread: some tens of microseconds.
const DECODE_AT_ONCE_BYTES_MAX: u32 = 64 << 10;

/// What a cache has done since it was opened.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct CacheStats {
    /// Units found in memory.
    pub memory_hits: u64,
    /// Units found on disk.
    pub disk_hits: u64,
    /// Units that were fetched.
    pub misses: u64,
    /// Entries written to disk.
    pub written: u64,
    /// Entries not written because the disk was slower than the store.
    pub dropped: u64,
    /// Damaged entries that were found on disk and removed.
    pub damaged: u64,
    /// Bytes in memory.
    pub memory_bytes: u64,
}

/// Verified blocks of one store, near at hand.
///
/// **Guarantees**: blocks never change, so nothing in it is ever out of date. The disk part is
/// shared by all processes that are told the same directory, survives them, and stays within its
/// limit for all of them together. **Concurrency**: any number of readers.
pub struct BlockCache {
    memory: MemoryRuns,
    disk: Option<DiskRuns>,
    flights: Arc<Flights>,
    memory_hits: AtomicU64,
    disk_hits: AtomicU64,
    misses: AtomicU64,
}

impl BlockCache {
    /// The cache for the store with this id. Does some file system calls. A directory that can't be
    /// used is told in the log, and then there is memory only.
    #[must_use]
    pub fn open(env: &Env, store: [u8; 16], options: &CacheOptions) -> Arc<Self> {
        let disk = options.dir.clone().and_then(|dir| {
            open_disk(env, dir.clone(), store, options)
                .inspect_err(|error| {
                    tracing::warn!(%error, dir = %dir.display(), "no cache on disk");
                })
                .ok()
        });
        Arc::new(Self {
            memory: MemoryRuns::new(options.memory_bytes_max),
            disk,
            flights: Arc::default(),
            memory_hits: AtomicU64::new(0),
            disk_hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        })
    }

    /// What it has done.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let disk = self.disk.as_ref();
        CacheStats {
            memory_hits: count(&self.memory_hits),
            disk_hits: count(&self.disk_hits),
            misses: count(&self.misses),
            written: disk.map_or(0, DiskRuns::written),
            dropped: disk.map_or(0, DiskRuns::dropped),
            damaged: disk.map_or(0, DiskRuns::damaged),
            memory_bytes: self.memory.bytes(),
        }
    }

    /// Waits until what was to be kept on disk is there, or given up.
    pub async fn flush(&self) {
        if let Some(disk) = &self.disk {
            disk.flush().await;
        }
    }

    /// Whether there is a disk, for which a reader has to leave the runtime's threads.
    pub(crate) fn has_disk(&self) -> bool {
        self.disk.is_some()
    }

    /// A range of a unit's plain bytes, if that takes no waiting.
    pub(crate) fn ready(&self, unit: &Unit, wanted: &Range<u32>) -> Option<Bytes> {
        if let Some(bytes) = self.memory.get(home(unit), in_home(unit, wanted)) {
            self.memory_hits.fetch_add(1, Ordering::Relaxed);
            return Some(bytes);
        }
        let disk = self.disk.as_ref()?;
        let bytes = match unit.encoding {
            Encoding::Plain => disk.read_ready(unit.block, &in_home(unit, wanted))?,
            Encoding::Lz4 | Encoding::Zstd if unit.plain_bytes <= DECODE_AT_ONCE_BYTES_MAX => {
                let stored = disk.read_ready(unit.block, &unit.object_range())?;
                self.decoded(unit, wanted, &stored)?
            }
            Encoding::Lz4 | Encoding::Zstd => return None,
        };
        self.disk_hits.fetch_add(1, Ordering::Relaxed);
        Some(bytes)
    }

    /// A range of a unit's plain bytes, if it is on disk. Waits for the disk.
    pub(crate) fn look_on_disk(&self, unit: &Unit, wanted: &Range<u32>) -> Option<Bytes> {
        let disk = self.disk.as_ref()?;
        let bytes = match unit.encoding {
            Encoding::Plain => disk.read(unit.block, &in_home(unit, wanted))?,
            Encoding::Lz4 | Encoding::Zstd => {
                let stored = disk.read(unit.block, &unit.object_range())?;
                self.decoded(unit, wanted, &stored)?
            }
        };
        self.disk_hits.fetch_add(1, Ordering::Relaxed);
        Some(bytes)
    }

    /// Decodes a unit, keeping it in memory for the next who wants a piece of it.
    fn decoded(&self, unit: &Unit, wanted: &Range<u32>, stored: &[u8]) -> Option<Bytes> {
        let plain = encoding::decode(unit.encoding, stored, unit.plain_bytes as usize)?;
        self.keep_in_memory(unit, plain.clone());
        let end = (wanted.end as usize).min(plain.len());
        Some(plain.slice((wanted.start as usize).min(end)..end))
    }

    /// All plain bytes of a unit, if they are in memory.
    pub(crate) fn in_memory(&self, unit: &Unit) -> Option<Bytes> {
        let range = in_home(unit, &(0..unit.plain_bytes));
        self.memory.get(home(unit), range)
    }

    /// Counts units that had to be fetched.
    pub(crate) fn count_misses(&self, count: usize) {
        self.misses.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Whose turn it is to fetch a unit.
    pub(crate) fn turn(&self, unit: &Unit) -> Turn {
        self.flights.turn(unit)
    }

    /// Keeps a run of verified units, as stored, on disk.
    pub(crate) fn keep_on_disk(&self, block: BlockId, offset: u32, stored: Bytes) {
        if let Some(disk) = &self.disk {
            disk.write(block, offset, stored);
        }
    }

    /// Keeps a run of verified units, as stored, on disk, before it returns. Waits for the disk.
    pub(crate) fn keep_on_disk_now(&self, block: BlockId, offset: u32, stored: &[u8]) {
        if let Some(disk) = &self.disk {
            disk.write_now(block, offset, stored);
        }
    }

    /// Whether the disk says that it has a unit. Waits for the disk.
    pub(crate) fn holds_on_disk(&self, unit: &Unit) -> bool {
        let disk = self.disk.as_ref();
        disk.is_some_and(|disk| disk.holds(unit.block, &unit.object_range()))
    }

    /// Keeps a run of verified units that are stored plainly in memory.
    pub(crate) fn keep_run_in_memory(&self, block: BlockId, offset: u32, plain: Bytes) {
        self.memory.insert((block, None), offset, plain);
    }

    /// Keeps the plain bytes of a unit in memory.
    pub(crate) fn keep_in_memory(&self, unit: &Unit, plain: Bytes) {
        let start = in_home(unit, &(0..0)).start;
        self.memory.insert(home(unit), start, plain);
    }
}

fn open_disk(
    env: &Env,
    dir: PathBuf,
    store: [u8; 16],
    options: &CacheOptions,
) -> io::Result<DiskRuns> {
    env.files.create_private_dir(&dir)?;
    let used = super::disk::used_bytes(env, &dir)?.unwrap_or(0);
    let limits = Limits {
        bytes_max: options.disk_bytes(env, &dir, used)?,
        free_bytes_min: options.free_bytes_min,
    };
    DiskRuns::open(env.clone(), dir, store, limits)
}

/// Where a unit's plain bytes are in memory: in its object, or by themselves if they are not what
/// is stored.
fn home(unit: &Unit) -> Home {
    match unit.encoding {
        Encoding::Plain => (unit.block, None),
        Encoding::Lz4 | Encoding::Zstd => (unit.block, Some(unit.object_offset)),
    }
}

/// A range of a unit's plain bytes as one of its home.
fn in_home(unit: &Unit, wanted: &Range<u32>) -> Range<u32> {
    let start = match unit.encoding {
        Encoding::Plain => unit.object_offset,
        Encoding::Lz4 | Encoding::Zstd => 0,
    };
    start.saturating_add(wanted.start)..start.saturating_add(wanted.end)
}

impl fmt::Debug for BlockCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockCache")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
