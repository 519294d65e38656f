//! What a repair is made with: reads that must be as they were when the problem was found, and the
//! command in the making.

use crate::failure::{from_engine, malformed};
use crate::records::NodeRecord;
use crate::{Namespace, Repaired};
use nokv_engine::{KeyRange, Record};
use nokv_shard::codec::Malformed;
use nokv_shard::{Add, Check, Command, Durability, Error, Key, Write};
use nokv_types::{BranchId, Failure, NodeId, Version};

/// Why a repair is not made.
pub(super) enum Stop {
    /// Something that it rests on changed.
    Moved,
    Failed(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// A repair in the making.
pub(super) struct Mending<'a> {
    pub(super) namespace: &'a Namespace,
    /// When the problem was found.
    pub(super) found: Version,
    /// Versions of repairs of the same plan: what they changed is no change.
    pub(super) own: &'a [Version],
    /// What is read now.
    pub(super) now: Version,
    pub(super) command: Command,
    /// Whether it says anew where a directory is.
    pub(super) moves: bool,
}

impl<'a> Mending<'a> {
    pub(super) fn new(namespace: &'a Namespace, found: Version, own: &'a [Version]) -> Self {
        Self {
            namespace,
            found,
            own,
            now: namespace.read_version(),
            command: Command::default(),
            moves: false,
        }
    }

    /// What is under a key now.
    pub(super) fn read(&self, key: &Key) -> Result<Option<Record>, Failure> {
        let found = self
            .namespace
            .engine()
            .get(key.keyspace(), key.bytes(), self.now);
        found.map_err(from_engine)
    }

    /// A record that must be there, as it was.
    pub(super) fn unchanged<T>(
        &mut self,
        key: &Key,
        decode: impl Fn(&[u8]) -> Result<T, Malformed>,
    ) -> Result<(T, Version), Stop> {
        let found = self.read(key)?.ok_or(Stop::Moved)?;
        if found.version > self.found && !self.own.contains(&found.version) {
            return Err(Stop::Moved);
        }
        let since = found.version.max(self.found);
        self.command
            .checks
            .push(Check::UnchangedSince(key.clone(), since));
        let record = decode(&found.value).map_err(|flaw| malformed(key, &flaw))?;
        Ok((record, found.version))
    }

    /// Demands that there is nothing under a key.
    pub(super) fn absent(&mut self, key: Key) -> Result<(), Stop> {
        if self.read(&key)?.is_some() {
            return Err(Stop::Moved);
        }
        self.command.checks.push(Check::Absent(key));
        Ok(())
    }

    /// Demands that a record, there or not, is as it was.
    pub(super) fn same(&mut self, key: &Key) -> Result<(), Stop> {
        match self.read(key)? {
            None => self.command.checks.push(Check::Absent(key.clone())),
            Some(_) => drop(self.unchanged(key, |_| Ok(()))?),
        }
        Ok(())
    }

    /// A node of the trunk that must be there, as it was.
    pub(super) fn node(&mut self, node: NodeId, branch: BranchId) -> Result<NodeRecord, Stop> {
        let key = NodeRecord::key(node, branch);
        let (mut record, version) = self.unchanged(&key, NodeRecord::decode)?;
        // It is written again, and its body is as old as before.
        if !record.is_directory() {
            record.birth = crate::records::Moment::At(record.birth.in_record(version));
        }
        Ok(record)
    }

    pub(super) fn put(&mut self, key: Key, value: bytes::Bytes) {
        self.command.writes.push(Write::Put(key, value));
    }

    pub(super) fn delete(&mut self, key: Key) {
        self.command.writes.push(Write::Delete(key));
    }

    /// Deletes a record that must be there, as it was.
    pub(super) fn drop_record(&mut self, key: Key) -> Result<(), Stop> {
        self.unchanged(&key, |_| Ok(()))?;
        self.delete(key);
        Ok(())
    }

    /// Demands that there is something to be done.
    pub(super) fn must_do(&self) -> Result<(), Stop> {
        match self.command.writes.is_empty() {
            true => Err(Stop::Moved),
            false => Ok(()),
        }
    }

    pub(super) fn add(&mut self, add: Add) {
        self.command.adds.push(add);
    }

    /// Deletes all records whose keys begin so.
    pub(super) fn delete_all(
        &mut self,
        keyspace: nokv_engine::Keyspace,
        prefix: &[u8],
    ) -> Result<(), Failure> {
        let range = KeyRange::prefix(prefix);
        let writes = &mut self.command.writes;
        self.namespace
            .each_in((keyspace, range), self.now, |key, _| {
                writes.push(Write::Delete(Key::new(keyspace, key)));
                Ok(())
            })
    }

    /// Applies what was gathered.
    pub(super) fn apply(mut self, durability: Durability) -> Result<Repaired, Failure> {
        let paths = &self.namespace.inner.paths;
        let _moving = self.moves.then(|| paths.moves.begin());
        if self.moves {
            for (mount, _) in self.namespace.mounts_at(self.now)? {
                for shard in self.namespace.shards_at(self.now)? {
                    let key = crate::records::shard::topology(shard, mount);
                    self.put(key, crate::records::system::encode(0));
                }
            }
        }
        match self.namespace.shard().execute(self.command, durability) {
            Ok(applied) => Ok(Repaired::Applied(applied.version)),
            Err(Error::CheckFailed { .. }) => Ok(Repaired::Moved),
            Err(error) => Err(crate::failure::from_shard(error)),
        }
    }
}
