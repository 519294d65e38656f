//! How much of the disk is taken, by all processes together.
//!
//! A process takes room by the quantum, under the lock of the directory, and uses it up without
//! looking again; so a block costs no lock, and the file `usage` is never less than what is there.
//! Who finds it at the limit goes through the directory, evicts, and writes down what is really
//! there.
//!
//! Invariants:
//! - what all processes together keep is at most the limit and a quantum for each of them;
//! - only the holder of the lock evicts; who does not get it in time keeps nothing new.

use super::{choose::choose_victims, files::remove_entry, layout, scan};
use crate::checksum;
use nokv_env::{Env, FileLock, OpenMode, is_already_locked};
use parking_lot::Mutex;
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

/// A quantum is this part of the limit: sixteen processes overshoot by a quarter at worst.
const QUANTUM_PART: u64 = 64;
/// Smallest quantum: a pack; a cache that is smaller than 64 of them takes what it needs each time.
const QUANTUM_BYTES_MAX: u64 = 256 << 20;
/// An eviction goes this part of the limit below it, so that the next one is not soon.
const SLACK_PART: u64 = 16;
/// Looks at a lock that somebody else holds, and the time between them: an eviction of a million
/// entries takes longer, and then nothing is kept meanwhile.
const LOCK_TRIES_MAX: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(2);
/// The file `usage`: the number, little-endian, and its CRC-32C.
const USAGE_BYTES: usize = 12;

/// What a cache may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::cache) struct Limits {
    /// Bytes of all entries.
    pub(in crate::cache) bytes_max: u64,
    /// Bytes that the device must have left for others.
    pub(in crate::cache) free_bytes_min: u64,
}

/// The room of this process.
pub(super) struct Ledger {
    env: Env,
    dir: PathBuf,
    limits: Limits,
    granted: Mutex<u64>,
}

/// What an eviction did.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Evicted {
    pub(super) entry_count: u64,
    pub(super) cost: u64,
    /// What all that remains takes.
    pub(super) remaining: u64,
}

impl Ledger {
    pub(super) fn new(env: Env, dir: PathBuf, limits: Limits) -> Self {
        Self {
            env,
            dir,
            limits,
            granted: Mutex::new(0),
        }
    }

    /// Takes room for an entry, evicting others if need be. **Errors**: `WouldBlock` when another
    /// process holds the lock for long; `StorageFull` when there is no room however much is
    /// evicted; those of the device.
    pub(super) fn take(&self, cost: u64) -> io::Result<()> {
        let mut granted = self.granted.lock();
        if let Some(rest) = granted.checked_sub(cost) {
            *granted = rest;
            return Ok(());
        }
        if cost > self.limits.bytes_max / 2 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let _lock = self.lock()?;
        let quantum = cost.max((self.limits.bytes_max / QUANTUM_PART).min(QUANTUM_BYTES_MAX));
        let mut used = match self.read_usage()? {
            Some(used) => used,
            None => self.evict_to(u64::MAX)?.remaining,
        };
        let missing = self.missing_bytes(quantum)?;
        if used.saturating_add(quantum) > self.limits.bytes_max || missing > 0 {
            let slack = quantum.max(self.limits.bytes_max / SLACK_PART);
            let target = self.limits.bytes_max.saturating_sub(slack);
            used = match missing {
                0 => self.evict_to(target)?,
                missing => self.evict_to(target.min(used.saturating_sub(missing)))?,
            }
            .remaining;
            if self.missing_bytes(quantum)? > 0 {
                self.write_usage(used)?;
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        self.write_usage(used.saturating_add(quantum))?;
        *granted = granted.saturating_add(quantum) - cost;
        Ok(())
    }

    /// Evicts until at most `target` bytes are taken.
    ///
    /// **Errors**: as [`Self::take`].
    pub(super) fn shrink_to(&self, target: u64) -> io::Result<Evicted> {
        let _lock = self.lock()?;
        let evicted = self.evict_to(target)?;
        self.write_usage(evicted.remaining.saturating_add(*self.granted.lock()))?;
        Ok(evicted)
    }

    /// Evicts a part of all, because the device is full.
    ///
    /// **Errors**: as [`Self::take`].
    pub(super) fn shrink(&self) -> io::Result<Evicted> {
        let _lock = self.lock()?;
        let used = self.evict_to(u64::MAX)?.remaining;
        let evicted = self.evict_to(used - used / SLACK_PART)?;
        *self.granted.lock() = 0;
        self.write_usage(evicted.remaining)?;
        Ok(evicted)
    }

    /// Gives back what was taken and not used: the process ends.
    pub(super) fn give_back(&self) {
        let rest = std::mem::take(&mut *self.granted.lock());
        if rest == 0 {
            return;
        }
        let given = self.lock().and_then(|_lock| match self.read_usage()? {
            Some(used) => self.write_usage(used.saturating_sub(rest)),
            None => Ok(()),
        });
        if let Err(error) = given {
            tracing::debug!(%error, "the next eviction will count the cache");
        }
    }

    /// What the device lacks for `bytes` more.
    fn missing_bytes(&self, bytes: u64) -> io::Result<u64> {
        let available = self.env.files.available_bytes(&self.dir)?;
        let needed = self.limits.free_bytes_min.saturating_add(bytes);
        Ok(needed.saturating_sub(available))
    }

    fn lock(&self) -> io::Result<FileLock> {
        let path = self.dir.join(layout::LOCK_NAME);
        for tried in 1.. {
            match self.env.files.lock(&path) {
                Err(error) if is_already_locked(&error) && tried < LOCK_TRIES_MAX => {
                    self.env.clock.sleep(LOCK_PAUSE);
                }
                result => return result,
            }
        }
        unreachable!("the loop has no bound but its attempts")
    }

    /// Under the lock: removes what is too much, and what is no use.
    fn evict_to(&self, target: u64) -> io::Result<Evicted> {
        let found = scan::scan(&self.env, &self.dir)?;
        scan::sweep(&self.env, &self.dir, &found);
        let (sound, cut): (Vec<_>, Vec<_>) = found
            .entries
            .into_iter()
            .partition(|it| it.size == u64::from(it.entry.length));
        for damaged in &cut {
            remove_entry(&self.env, &damaged.path);
        }
        let candidates: Vec<_> = sound.iter().map(|it| it.candidate(&self.env)).collect();
        let mut evicted = Evicted {
            remaining: candidates.iter().map(|it| it.cost).sum(),
            ..Evicted::default()
        };
        for index in choose_victims(&candidates, target) {
            let victim = sound.get(index).zip(candidates.get(index));
            let Some((entry, candidate)) = victim else {
                continue;
            };
            if remove_entry(&self.env, &entry.path) {
                evicted.entry_count += 1;
                evicted.cost += candidate.cost;
                evicted.remaining -= candidate.cost;
            }
        }
        Ok(evicted)
    }

    fn read_usage(&self) -> io::Result<Option<u64>> {
        used_bytes(&self.env, &self.dir)
    }

    fn write_usage(&self, used: u64) -> io::Result<()> {
        let path = self.dir.join(layout::USAGE_NAME);
        let number = used.to_le_bytes();
        let crc = checksum::crc32c(&number).to_le_bytes();
        let bytes: Vec<u8> = number.into_iter().chain(crc).collect();
        let file = self.env.files.open(&path, OpenMode::OpenOrCreate)?;
        file.write_at(&bytes, 0)
    }
}

/// What is taken of the disk in `dir`; `None` when nobody has counted, or the file is damaged.
pub(in crate::cache) fn used_bytes(env: &Env, dir: &Path) -> io::Result<Option<u64>> {
    let file = match env
        .files
        .open(&dir.join(layout::USAGE_NAME), OpenMode::Read)
    {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut bytes = [0; USAGE_BYTES];
    if file.read_full_at(&mut bytes, 0)? < USAGE_BYTES {
        return Ok(None);
    }
    let parts = bytes.split_first_chunk::<8>();
    Ok(parts.and_then(|(number, crc)| {
        let is_sound = checksum::crc32c(number).to_le_bytes() == *crc;
        is_sound.then(|| u64::from_le_bytes(*number))
    }))
}
