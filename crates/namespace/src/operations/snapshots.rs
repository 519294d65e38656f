//! Snapshots: making, finding, renewing, removing them, and ending those whose lease is over.
//!
//! Making one is a few records, whatever the directory holds: what keeps it exact is its pin
//! ([`crate::pins`]), which pruning and collection respect.
//!
//! Invariants:
//! - a snapshot shows what was readable when the command that makes it was applied: the command
//!   checks that the floor did not pass its version;
//! - a lease only extends, and what has expired once stays expired;
//! - a pin is given up only after that is on disk.

use super::read::{existing, find_spot};
use crate::failure::{from_engine, from_shard, invalid, malformed};
use crate::fingerprint::Fingerprint;
use crate::layers;
use crate::pins::PINS_MAX;
use crate::plan::Plan;
use crate::reader::Reader;
use crate::records::event::EventKind;
use crate::records::pin::{self, PinOwner};
use crate::records::{snapshot, system};
use crate::spot::Spot;
use crate::walk::{missing, not_directory};
use crate::{Context, Follow, Lease, Namespace, NewSnapshot, Snapshot, SnapshotState, Target};
use bytes::Bytes;
use nokv_engine::{Direction, KeyRange};
use nokv_shard::{Check, Command, Durability, Error, Key, Write};
use nokv_types::{Failure, MountId, NodeKind, NsPath, Reason, SnapshotName, Version};

/// Longest lease that may be asked for at once, a year; it can be renewed again and again.
pub const SNAPSHOT_LEASE_MS_MAX: u64 = 366 * 86_400_000;
/// How long an expired snapshot is remembered, so that reads of it fail as expired: a week.
const EXPIRED_REMEMBERED_MS: u64 = 7 * 86_400_000;

impl Namespace {
    /// Gives a directory as of a version a name. A few records, whatever the directory holds.
    ///
    /// **Errors**: `AlreadyExists`; `NotFound`, `NotDirectory` as of the version; `Compacted` for a
    /// version that is no longer retained; `InvalidArgument` (lease, a version of the future);
    /// `QuotaExceeded` when the store has 100,000 pinned versions.
    pub fn create_snapshot<'a>(
        &self,
        context: &Context,
        directory: impl Into<Target<'a>>,
        new: NewSnapshot,
    ) -> Result<Snapshot, Failure> {
        let target = directory.into();
        check_lease(new.lease_ms)?;
        if let Some(at) = new.at {
            self.admit_version(at, self.read_version())?;
        }
        if self.inner.pins.len() >= PINS_MAX {
            return Err(Failure::new(
                Reason::QuotaExceeded,
                format!("the store has {PINS_MAX} pinned versions; remove snapshots first"),
            ));
        }
        let now = self.now_millis();
        let mut fingerprint = Fingerprint::new("create_snapshot");
        fingerprint.target(target).debug(&new);
        self.mutate(context, fingerprint.finish(), |plan| {
            let key = snapshot::key(context.mount, &new.name);
            if find(plan.reader, &key, new.name.clone())?.is_some() {
                return Err(Failure::new(
                    Reason::AlreadyExists,
                    format!("snapshot {} exists already", new.name),
                ));
            }
            plan.check(Check::Absent(key.clone()));
            let at = new.at.unwrap_or(plan.reader.at);
            let (directory, path) = directory_at(plan, target, at)?;
            let snapshot = Snapshot {
                name: new.name.clone(),
                directory: directory.node,
                branch: directory.branch,
                path,
                at,
                created_millis: now,
                lease: match new.lease_ms {
                    None => Lease::Permanent,
                    Some(lease_ms) => Lease::Until(now.saturating_add(lease_ms)),
                },
                state: SnapshotState::Live,
            };
            plan.pin(at, PinOwner::Snapshot(&key))?;
            plan.write(Write::Put(key, snapshot::encode(&snapshot)));
            if let Some(due) = due_key(context.mount, &snapshot) {
                plan.write(Write::Put(due, Bytes::new()));
            }
            let now = Spot::live(directory.node, directory.branch, plan.reader.at);
            announce(plan, EventKind::Snapshot, now)?;
            Ok(snapshot)
        })
    }

    /// The snapshots of a mount in order of their names, those that expired lately too.
    pub fn snapshots(&self, mount: MountId) -> Result<Vec<Snapshot>, Failure> {
        self.root(mount)?;
        let range = KeyRange::prefix(snapshot::prefix(mount).bytes());
        let scan = self
            .engine()
            .scan(
                snapshot::KEYSPACE,
                range,
                self.read_version(),
                Direction::Forward,
            )
            .map_err(from_engine)?;
        let mut snapshots = Vec::new();
        for item in scan {
            let (key, found) = item.map_err(from_engine)?;
            let decoded =
                snapshot::name(&key).and_then(|name| snapshot::decode(name, &found.value));
            let decoded =
                decoded.map_err(|flaw| malformed(&Key::new(snapshot::KEYSPACE, &key), &flaw))?;
            snapshots.push(self.as_of_now(decoded));
        }
        Ok(snapshots)
    }

    /// A snapshot that can be read: [`crate::View::at`] its version, in its branch.
    ///
    /// **Errors**: `NotFound`; `SnapshotExpired`.
    pub fn snapshot(&self, mount: MountId, name: &SnapshotName) -> Result<Snapshot, Failure> {
        self.root(mount)?;
        let found = find(
            self.newest_reader(),
            &snapshot::key(mount, name),
            name.clone(),
        )?;
        let found = self.as_of_now(found.ok_or_else(|| unknown(name))?);
        refuse_expired(&found)?;
        Ok(found)
    }

    /// Lets a snapshot live until now plus `lease_ms`, never shorter than before; `None` makes it
    /// permanent.
    ///
    /// **Errors**: `NotFound`; `SnapshotExpired`; `InvalidArgument`.
    pub fn renew_snapshot(
        &self,
        context: &Context,
        name: &SnapshotName,
        lease_ms: Option<u64>,
    ) -> Result<Snapshot, Failure> {
        check_lease(lease_ms)?;
        let now = self.now_millis();
        let mut fingerprint = Fingerprint::new("renew_snapshot");
        fingerprint.debug(name).debug(&lease_ms);
        self.mutate(context, fingerprint.finish(), |plan| {
            let before = self.as_of_now(checked(plan, context.mount, name)?);
            refuse_expired(&before)?;
            let lease = match (before.lease, lease_ms) {
                (Lease::Permanent, _) | (_, None) => Lease::Permanent,
                (Lease::Until(end), Some(lease_ms)) => {
                    Lease::Until(end.max(now.saturating_add(lease_ms)))
                }
            };
            let after = Snapshot {
                lease,
                ..before.clone()
            };
            if lease != before.lease {
                let key = snapshot::key(context.mount, name);
                plan.write(Write::Put(key, snapshot::encode(&after)));
                if let Some(due) = due_key(context.mount, &before) {
                    plan.write(Write::Delete(due));
                }
                if let Some(due) = due_key(context.mount, &after) {
                    plan.write(Write::Put(due, Bytes::new()));
                }
                let directory = Spot::live(before.directory, before.branch, plan.reader.at);
                announce(plan, EventKind::SnapshotRenewed, directory)?;
            }
            Ok(after)
        })
    }

    /// Removes a snapshot, live or expired. What only it could see becomes garbage. On disk when it
    /// returns.
    ///
    /// **Errors**: `NotFound`.
    pub fn remove_snapshot(
        &self,
        context: &Context,
        name: &SnapshotName,
    ) -> Result<Snapshot, Failure> {
        let mut fingerprint = Fingerprint::new("remove_snapshot");
        fingerprint.debug(name);
        // A pin is given up only after that is on disk.
        let context = &Context {
            durability: Durability::Synced,
            ..*context
        };
        self.mutate(context, fingerprint.finish(), |plan| {
            let found = checked(plan, context.mount, name)?;
            let key = snapshot::key(context.mount, name);
            if found.state == SnapshotState::Live {
                plan.unpin(found.at, PinOwner::Snapshot(&key));
            }
            if let Some(due) = due_key(context.mount, &found) {
                plan.write(Write::Delete(due));
            }
            plan.write(Write::Delete(key));
            let directory = Spot::live(found.directory, found.branch, plan.reader.at);
            announce(plan, EventKind::SnapshotRemoved, directory)?;
            Ok(found)
        })
    }

    /// Ends up to `limit` leases that are over, and forgets snapshots that expired long ago. Says
    /// whether there is more to do.
    pub(super) fn expire_snapshots(&self, limit: usize) -> Result<bool, Failure> {
        let (now, at) = (self.now_millis(), self.read_version());
        let range = KeyRange::prefix(snapshot::DUE);
        let scan = self
            .engine()
            .scan(snapshot::KEYSPACE, range, at, Direction::Forward)
            .map_err(from_engine)?;
        let mut released = Vec::new();
        let mut more = false;
        for (count, item) in scan.enumerate() {
            let (key, _) = item.map_err(from_engine)?;
            let key = Key::new(snapshot::KEYSPACE, &key);
            let (due, mount, name) =
                snapshot::due(key.bytes()).map_err(|flaw| malformed(&key, &flaw))?;
            if due > now {
                break;
            }
            if count >= limit {
                more = true;
                break;
            }
            released.extend(self.expire(&key, mount, name, at)?);
        }
        if !released.is_empty() {
            self.sync()?;
        }
        for version in released {
            self.inner.pins.release(version);
        }
        Ok(more)
    }

    /// Expires or forgets one snapshot that is due; the version that it no longer needs, which is
    /// to be released once that is on disk.
    fn expire(
        &self,
        due: &Key,
        mount: MountId,
        name: SnapshotName,
        at: Version,
    ) -> Result<Option<Version>, Failure> {
        let key = snapshot::key(mount, &name);
        let reader = Reader {
            at,
            ..self.newest_reader()
        };
        let mut released = None;
        let mut writes = vec![Write::Delete(due.clone())];
        match find(reader, &key, name)? {
            Some(found) if found.state == SnapshotState::Live => {
                released = Some(found.at);
                let expired = Snapshot {
                    state: SnapshotState::Expired,
                    ..found
                };
                writes.push(Write::Delete(pin::key(
                    expired.at,
                    PinOwner::Snapshot(&key),
                )));
                writes.push(Write::Put(key.clone(), snapshot::encode(&expired)));
                if let Some(forget) = due_key(mount, &expired) {
                    writes.push(Write::Put(forget, Bytes::new()));
                }
            }
            Some(_) => writes.push(Write::Delete(key.clone())),
            None => {}
        }
        let command = Command {
            checks: vec![
                Check::UnchangedSince(due.clone(), at),
                Check::UnchangedSince(key, at),
            ],
            writes,
            ..Command::default()
        };
        match self.shard().execute(command, Durability::Buffered) {
            Ok(_) => Ok(released),
            // Renewed or removed meanwhile.
            Err(Error::CheckFailed { .. }) => Ok(None),
            Err(error) => Err(from_shard(error)),
        }
    }

    /// The snapshot with its lease judged by the clock: it ends on time, not when the collector
    /// comes by.
    fn as_of_now(&self, snapshot: Snapshot) -> Snapshot {
        match snapshot.lease {
            Lease::Until(end) if end <= self.now_millis() => Snapshot {
                state: SnapshotState::Expired,
                ..snapshot
            },
            _ => snapshot,
        }
    }
}

impl Plan<'_> {
    /// Pins a version for an owner: it must be readable when the command is applied.
    ///
    /// **Errors**: `Compacted`.
    pub(crate) fn pin(&mut self, at: Version, owner: PinOwner<'_>) -> Result<(), Failure> {
        let key = system::floor();
        let floor = match self.reader.stored(&key)? {
            None => {
                self.check(Check::Absent(key));
                Version::ZERO
            }
            Some(found) => {
                let floor = system::decode(&found.value).map_err(|flaw| malformed(&key, &flaw))?;
                if at >= Version::from_u64(floor) {
                    self.check(Check::UnchangedSince(key, self.reader.at));
                }
                Version::from_u64(floor)
            }
        };
        if at < floor {
            let other = self.pin_of(at)?;
            self.check(Check::Present(other));
        }
        self.write(Write::Put(pin::key(at, owner), Bytes::new()));
        self.pins_version(at);
        Ok(())
    }

    /// Takes an owner's pin away. The command must be synced before it is answered.
    pub(crate) fn unpin(&mut self, at: Version, owner: PinOwner<'_>) {
        self.write(Write::Delete(pin::key(at, owner)));
        self.unpins_version(at);
    }

    /// A pin that the version has.
    fn pin_of(&self, at: Version) -> Result<Key, Failure> {
        let range = KeyRange::prefix(pin::prefix(at).bytes());
        let mut scan = self
            .reader
            .engine
            .scan(pin::KEYSPACE, range, self.reader.at, Direction::Forward)
            .map_err(from_engine)?;
        match scan.next().transpose().map_err(from_engine)? {
            Some((key, _)) => Ok(Key::new(pin::KEYSPACE, &key)),
            None => Err(Failure::new(
                Reason::Compacted,
                format!("version {at} is no longer retained"),
            )),
        }
    }
}

/// The directory of a target as of a version, and its path then.
fn directory_at(
    plan: &Plan<'_>,
    target: Target<'_>,
    at: Version,
) -> Result<(Spot, NsPath), Failure> {
    let mut reader = Reader {
        at,
        moves: None,
        ..plan.reader
    };
    let root = Spot { at, ..plan.root };
    let spot = find_spot(&mut reader, root, target, Follow::Yes)?;
    let node = existing(&reader, spot)?;
    let shown = || super::read::shown(target);
    if node.attributes.kind != NodeKind::Directory {
        return Err(not_directory(&shown()));
    }
    let path = reader.path_of(root, spot)?;
    Ok((spot, path.ok_or_else(|| missing(&shown()))?))
}

/// Announces what happened to a directory's snapshots, at its place of now.
fn announce(plan: &mut Plan<'_>, kind: EventKind, directory: Spot) -> Result<(), Failure> {
    // The branch that it lay in may be gone.
    let lives = directory.is_trunk()
        || layers::read(plan.reader.engine, directory.branch, plan.reader.at)?.is_some();
    if lives && let Some(found) = plan.reader.node_record(directory)? {
        let at = plan.reader.parent_of(directory, &found.record)?;
        plan.announce(kind, directory, &found.record, None, at);
    }
    Ok(())
}

/// The record of a snapshot, checked: the command fails if it changes before.
fn checked(plan: &mut Plan<'_>, mount: MountId, name: &SnapshotName) -> Result<Snapshot, Failure> {
    let key = snapshot::key(mount, name);
    let found = find(plan.reader, &key, name.clone())?.ok_or_else(|| unknown(name))?;
    plan.check(Check::UnchangedSince(key, plan.reader.at));
    Ok(found)
}

fn find(reader: Reader<'_>, key: &Key, name: SnapshotName) -> Result<Option<Snapshot>, Failure> {
    let Some(found) = reader.stored(key)? else {
        return Ok(None);
    };
    let decoded = snapshot::decode(name, &found.value);
    decoded.map(Some).map_err(|flaw| malformed(key, &flaw))
}

/// When something is due for a snapshot: its end, or its being forgotten.
fn due_key(mount: MountId, snapshot: &Snapshot) -> Option<Key> {
    let Lease::Until(end) = snapshot.lease else {
        return None;
    };
    let due = match snapshot.state {
        SnapshotState::Live => end,
        SnapshotState::Expired => end.saturating_add(EXPIRED_REMEMBERED_MS),
    };
    Some(snapshot::due_key(due, mount, &snapshot.name))
}

fn check_lease(lease_ms: Option<u64>) -> Result<(), Failure> {
    match lease_ms {
        Some(lease_ms) if !(1..=SNAPSHOT_LEASE_MS_MAX).contains(&lease_ms) => {
            Err(invalid(format!(
                "a lease may be 1 to {SNAPSHOT_LEASE_MS_MAX} ms long before it is renewed, not \
             {lease_ms}"
            )))
        }
        _ => Ok(()),
    }
}

fn refuse_expired(snapshot: &Snapshot) -> Result<(), Failure> {
    match (snapshot.state, snapshot.lease) {
        (SnapshotState::Expired, Lease::Until(end)) => Err(Failure::new(
            Reason::SnapshotExpired,
            format!(
                "the lease of snapshot {} ended at {end} (milliseconds since 1970); what it showed \
                 may be gone",
                snapshot.name
            ),
        )),
        _ => Ok(()),
    }
}

fn unknown(name: &SnapshotName) -> Failure {
    Failure::new(Reason::NotFound, format!("snapshot {name} does not exist"))
}
