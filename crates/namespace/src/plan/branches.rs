//! Verbs on branches: making one, and ending it.
//!
//! Both are O(1): making writes a record and an entry; ending deletes the record, and the branch's
//! own records are reclaimed in the background.

use super::state::{Plan, Topology};
use crate::layers::{self, LAYERS_MAX};
use crate::records::branch::{self, BranchRecord, FormerBase};
use crate::records::event::EventKind;
use crate::records::pin::PinOwner;
use crate::records::{Moment, system};
use crate::spot::{Child, Spot};
use bytes::Bytes;
use nokv_shard::{Check, Write};
use nokv_types::{BranchId, Failure, Name, NodeKind, Reason, Version};

/// What a branch that ends may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BranchEnd {
    /// No entries, as far as the caller saw; they may not have changed since.
    Empty,
    /// Anything.
    Whole,
}

/// A branch that a plan makes.
pub(crate) struct NewBranch {
    /// The directory that it shows, as of the version that it rests on.
    pub(crate) origin: Spot,
    pub(crate) directory: Spot,
    pub(crate) name: Name,
}

impl Plan<'_> {
    /// Hangs a new branch under a free name.
    pub(crate) fn begin_branch(
        &mut self,
        new: NewBranch,
    ) -> Result<(BranchId, BranchRecord), Failure> {
        let origin = new.origin;
        if self.reader.layers(origin)?.len() >= LAYERS_MAX {
            return Err(Failure::new(
                Reason::TooLarge,
                format!(
                    "this would be a branch of a branch of more than {} branches; merge some",
                    LAYERS_MAX - 1
                ),
            ));
        }
        let id = self.next_branch_id()?;
        self.pin(origin.at, PinOwner::Branch(id))?;
        let record = BranchRecord {
            mount: self.context.mount,
            parent: origin.branch,
            base: Moment::At(origin.at),
            since: Moment::ThisRecord,
            root: origin.node,
            above: (new.directory.branch, new.directory.node),
            name: new.name.clone(),
            created_millis: u64::try_from(self.context.now.get() / 1_000_000).unwrap_or(0),
        };
        self.write(Write::Put(branch::key(id), record.encode()));
        let child = Child {
            kind: NodeKind::Directory,
            spot: Spot::live(origin.node, id, self.reader.at),
        };
        self.set_entry(new.directory, &new.name, Some(child))?;
        let shown = self.reader.node_record(origin)?;
        let shown = shown.ok_or_else(|| layers::missing(origin.branch))?.record;
        let to = Some((new.directory, new.name));
        self.announce(EventKind::Branched, child.spot, &shown, None, to);
        Ok((id, record))
    }

    /// The same directory seen through the fewest layers: a branch that had no changes of its own
    /// is its parent. So putting the past in place again and again makes no chain. Not for a branch
    /// that somebody asked for: it is to be merged into what it was made from.
    pub(crate) fn simplest(&self, mut origin: Spot) -> Result<Spot, Failure> {
        while !origin.is_trunk() {
            let key = branch::changes_key(origin.branch);
            let engine = self.reader.engine;
            let changes = engine.get(key.keyspace(), key.bytes(), origin.at);
            if changes.map_err(crate::failure::from_engine)?.is_some() {
                break;
            }
            let chain = self.reader.chain(origin)?;
            let Some(below) = chain.layers.get(1) else {
                break;
            };
            (origin.branch, origin.at) = (below.branch, below.at);
        }
        Ok(origin)
    }

    fn next_branch_id(&mut self) -> Result<BranchId, Failure> {
        let key = system::branches();
        let number = match crate::ids::read(self.reader.engine, &key)? {
            None => {
                self.checks.push(Check::Absent(key.clone()));
                u64::from(BranchId::TRUNK.get()) + 1
            }
            Some((number, version)) => {
                self.checks
                    .push(Check::UnchangedSince(key.clone(), version));
                number
            }
        };
        self.write(Write::Put(key, system::encode(number + 1)));
        u32::try_from(number)
            .map(BranchId::new)
            .map_err(|_| Failure::new(Reason::TooLarge, "all branch ids of this store are used up"))
    }

    /// Ends a branch: nobody reads its newest state any more. Its entry is the caller's.
    pub(crate) fn end_branch(&mut self, id: BranchId, end: BranchEnd) -> Result<(), Failure> {
        let (record, version) = self.branch_record(id)?;
        if end == BranchEnd::Empty {
            let key = branch::changes_key(id);
            let engine = self.reader.engine;
            let found = engine
                .get(key.keyspace(), key.bytes(), self.reader.at)
                .map_err(crate::failure::from_engine)?;
            self.checks.push(match found {
                None => Check::Absent(key),
                Some(_) => Check::UnchangedSince(key, self.reader.at),
            });
        }
        self.end_base(id, &record, version);
        self.write(Write::Delete(branch::key(id)));
        self.write(Write::Put(branch::removed_key(id), Bytes::new()));
        self.rests_on(Topology::Moves);
        self.ended.insert(id);
        Ok(())
    }

    /// Notes that the base of a branch is one of the past.
    pub(crate) fn end_base(&mut self, id: BranchId, record: &BranchRecord, version: Version) {
        let former = FormerBase {
            base: record.base.in_record(version),
            end: Moment::ThisRecord,
        };
        let since = record.since.in_record(version);
        self.write(Write::Put(branch::former_key(id, since), former.encode()));
    }

    /// Tells the record of a branch where its root hangs now.
    pub(crate) fn rehang(
        &mut self,
        id: BranchId,
        directory: Spot,
        name: &Name,
    ) -> Result<(), Failure> {
        let (record, version) = self.branch_record(id)?;
        let mut record = record.resolved(version);
        record.above = (directory.branch, directory.node);
        record.name = name.clone();
        self.write(Write::Put(branch::key(id), record.encode()));
        self.rests_on(Topology::Moves);
        Ok(())
    }

    /// The record of a live branch, checked.
    pub(crate) fn branch_record(
        &mut self,
        id: BranchId,
    ) -> Result<(BranchRecord, Version), Failure> {
        let found = layers::read(self.reader.engine, id, self.reader.at)?;
        let found = found.ok_or_else(|| layers::missing(id))?;
        self.branches.insert(id);
        Ok(found)
    }
}
