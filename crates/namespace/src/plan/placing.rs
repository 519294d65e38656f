//! Which shard a new directory is made in.

use super::state::Plan;
use crate::failure::malformed;
use crate::records::{HOME, MountRecord, NodeRecord};
use crate::spot::Spot;
use crate::{Placement, Topology};
use nokv_shard::{Check, Key, Shards, Write};
use nokv_types::{Failure, MountId, Name, NodeId, ShardId};
use xxhash_rust::xxh3::Xxh3;

/// The shard for a directory of this name, made in another.
pub(crate) fn choose_shard(
    placement: Placement,
    shards: &Shards,
    (parent, name): (NodeId, &[u8]),
) -> ShardId {
    match placement {
        Placement::Parent => parent.shard(),
        Placement::Spread => {
            let mut hasher = Xxh3::new();
            hasher.update(&parent.as_u64().to_be_bytes());
            hasher.update(name);
            let shard = hasher.digest() % u64::from(shards.count());
            ShardId::new(u16::try_from(shard).unwrap_or(HOME.get()))
        }
        Placement::LeastLoaded => shards.least_loaded(),
    }
}

impl crate::reader::Reader<'_> {
    /// Where directories of a mount go unless told.
    pub(crate) fn mount_placement(&self, mount: MountId) -> Result<Placement, Failure> {
        let key = MountRecord::key(mount);
        let Some(found) = self.stored(&key)? else {
            return Ok(Placement::default());
        };
        let record = MountRecord::decode(&found.value).map_err(|flaw| malformed(&key, &flaw))?;
        Ok(record.placement)
    }
}

impl Plan<'_> {
    /// The shard for a new node, and what a new directory gets from the one that it is made in. No
    /// decision rests on it: wherever a directory is made, it can be found.
    pub(super) fn place_node(
        &self,
        directory: Spot,
        name: &Name,
        record: &mut NodeRecord,
    ) -> Result<ShardId, Failure> {
        let own = directory.node.shard();
        if !record.is_directory() {
            return Ok(own);
        }
        let parent = self.peek_node(directory)?;
        record.placement = parent.and_then(|parent| parent.record.placement);
        if self.shard.count() == 1 {
            return Ok(own);
        }
        let placement = match record.placement {
            Some(placement) => placement,
            None => self.reader.mount_placement(self.context.mount)?,
        };
        let at = (directory.node, name.as_bytes());
        Ok(choose_shard(placement, self.shard, at))
    }

    /// A shard that the command writes to anyway, as far as there is one.
    fn lead(&self) -> ShardId {
        let directories = self.directories.keys().copied();
        let nodes = self.nodes.iter().filter(|(_, node)| node.dirty);
        let written = directories.chain(nodes.map(|(spot, _)| *spot));
        let first = written.map(|spot| spot.node.shard()).min();
        first.unwrap_or(self.root.node.shard())
    }

    /// The checks and writes that say how the command depends on where directories are.
    pub(super) fn check_topology(&mut self) -> Result<(), Failure> {
        let mount = self.context.mount;
        let topology = |shard| crate::records::shard::topology(shard, mount);
        let lead = topology(self.lead());
        // That it is there says that the mount is not retired.
        let check = match self.topology {
            Topology::Free => Check::Present(lead),
            Topology::Rests | Topology::Moves => Check::UnchangedSince(lead, self.reader.at),
        };
        self.checks.push(check);
        if self.topology == Topology::Moves {
            let key = crate::records::system::shards();
            let count = count_shards(self.reader.stored(&key)?.as_ref(), &key)?;
            self.checks.push(Check::UnchangedSince(key, self.reader.at));
            for shard in (0..count).map(ShardId::new) {
                let value = crate::records::system::encode(0);
                self.writes.push(Write::Put(topology(shard), value));
            }
        }
        Ok(())
    }
}

/// What the record of the number of shards says.
pub(crate) fn count_shards(
    record: Option<&nokv_engine::Record>,
    key: &Key,
) -> Result<u16, Failure> {
    let Some(record) = record else {
        return Ok(1);
    };
    let count = crate::records::system::decode(&record.value);
    let count = count.map_err(|flaw| malformed(key, &flaw))?;
    u16::try_from(count).map_err(|_| {
        crate::failure::contradiction(format!("the store says that it has {count} shards"))
    })
}
