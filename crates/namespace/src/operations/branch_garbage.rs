//! Background work for branches: taking removed ones apart, and letting go of bases that nothing
//! retained rests on.
//!
//! Invariants:
//! - a body that a removed branch published is put to death like any other, so that its blocks lose
//!   their references exactly once;
//! - a base is let go only when its life ended at or below the floor, no read is leased since a
//!   version before that, and no pinned version lies in that life: nothing can be read through it
//!   any more. That it is unpinned is on disk first;
//! - every command here is bounded, but for the range deletions, which are records of the engine.

use crate::failure::{from_engine, from_shard, malformed};
use crate::layers::Layer;
use crate::pins::newest_within;
use crate::records::branch::{self, FormerBase};
use crate::records::pin::{self, PinOwner};
use crate::records::{COUNTER, ENTRY, NAMES, NODE, NodeRecord, XATTR, is_whiteout, spot_at};
use crate::spot::Spot;
use crate::{Context, Namespace, Reclaimed};
use bytes::Bytes;
use nokv_engine::{Direction, KeyRange};
use nokv_shard::{Check, Command, Durability, Error, Key, Write};
use nokv_types::{BranchId, Failure, TimeNanos, Version};

/// Node records of a removed branch taken apart by one command.
const NODES_PER_COMMAND: usize = 512;

impl Namespace {
    /// Takes removed branches apart, about `limit` records of them.
    pub(super) fn take_branches_apart(
        &self,
        limit: usize,
        reclaimed: &mut Reclaimed,
    ) -> Result<(), Failure> {
        let mut left = limit;
        while let Some(branch) = self.first_removed_branch()? {
            if left == 0 {
                reclaimed.more = true;
                break;
            }
            let taken = self.take_branch_apart(branch, left.min(NODES_PER_COMMAND))?;
            reclaimed.entries += taken as u64;
            left = left.saturating_sub(taken.max(1));
        }
        Ok(())
    }

    fn first_removed_branch(&self) -> Result<Option<BranchId>, Failure> {
        let range = KeyRange::prefix(branch::REMOVED);
        let mut scan = self
            .engine()
            .scan(
                branch::KEYSPACE,
                range,
                self.read_version(),
                Direction::Forward,
            )
            .map_err(from_engine)?;
        match scan.next().transpose().map_err(from_engine)? {
            None => Ok(None),
            Some((key, _)) => branch::id(&key)
                .map(Some)
                .map_err(|flaw| malformed(&Key::new(branch::KEYSPACE, &key), &flaw)),
        }
    }

    /// Takes up to `count` nodes out of a removed branch; the last time forgets it. Nobody writes
    /// in it any more.
    fn take_branch_apart(&self, branch: BranchId, count: usize) -> Result<usize, Failure> {
        let reader = self.newest_reader();
        let now = TimeNanos::new(self.inner.clock.now_nanos());
        let context = Context::new(self.default_mount(), now);
        let layer = Layer {
            branch,
            at: reader.at,
        };
        let root = Spot::live(nokv_types::NodeId::default(), branch, reader.at);
        let mut plan = self.plan(reader, &context, root);
        let mut taken = 0;
        for item in self.branch_records(NODE, layer)?.take(count) {
            let (key, found) = item?;
            let key = Key::new(NODE, &key);
            let flaw = |flaw| malformed(&key, &flaw);
            if !is_whiteout(branch, &found.value) {
                let (node, _) = spot_at(key.bytes(), 0).map_err(flaw)?;
                let mut record = NodeRecord::decode(&found.value).map_err(flaw)?;
                record.resolve_moments(found.version);
                plan.bury(root.with_node(node), &record);
            }
            plan.write(Write::Delete(key));
            taken += 1;
        }
        if taken < count {
            for keyspace in [ENTRY, XATTR, COUNTER, NAMES] {
                for range in self.branch_ranges(keyspace, layer)? {
                    plan.write(range);
                }
            }
            plan.write(Write::Delete(branch::changes_key(branch)));
            plan.write(Write::Delete(branch::removed_key(branch)));
        }
        let command = plan.compile(None, Bytes::new())?;
        self.shard()
            .execute(command, Durability::Buffered)
            .map_err(from_shard)?;
        Ok(taken)
    }

    /// Lets go of the bases of the past that nothing retained rests on.
    pub(super) fn forget_bases(
        &self,
        limit: usize,
        reclaimed: &mut Reclaimed,
    ) -> Result<(), Failure> {
        let (floor, at) = (self.floor(), self.read_version());
        // A read of a branch sees what its base keeps.
        let floor = self.unleased(floor);
        // Asked after the floor: see `crate::pins`.
        let pins = self.inner.pins.versions();
        let range = KeyRange::prefix(branch::FORMER);
        let scan = self
            .engine()
            .scan(branch::KEYSPACE, range, at, Direction::Forward)
            .map_err(from_engine)?;
        let mut released = Vec::new();
        for item in scan {
            let (key, found) = item.map_err(from_engine)?;
            let key = Key::new(branch::KEYSPACE, &key);
            let flaw = |flaw| malformed(&key, &flaw);
            let (id, since) = branch::id(key.bytes())
                .and_then(|id| Ok((id, branch::since(key.bytes())?)))
                .map_err(flaw)?;
            let former = FormerBase::decode(&found.value).map_err(flaw)?;
            let end = former.end.in_record(found.version);
            if end > floor || newest_within(&pins, since, end).is_some() {
                continue;
            }
            if released.len() >= limit {
                reclaimed.more = true;
                break;
            }
            released.extend(self.forget_base(key, id, former.base, at)?);
        }
        if released.is_empty() {
            return Ok(());
        }
        self.sync()?;
        for version in released {
            self.inner.pins.release(version);
        }
        // What these held may be let go now.
        reclaimed.more = true;
        Ok(())
    }

    fn forget_base(
        &self,
        key: Key,
        id: BranchId,
        base: Version,
        at: Version,
    ) -> Result<Option<Version>, Failure> {
        let command = Command {
            checks: vec![Check::UnchangedSince(key.clone(), at)],
            writes: vec![
                Write::Delete(key),
                Write::Delete(pin::key(base, PinOwner::Branch(id))),
            ],
            ..Command::default()
        };
        match self.shard().execute(command, Durability::Buffered) {
            Ok(_) => Ok(Some(base)),
            Err(Error::CheckFailed { .. }) => Ok(None),
            Err(error) => Err(from_shard(error)),
        }
    }
}
