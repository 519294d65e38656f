//! A cache directory as a whole, for whoever looks after it: what is in it, whether it is sound,
//! making it smaller. Works beside the processes that use it.
//!
//! Invariant: an entry that is removed costs those who want it a fetch, nothing else.

use super::{
    files::{has_mark, remove_entry},
    layout,
    ledger::{Ledger, Limits},
    opened::{Flaw, Opened},
    scan::{self, Found},
};
use crate::Error;
use nokv_env::Env;
use nokv_types::BlockId;
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

/// A cache directory.
pub struct CacheDirectory {
    env: Env,
    dir: PathBuf,
}

/// What a cache has of one store.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct CachedStore {
    /// The store's id, 32 hexadecimal digits.
    pub store: String,
    /// Entries.
    pub entry_count: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// One entry of a cache.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CachedEntry {
    /// The store's id, 32 hexadecimal digits.
    pub store: String,
    /// The object.
    pub block: BlockId,
    /// First byte in it.
    pub offset: u32,
    /// How many bytes.
    pub bytes: u32,
    /// The file.
    pub path: PathBuf,
}

/// An entry that is not what it was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DamagedEntry {
    /// Which.
    pub entry: CachedEntry,
    /// What is wrong, in one line.
    pub flaw: String,
}

/// What becomes of damaged entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnDamage {
    /// They are told.
    Tell,
    /// They are told and removed: whoever wants them fetches them again.
    Remove,
}

/// What an eviction did.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Evictions {
    /// Entries removed.
    pub entry_count: u64,
    /// Bytes given back, those of directories and checksums included.
    pub bytes: u64,
    /// Bytes that remain.
    pub remaining_bytes: u64,
}

impl CacheDirectory {
    /// An existing cache directory.
    ///
    /// **Errors**: [`Error::NotFound`] when there is none; [`Error::Invalid`] when the directory is
    /// something else; those of the device.
    pub fn open(env: &Env, dir: &Path) -> Result<Self, Error> {
        let failed = |error: io::Error| Error::from_io("open the cache", dir, &error);
        match has_mark(env, dir).map_err(failed)? {
            true => Ok(Self {
                env: env.clone(),
                dir: dir.to_owned(),
            }),
            false => Err(Error::Invalid(format!(
                "{} is no cache, or one of another version",
                dir.display()
            ))),
        }
    }

    /// Every entry, by store, object and offset.
    ///
    /// **Errors**: those of listing the directory.
    pub fn entries(&self) -> Result<Vec<CachedEntry>, Error> {
        Ok(self.scan()?.entries.into_iter().map(cached).collect())
    }

    /// What there is of each store, by id.
    ///
    /// **Errors**: those of listing the directory.
    pub fn stores(&self) -> Result<Vec<CachedStore>, Error> {
        let mut stores: BTreeMap<String, CachedStore> = BTreeMap::new();
        for found in self.scan()?.entries {
            let store = stores.entry(found.store.clone()).or_default();
            store.store = found.store;
            store.entry_count += 1;
            store.bytes += u64::from(found.entry.length);
        }
        Ok(stores.into_values().collect())
    }

    /// Reads an entry back.
    ///
    /// **Errors**: what is wrong with it, if it is damaged and still there.
    pub fn check(&self, entry: &CachedEntry, on_damage: OnDamage) -> Result<(), DamagedEntry> {
        let Err(flaw) = self.verify(entry) else {
            return Ok(());
        };
        if on_damage == OnDamage::Remove {
            remove_entry(&self.env, &entry.path);
        }
        Err(DamagedEntry {
            entry: entry.clone(),
            flaw,
        })
    }

    /// Removes what is needed least until at most so many bytes are left; 0 removes everything.
    ///
    /// **Errors**: [`Error::Unavailable`] while another process evicts; those of the device.
    pub fn evict_to(&self, bytes: u64) -> Result<Evictions, Error> {
        let limits = Limits {
            bytes_max: u64::MAX,
            free_bytes_min: 0,
        };
        let ledger = Ledger::new(self.env.clone(), self.dir.clone(), limits);
        let evicted = ledger
            .shrink_to(bytes)
            .map_err(|error| match error.kind() {
                io::ErrorKind::WouldBlock => Error::Unavailable(format!(
                    "another process evicts from {}; try again",
                    self.dir.display()
                )),
                _ => self.failed(&error),
            })?;
        Ok(Evictions {
            entry_count: evicted.entry_count,
            bytes: evicted.cost,
            remaining_bytes: evicted.remaining,
        })
    }

    fn scan(&self) -> Result<scan::Scan, Error> {
        scan::scan(&self.env, &self.dir).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &io::Error) -> Error {
        Error::from_io("go through the cache", &self.dir, error)
    }

    fn verify(&self, entry: &CachedEntry) -> Result<(), String> {
        let name = entry.path.file_name().and_then(|name| name.to_str());
        let Some(parsed) = name.and_then(layout::Entry::parse) else {
            return Ok(());
        };
        let flaw = |flaw: Flaw| match flaw {
            // Evicted meanwhile.
            Flaw::Unopened(error) if error.kind() == io::ErrorKind::NotFound => None,
            Flaw::Unopened(error) | Flaw::Io(error) => Some(error.to_string()),
            Flaw::Damaged(flaw) => Some(flaw),
        };
        let read = Opened::open(&*self.env.files, &entry.path, parsed)
            .and_then(|opened| opened.check_all());
        match read.map_err(flaw) {
            Ok(()) | Err(None) => Ok(()),
            Err(Some(flaw)) => Err(flaw),
        }
    }
}

fn cached(found: Found) -> CachedEntry {
    CachedEntry {
        store: found.store,
        block: found.block,
        offset: found.entry.offset,
        bytes: found.entry.length,
        path: found.path,
    }
}

impl std::fmt::Debug for CacheDirectory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("CacheDirectory").field(&self.dir).finish()
    }
}
