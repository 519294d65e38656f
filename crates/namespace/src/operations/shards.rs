//! The shards of the store: how many, how far each is, and where new directories go.
//!
//! More shards can be added while the store is used. One command makes them: it writes what moves
//! of directories write in each shard ([`crate::records::shard`]), and the number of shards, which
//! those moves check. Nothing is moved: shards that are new fill with what is placed there.

use super::attributes::locate;
use super::mounts::unknown;
use super::read::{find_spot, shown};
use crate::failure::{from_engine, from_shard, invalid, malformed};
use crate::fingerprint::Fingerprint;
use crate::plan::count_shards;
use crate::reader::{dangling, describe};
use crate::records::event::EventKind;
use crate::records::{MountRecord, shard, system};
use crate::walk::not_directory;
use crate::{Changed, Context, Follow, Namespace, Placed, Placement, ShardStatus, Target, View};
use nokv_shard::{Check, Command, Durability, Error, Shards, Write};
use nokv_types::{Failure, ShardId, Version};

/// Reads how many shards a store has; a new one gets `count`.
pub(crate) fn open_count(engine: &nokv_engine::Engine, count: u16) -> Result<u16, Failure> {
    let key = system::shards();
    let found = engine.get(key.keyspace(), key.bytes(), Version::MAX);
    match found.map_err(from_engine)? {
        None => Ok(count.max(1)),
        Some(found) => count_shards(Some(&found), &key),
    }
}

/// Writes how many shards a new store has, before anything else is written.
pub(crate) fn keep_count(shards: &Shards) -> Result<(), Failure> {
    let key = system::shards();
    let number = u64::from(shards.count());
    let command = Command {
        checks: vec![Check::Absent(key.clone())],
        writes: vec![Write::Put(key, system::encode(number))],
        ..Command::default()
    };
    match shards.execute(command, Durability::Synced) {
        Ok(_) | Err(Error::CheckFailed { .. }) => Ok(()),
        Err(error) => Err(from_shard(error)),
    }
}

impl Namespace {
    /// The shards, in order of their numbers.
    #[must_use]
    pub fn shards(&self) -> Vec<ShardStatus> {
        let status = |shard| {
            let position = self.shard().position(shard);
            ShardStatus {
                shard,
                commands: position.commands,
                version: position.version,
                log_bytes: position.log_bytes,
            }
        };
        self.shard().ids().map(status).collect()
    }

    /// Raises the number of shards to `count`. Durable when it returns; the store is used
    /// meanwhile.
    ///
    /// **Errors**: `InvalidArgument` for fewer than there are, or more than
    /// [`crate::SHARDS_MAX`].
    pub fn add_shards(&self, count: u16) -> Result<(), Failure> {
        // Held, so that no mount is made or retired meanwhile.
        let mounts = self.inner.mounts.write();
        let present = self.shard().count();
        if count < present {
            return Err(invalid(format!(
                "the store has {present} shards, and shards do not go; ask for more"
            )));
        }
        if count == present {
            return Ok(());
        }
        if count > crate::SHARDS_MAX {
            return Err(invalid(format!(
                "a store has at most {} shards, not {count}",
                crate::SHARDS_MAX
            )));
        }
        let key = system::shards();
        let (number, version) = crate::ids::read(self.engine(), &key)?.unwrap_or_default();
        let mut writes = vec![Write::Put(key.clone(), system::encode(u64::from(count)))];
        // From the number on disk: an attempt that failed may have left more in memory.
        for new in (u16::try_from(number).unwrap_or(present)..count).map(ShardId::new) {
            for mount in mounts.iter() {
                let topology = shard::topology(new, mount.id);
                writes.push(Write::Put(topology, system::encode(0)));
            }
        }
        // Nothing is placed in them before the command is applied: it would find no topology.
        self.shard().grow(count).map_err(from_shard)?;
        let command = Command {
            checks: vec![Check::UnchangedSince(key, version)],
            writes,
            ..Command::default()
        };
        let applied = self.shard().execute(command, Durability::Synced);
        applied.map(drop).map_err(from_shard)
    }

    /// Where directories go that are made in a directory.
    ///
    /// **Errors**: as a look-up; `NotDirectory`.
    pub fn placement<'a>(
        &self,
        view: &View,
        target: impl Into<Target<'a>>,
    ) -> Result<Placed, Failure> {
        let target = target.into();
        self.read(view, |mut reader, root| {
            let spot = find_spot(&mut reader, root, target, Follow::Yes)?;
            let found = reader.node_record(spot)?;
            let record = found.ok_or_else(|| dangling(spot.node))?.record;
            if !record.is_directory() {
                return Err(not_directory(&shown(target)));
            }
            let effective = match record.placement {
                Some(own) => own,
                None => reader.mount_placement(view.mount)?,
            };
            Ok(Placed {
                directory: spot.node,
                shard: spot.node.shard(),
                own: record.placement,
                effective,
            })
        })
    }

    /// Sets where directories go that are made in a directory from now on, and in those; `None`:
    /// where the mount says.
    ///
    /// **Errors**: as a look-up; `NotDirectory`.
    pub fn set_placement<'a>(
        &self,
        context: &Context,
        target: impl Into<Target<'a>>,
        placement: Option<Placement>,
    ) -> Result<Changed, Failure> {
        let target = target.into();
        let mut fingerprint = Fingerprint::new("set_placement");
        fingerprint.target(target).debug(&placement);
        self.mutate(context, fingerprint.finish(), |plan| {
            let (spot, at) = locate(plan, target, Follow::Yes)?;
            let mut record = plan.checked_node(spot)?;
            if !record.is_directory() {
                return Err(not_directory(&shown(target)));
            }
            record.placement = placement;
            record.ctime = plan.context.now;
            plan.put_node(spot, record.clone())?;
            plan.directory_change(spot);
            plan.announce(EventKind::Attributes, spot, &record, None, at);
            let counter = plan.counter_after(spot)?;
            Ok(Changed {
                version: Version::ZERO,
                node: describe(spot, Version::ZERO, &record, &counter),
            })
        })
    }

    /// Sets where directories of a mount go whose parent says nothing.
    ///
    /// **Errors**: `NotFound`.
    pub fn set_mount_placement(&self, name: &str, placement: Placement) -> Result<(), Failure> {
        let mounts = self.inner.mounts.write();
        let mount = mounts.iter().find(|mount| mount.name == name);
        let mount = mount.ok_or_else(|| unknown(name))?;
        let (key, at) = (MountRecord::key(mount.id), self.read_version());
        let found = self.newest_reader().stored(&key)?;
        let found = found.ok_or_else(|| unknown(name))?;
        let record = MountRecord::decode(&found.value);
        let mut record = record.map_err(|flaw| malformed(&key, &flaw))?;
        record.placement = placement;
        let command = Command {
            checks: vec![Check::UnchangedSince(key.clone(), at)],
            writes: vec![Write::Put(key, record.encode())],
            ..Command::default()
        };
        let applied = self.shard().execute(command, Durability::Synced);
        applied.map(drop).map_err(from_shard)
    }
}
