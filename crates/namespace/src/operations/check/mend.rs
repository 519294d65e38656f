//! Applying repairs: one command each, if all that it rests on is as it was.

use super::Findings;
use super::mending::{Mending, Stop};
use crate::failure::contradiction;
use crate::records::object::{self, BlockUse};
use crate::records::orphan;
use crate::records::quota::{self, BYTES, INODES};
use crate::records::{
    CHUNK, DirectoryPlace, EntryRecord, MountRecord, NAMES, NodeRecord, XATTR, branch, chunk,
    counter, names, node_and_branch, shard, system,
};
use crate::{Context, EntryAt, Namespace, Parents, Repair, RepairAction, Repaired};
use nokv_shard::{Add, Change, Check, Key, Slot};
use nokv_types::{
    BlockId, BranchId, Failure, Generation, MountId, Name, NodeId, NodeKind, NsPath, ShardId,
    TimeNanos, Version,
};

const TRUNK: BranchId = BranchId::TRUNK;
/// Where nodes go that nothing leads to.
const LOST_AND_FOUND: &str = "/lost+found";

impl Namespace {
    /// Applies the repairs of a plan, each in one command, in an order in which they do not get
    /// into each other's way; answers in the order given.
    ///
    /// **Guarantees**: [`Repaired::Moved`]: something that a repair rests on is not as it was when
    /// the problem was found (but for what this call did), nothing was done for it; check
    /// again. Nothing that can be reached is deleted. **Errors**: as mutations; those before
    /// are applied then.
    pub fn repair(&self, context: &Context, repairs: &[Repair]) -> Result<Vec<Repaired>, Failure> {
        let mut outcomes = vec![Repaired::Moved; repairs.len()];
        let mut order: Vec<_> = repairs.iter().zip(&mut outcomes).collect();
        order.sort_by_key(|(repair, _)| turn(&repair.action));
        let mut own = Vec::new();
        for (repair, outcome) in order {
            *outcome = self.mend(context, repair, &mut own)?;
            if let Repaired::Applied(version) = outcome {
                own.push(*version);
            }
        }
        Ok(outcomes)
    }

    fn mend(
        &self,
        context: &Context,
        repair: &Repair,
        own: &mut Vec<Version>,
    ) -> Result<Repaired, Failure> {
        if repair.action == RepairAction::CountQuotas {
            return self.count_quotas_again(context);
        }
        let lost = match needs_lost_and_found(&repair.action) {
            true => Some(self.lost_and_found(context, own)?),
            false => None,
        };
        let mut mending = Mending::new(self, repair.at, own);
        match mending.plan(&repair.action, (lost, context.now)) {
            Ok(()) => mending.apply(context.durability),
            Err(Stop::Moved) => Ok(Repaired::Moved),
            Err(Stop::Failed(failure)) => Err(failure),
        }
    }

    /// The directory for what nothing leads to, made when missing.
    fn lost_and_found(&self, context: &Context, own: &mut Vec<Version>) -> Result<NodeId, Failure> {
        let mounts = self.mounts();
        let mount = mounts
            .first()
            .ok_or_else(|| contradiction("there is no mount".to_owned()))?;
        let path = NsPath::parse(LOST_AND_FOUND)?;
        let context = Context {
            request: None,
            branch: TRUNK,
            ..Context::new(mount.id, context.now)
        };
        let made = self.make_dir(&context, &path, 0o700, Parents::Create)?;
        own.push(made.version);
        Ok(made.node.id)
    }

    /// Recounts the quotas, and adds what they lack.
    fn count_quotas_again(&self, context: &Context) -> Result<Repaired, Failure> {
        let hold = self.hold(self.read_version())?;
        let mut findings = Findings::new(hold.version());
        self.check_quotas(&mut findings)?;
        let problems = findings.report.problems.into_iter();
        let repairs: Vec<_> = problems.filter_map(|problem| problem.repair).collect();
        let moved = self.repair(context, &repairs)?.contains(&Repaired::Moved);
        Ok(match moved {
            true => Repaired::Moved,
            false => Repaired::Applied(hold.version()),
        })
    }
}

/// What only adds comes first, while it is as it was; quotas are counted when all else is right.
fn turn(action: &RepairAction) -> u8 {
    use RepairAction as Action;
    match action {
        Action::Count { .. } | Action::Usage { .. } => 0,
        Action::Place { .. } => 1,
        Action::CountQuotas => 3,
        _ => 2,
    }
}

fn needs_lost_and_found(action: &RepairAction) -> bool {
    matches!(
        action,
        RepairAction::Attach { .. } | RepairAction::Recreate { entry: None, .. }
    )
}

impl Mending<'_> {
    fn plan(
        &mut self,
        action: &RepairAction,
        (lost, now): (Option<NodeId>, TimeNanos),
    ) -> Result<(), Stop> {
        use RepairAction as Action;
        match action {
            Action::Unname(entry) => self.unname(entry)?,
            Action::Kind(entry) => self.kind(entry)?,
            Action::SecondName(entry) => self.second_name(entry)?,
            Action::Links { node, names } => self.links(*node, names)?,
            Action::Place { directory, entry } => self.place(*directory, entry)?,
            Action::Attach { node, instead_of } => {
                let lost = lost.ok_or(Stop::Moved)?;
                self.attach(*node, instead_of.as_ref(), lost)?;
            }
            Action::Recreate { directory, entry } => {
                self.recreate(*directory, entry.as_ref(), (lost, now))?;
            }
            other => self.plan_other(other)?,
        }
        Ok(())
    }

    fn plan_other(&mut self, action: &RepairAction) -> Result<(), Stop> {
        use RepairAction as Action;
        match action {
            Action::Count {
                directory,
                branch,
                entries,
                subdirectories,
            } => {
                let key = counter::key(*directory, *branch);
                let slots = [counter::ENTRIES, counter::SUBDIRECTORIES];
                self.sum(key, slots, [*entries, *subdirectories])?;
            }
            Action::DropCount(node) => {
                self.absent(NodeRecord::key(*node, TRUNK))?;
                self.absent(orphan::key(*node, TRUNK))?;
                self.drop_record(counter::key(*node, TRUNK))?;
            }
            Action::Xattrs {
                node,
                branch,
                count,
            } => {
                let mut record = self.node(*node, *branch)?;
                record.xattrs = *count;
                self.put(NodeRecord::key(*node, *branch), record.encode());
            }
            Action::DropLeftovers(node) => self.drop_leftovers(*node)?,
            Action::References {
                block,
                references,
                bytes,
                end,
            } => self.references(*block, [*references, *bytes, *end])?,
            Action::DropChunks {
                node,
                branch,
                generation,
            } => self.drop_chunks(*node, *branch, *generation)?,
            Action::Usage {
                directory,
                bytes,
                inodes,
            } => {
                self.unchanged(&quota::key(*directory, TRUNK), |_| Ok(()))?;
                let key = quota::usage_key(*directory, TRUNK);
                self.sum(key, [BYTES, INODES], [*bytes, *inodes])?;
            }
            Action::DropUsage(directory) => {
                self.absent(quota::key(*directory, TRUNK))?;
                self.drop_record(quota::usage_key(*directory, TRUNK))?;
            }
            Action::Topology(shard, mount) => self.topology(*shard, *mount)?,
            // The first is not one command.
            Action::CountQuotas
            | Action::Unname(_)
            | Action::Kind(_)
            | Action::SecondName(_)
            | Action::Links { .. }
            | Action::Place { .. }
            | Action::Attach { .. }
            | Action::Recreate { .. } => {}
        }
        Ok(())
    }

    /// Adds to two slots of a counter that is as it was, there or not.
    fn sum(&mut self, key: Key, slots: [Slot; 2], by: [i64; 2]) -> Result<(), Stop> {
        self.same(&key)?;
        let changes = slots.into_iter().zip(by.map(Change::Sum)).collect();
        self.add(Add {
            key,
            changes,
            at_zero: None,
        });
        Ok(())
    }

    fn topology(&mut self, shard: ShardId, mount: MountId) -> Result<(), Stop> {
        let key = shard::topology(shard, mount);
        self.absent(key.clone())?;
        self.unchanged(&MountRecord::key(mount), |_| Ok(()))?;
        self.put(key, system::encode(0));
        Ok(())
    }

    fn drop_leftovers(&mut self, node: NodeId) -> Result<(), Stop> {
        self.absent(NodeRecord::key(node, TRUNK))?;
        for keyspace in [XATTR, NAMES] {
            self.delete_all(keyspace, &node_and_branch(node, TRUNK))?;
        }
        self.must_do()
    }

    fn entry(&mut self, entry: &EntryAt) -> Result<EntryRecord, Stop> {
        let key = EntryRecord::key(entry.directory, TRUNK, &entry.name);
        Ok(self.unchanged(&key, EntryRecord::decode)?.0)
    }

    /// Adds to the counter of a directory, if there is one.
    fn recount(&mut self, directory: NodeId, kind: NodeKind, by: i64) -> Result<(), Stop> {
        if self.read(&NodeRecord::key(directory, TRUNK))?.is_none() {
            return Ok(());
        }
        let key = counter::key(directory, TRUNK);
        let mut add = Add::one(key, counter::ENTRIES, Change::Sum(by));
        if kind == NodeKind::Directory {
            add.changes.push((counter::SUBDIRECTORIES, Change::Sum(by)));
        }
        self.add(add);
        Ok(())
    }

    fn unname(&mut self, entry: &EntryAt) -> Result<(), Stop> {
        let record = self.entry(entry)?;
        match record.branch {
            TRUNK => self.absent(NodeRecord::key(record.node, TRUNK))?,
            id => self.absent(branch::key(id))?,
        }
        self.delete(EntryRecord::key(entry.directory, TRUNK, &entry.name));
        self.recount(entry.directory, record.kind, -1)
    }

    fn kind(&mut self, entry: &EntryAt) -> Result<(), Stop> {
        let mut record = self.entry(entry)?;
        let node = self.node(record.node, TRUNK)?;
        let subdirectories = i64::from(node.is_directory()) - i64::from(record.is_directory());
        record.kind = node.kind;
        let key = EntryRecord::key(entry.directory, TRUNK, &entry.name);
        self.put(key, record.encode());
        let key = counter::key(entry.directory, TRUNK);
        self.add(Add::one(
            key,
            counter::SUBDIRECTORIES,
            Change::Sum(subdirectories),
        ));
        Ok(())
    }

    /// The directory keeps the name that its record says: that this is another, and that the right
    /// one leads there, is looked at anew.
    fn second_name(&mut self, entry: &EntryAt) -> Result<(), Stop> {
        let record = self.entry(entry)?;
        let node = NodeRecord::key(record.node, TRUNK);
        self.found = self.now;
        let (directory, _) = self.unchanged(&node, NodeRecord::decode)?;
        let place = directory.place.ok_or(Stop::Moved)?;
        if place.parent == entry.directory && place.name == entry.name {
            return Err(Stop::Moved);
        }
        let right = EntryRecord::key(place.parent, TRUNK, &place.name);
        let (right, _) = self.unchanged(&right, EntryRecord::decode)?;
        if right.node != record.node || right.branch != TRUNK {
            return Err(Stop::Moved);
        }
        self.delete(EntryRecord::key(entry.directory, TRUNK, &entry.name));
        self.moves = true;
        self.recount(entry.directory, record.kind, -1)
    }

    fn links(&mut self, node: NodeId, directories: &[(NodeId, u32)]) -> Result<(), Stop> {
        let mut record = self.node(node, TRUNK)?;
        let counts = directories.iter().map(|(_, count)| *count);
        let links = counts.fold(0, u32::saturating_add);
        if record.is_directory() || links == 0 {
            return Err(Stop::Moved);
        }
        record.links = links;
        record.home = match directories {
            [(home, 1)] => Some(*home),
            _ => None,
        };
        self.put(NodeRecord::key(node, TRUNK), record.encode());
        let mut known = Vec::new();
        let range = nokv_engine::KeyRange::prefix(node_and_branch(node, TRUNK));
        self.namespace.each_in((NAMES, range), self.now, |key, _| {
            known.push(names::directory(key)?);
            Ok(())
        })?;
        for directory in known {
            if links == 1 || !directories.iter().any(|(at, _)| *at == directory) {
                self.delete(names::key(node, TRUNK, directory));
            }
        }
        for (directory, count) in directories.iter().filter(|_| links > 1) {
            self.put(names::key(node, TRUNK, *directory), names::encode(*count));
        }
        Ok(())
    }

    fn place(&mut self, directory: NodeId, entry: &EntryAt) -> Result<(), Stop> {
        let record = self.entry(entry)?;
        let mut node = self.node(directory, TRUNK)?;
        if record.node != directory || !node.is_directory() {
            return Err(Stop::Moved);
        }
        node.place = Some(DirectoryPlace {
            parent: entry.directory,
            name: entry.name.clone(),
        });
        self.put(NodeRecord::key(directory, TRUNK), node.encode());
        self.moves = true;
        Ok(())
    }

    fn attach(
        &mut self,
        node: NodeId,
        instead_of: Option<&EntryAt>,
        lost: NodeId,
    ) -> Result<(), Stop> {
        let mut record = self.node(node, TRUNK)?;
        if let Some(entry) = instead_of {
            let found = self.entry(entry)?;
            if found.node != node || !record.is_directory() {
                return Err(Stop::Moved);
            }
            self.delete(EntryRecord::key(entry.directory, TRUNK, &entry.name));
            self.recount(entry.directory, found.kind, -1)?;
        }
        let name = self.name_lost(node, record.kind, lost)?;
        if record.is_directory() {
            record.place = Some(DirectoryPlace { parent: lost, name });
            self.moves = true;
        } else {
            (record.links, record.home) = (1, Some(lost));
            self.delete_all(NAMES, &node_and_branch(node, TRUNK))?;
        }
        self.put(NodeRecord::key(node, TRUNK), record.encode());
        Ok(())
    }

    /// An entry in lost+found.
    fn name_lost(&mut self, node: NodeId, kind: NodeKind, lost: NodeId) -> Result<Name, Stop> {
        let name = Name::new(node.to_string().into_bytes())?;
        let key = EntryRecord::key(lost, TRUNK, &name);
        self.absent(key.clone())?;
        self.command
            .checks
            .push(Check::Present(NodeRecord::key(lost, TRUNK)));
        let branch = TRUNK;
        self.put(key, EntryRecord { kind, branch, node }.encode());
        self.recount(lost, kind, 1)?;
        Ok(name)
    }

    fn recreate(
        &mut self,
        directory: NodeId,
        entry: Option<&EntryAt>,
        (lost, now): (Option<NodeId>, TimeNanos),
    ) -> Result<(), Stop> {
        let key = NodeRecord::key(directory, TRUNK);
        self.absent(key.clone())?;
        self.absent(orphan::key(directory, TRUNK))?;
        let kind = NodeKind::Directory;
        let mut record = NodeRecord::new(kind, 0o700, 0, 0, now);
        record.place = Some(match entry {
            Some(entry) => {
                if self.entry(entry)?.node != directory {
                    return Err(Stop::Moved);
                }
                DirectoryPlace {
                    parent: entry.directory,
                    name: entry.name.clone(),
                }
            }
            None => {
                let lost = lost.ok_or(Stop::Moved)?;
                let name = self.name_lost(directory, kind, lost)?;
                DirectoryPlace { parent: lost, name }
            }
        });
        self.put(key, record.encode());
        self.moves = true;
        Ok(())
    }

    fn references(
        &mut self,
        block: BlockId,
        [references, bytes, end]: [i64; 3],
    ) -> Result<(), Stop> {
        let used = BlockUse {
            references,
            bytes,
            end,
        };
        let key = object::key(block);
        if used.references > 0 {
            self.same(&key)?;
            self.add(used.set(block));
        } else {
            self.drop_record(key)?;
            self.put(object::doomed_key(block), bytes::Bytes::new());
        }
        Ok(())
    }

    fn drop_chunks(
        &mut self,
        node: NodeId,
        branch: BranchId,
        generation: Generation,
    ) -> Result<(), Stop> {
        let key = NodeRecord::key(node, branch);
        if let Some(found) = self.read(&key)? {
            let whole = crate::records::is_whiteout(branch, &found.value);
            let record = (!whole)
                .then(|| NodeRecord::decode(&found.value))
                .transpose();
            let record = record.map_err(|flaw| crate::failure::malformed(&key, &flaw))?;
            if record.is_some_and(|record| record.generation == generation) {
                return Err(Stop::Moved);
            }
        }
        self.same(&key)?;
        self.delete_all(CHUNK, &chunk::prefix(node, branch, generation))?;
        self.must_do()
    }
}
