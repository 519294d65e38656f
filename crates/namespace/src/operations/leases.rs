//! Giving leases to readers, and ending them.

use crate::failure::{from_shard, invalid};
use crate::ids;
use crate::leases::{Leased, READ_LEASE_MS_MAX};
use crate::plant::Plant;
use crate::records::system;
use crate::{LeaseKeeping, Namespace};
use nokv_shard::{Command, Durability, Write};
use nokv_types::{Failure, Version};

/// How far ahead disk is told that leases run, so that it is told once in a while only.
const RECORDED_AHEAD_MS: u64 = 60_000;

impl Namespace {
    /// Keeps all bodies that the version `at` (`None`: the newest) sees for `lease_ms` from now,
    /// also those that are replaced or removed meanwhile: for whoever reads where they are next,
    /// and fetches them then. Returns until when, milliseconds since 1970.
    ///
    /// **Errors**: `InvalidArgument` for a lease of 0 or over [`crate::READ_LEASE_MS_MAX`];
    /// `Compacted`.
    pub fn lease_read(
        &self,
        at: Option<Version>,
        lease_ms: u64,
        keeping: LeaseKeeping,
    ) -> Result<u64, Failure> {
        if lease_ms == 0 || lease_ms > READ_LEASE_MS_MAX {
            return Err(invalid(format!(
                "a read may be leased for 1 to {READ_LEASE_MS_MAX} ms, not {lease_ms}"
            )));
        }
        let until = self.now_millis().saturating_add(lease_ms);
        let leases = &self.inner.leases;
        match at {
            None => leases.lease_since(self.read_version(), until),
            Some(at) => {
                self.admit_version(at, self.read_version())?;
                if leases.lease_version(at, until) == Leased::Now {
                    self.inner.pins.hold(at).keep();
                    // The floor may have passed it since it was admitted.
                    if let Err(failure) = self.still_retained_without_lease(at) {
                        leases.forget_version(at);
                        self.inner.pins.release(at);
                        return Err(failure);
                    }
                }
            }
        }
        if keeping == LeaseKeeping::AcrossRestarts && !leases.is_recorded(until) {
            let recorded = until.saturating_add(RECORDED_AHEAD_MS);
            let command = Command {
                writes: vec![Write::Put(system::leases(), system::encode(recorded))],
                ..Command::default()
            };
            self.shard()
                .execute(command, Durability::Synced)
                .map_err(from_shard)?;
            leases.recorded(recorded);
        }
        Ok(until)
    }

    /// Ends every lease now, also those of an earlier life of the store: for when it is known that
    /// nobody reads. Whoever does all the same may find a block missing, and asks again.
    pub fn end_read_leases(&self) -> Result<(), Failure> {
        let command = Command {
            writes: vec![Write::Delete(system::leases())],
            ..Command::default()
        };
        self.shard()
            .execute(command, Durability::Synced)
            .map_err(from_shard)?;
        for version in self.inner.leases.end_all() {
            self.inner.pins.release(version);
        }
        Ok(())
    }

    /// The floor, or a version below it up to which nothing is leased. Asked after the floor: see
    /// [`crate::leases`].
    pub(super) fn unleased(&self, floor: Version) -> Version {
        match self.inner.planted.is(Plant::ForgetLeases) {
            false => floor.min(self.inner.leases.oldest(self.now_millis())),
            true => floor,
        }
    }

    /// Ends the leases that are over.
    pub(super) fn expire_leases(&self) {
        for version in self.inner.leases.expire(self.now_millis()) {
            self.inner.pins.release(version);
        }
    }

    fn still_retained_without_lease(&self, at: Version) -> Result<(), Failure> {
        if at >= self.floor() || self.inner.pins.count(at) > 1 {
            return Ok(());
        }
        Err(Failure::new(
            nokv_types::Reason::Compacted,
            format!("version {at} was given up while it was leased; read a newer one"),
        ))
    }
}

/// Until when leases run that the store gave before it was opened.
pub(crate) fn unknown_until(engine: &nokv_engine::Engine) -> Result<u64, Failure> {
    Ok(ids::read(engine, &system::leases())?.map_or(0, |(until, _)| until))
}
