//! Leases of reads: what a reader may still fetch although it was replaced meanwhile.
//!
//! A reader asks once where the bytes of a body are, and then fetches them without asking again. A
//! lease on the version that it asked at keeps every body that this version sees, for a time.
//!
//! Reads of the newest state, by far the most, are counted by the second: one entry keeps all that
//! died since the first of them. Reads of the past pin exactly their version.
//!
//! Invariants:
//! - a lease is noted *before* the version is read, and the collector asks for leases *after* it
//!   has raised the floor: so it sees the lease, or the reader sees what is left;
//! - what a lease needs is forgotten with the process; until when leases may still run is on disk,
//!   and until then a store that was opened again drops nothing;
//! - memory: an entry for each second of the longest lease, and [`LEASED_VERSIONS_MAX`] versions.

use nokv_types::Version;
use parking_lot::Mutex;
use std::collections::BTreeMap;

/// Life of a lease unless the reader asks for another: a block of 64 MiB at 10 Mbit/s.
pub const READ_LEASE_MS_DEFAULT: u64 = 60_000;
/// Longest life of a lease: an hour of a transfer without asking again.
pub const READ_LEASE_MS_MAX: u64 = 3_600_000;
/// Versions of the past that are leased one by one, since each compaction takes a copy; those
/// beyond keep all that died since.
const LEASED_VERSIONS_MAX: usize = 4_096;
/// Leases that end within so long of each other are one.
const GRAIN_MS: u64 = 1_000;

/// The leases of a store.
#[derive(Default)]
pub(crate) struct Leases {
    set: Mutex<Set>,
}

#[derive(Default)]
struct Set {
    /// By end: the oldest version that is leased until then, with all that follow it.
    since: BTreeMap<u64, Version>,
    /// Versions that are leased for themselves, until when.
    versions: BTreeMap<Version, u64>,
    /// Until when what is on disk says that leases may run.
    recorded_until: u64,
    /// Until when leases of an earlier life of the store may run.
    unknown_until: u64,
}

/// What became of a version that somebody wants to lease for itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Leased {
    /// It must be pinned now.
    Now,
    /// It was leased already, or is kept with all that follow it.
    Already,
}

impl Leases {
    /// No leases but those that an earlier life of the store gave, which run until `unknown_until`.
    pub(crate) fn after(unknown_until: u64) -> Self {
        let set = Set {
            recorded_until: unknown_until,
            unknown_until,
            ..Set::default()
        };
        Self {
            set: Mutex::new(set),
        }
    }

    /// Leases `at` and all that follow it.
    pub(crate) fn lease_since(&self, at: Version, until: u64) {
        let end = until.next_multiple_of(GRAIN_MS);
        let mut set = self.set.lock();
        let since = set.since.entry(end).or_insert(at);
        *since = at.min(*since);
    }

    /// Leases one version.
    pub(crate) fn lease_version(&self, at: Version, until: u64) -> Leased {
        let mut set = self.set.lock();
        if let Some(end) = set.versions.get_mut(&at) {
            *end = until.max(*end);
            return Leased::Already;
        }
        if set.versions.len() < LEASED_VERSIONS_MAX {
            set.versions.insert(at, until);
            return Leased::Now;
        }
        drop(set);
        self.lease_since(at, until);
        Leased::Already
    }

    /// Takes a lease back that could not be given.
    pub(crate) fn forget_version(&self, at: Version) {
        self.set.lock().versions.remove(&at);
    }

    /// Whether disk must be told that leases run until then; the caller tells it.
    pub(crate) fn is_recorded(&self, until: u64) -> bool {
        until <= self.set.lock().recorded_until
    }

    pub(crate) fn recorded(&self, until: u64) {
        let mut set = self.set.lock();
        set.recorded_until = until.max(set.recorded_until);
    }

    /// Ends what is over; the versions that are to be pinned no longer.
    pub(crate) fn expire(&self, now: u64) -> Vec<Version> {
        let mut set = self.set.lock();
        set.since = set.since.split_off(&now);
        let over = set.versions.iter().filter(|(_, until)| **until < now);
        let over: Vec<Version> = over.map(|(version, _)| *version).collect();
        for version in &over {
            set.versions.remove(version);
        }
        over
    }

    /// Ends all; the versions that are to be pinned no longer.
    pub(crate) fn end_all(&self) -> Vec<Version> {
        let ended = std::mem::take(&mut *self.set.lock());
        ended.versions.into_keys().collect()
    }

    /// The version since which all is leased; [`Version::MAX`] when nothing is.
    pub(crate) fn oldest(&self, now: u64) -> Version {
        let set = self.set.lock();
        if now < set.unknown_until {
            return Version::ZERO;
        }
        set.since.values().min().copied().unwrap_or(Version::MAX)
    }

    /// Until when a body that died at `death` is leased at least, by reads of the newest state.
    pub(crate) fn until(&self, death: Version, now: u64) -> Option<u64> {
        let set = self.set.lock();
        let leases = set.since.iter().rev();
        let last = leases
            .filter(|(_, since)| **since < death)
            .map(|(until, _)| *until)
            .next();
        let unknown = Some(set.unknown_until).filter(|until| now < *until);
        last.max(unknown).filter(|until| *until >= now)
    }

    /// Until when a version is leased for itself.
    pub(crate) fn version_until(&self, at: Version) -> Option<u64> {
        self.set.lock().versions.get(&at).copied()
    }
}
