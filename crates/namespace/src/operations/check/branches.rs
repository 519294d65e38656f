//! The consistency check of branches: what a branch's own records say over what it inherits.
//!
//! It reads the own records of each branch and, for each, what lies below it: the cost is that of
//! the changes, not of what the branch shows.

use super::Findings;
use crate::failure::malformed;
use crate::layers::Layer;
use crate::reader::Reader;
use crate::records::branch::{self, BranchRecord};
use crate::records::{
    COUNTER, ENTRY, EntryRecord, NODE, NodeRecord, XATTR, counter, is_whiteout, orphan, spot_at,
};
use crate::spot::{Child, Met, Spot};
use crate::{CheckCursor, Namespace, ProblemKind, RepairAction};
use bytes::Bytes;
use nokv_engine::{Keyspace, Record};
use nokv_shard::codec::Malformed;
use nokv_shard::{Counter, Key};
use nokv_types::{BranchId, Failure, NodeId};
use rustc_hash::{FxHashMap, FxHashSet};

impl Namespace {
    /// Checks the own records of branches that live, after one, until about `limit` records.
    pub(super) fn check_branches(
        &self,
        after: BranchId,
        limit: usize,
        findings: &mut Findings,
    ) -> Result<Option<CheckCursor>, Failure> {
        let at = findings.at;
        let mut branches = Vec::new();
        self.each(branch::KEYSPACE, at, |key, found| {
            if key.first_chunk() == Some(&[0]) {
                let record = BranchRecord::decode(&found.value)?;
                branches.push((branch::id(key)?, record.resolved(found.version)));
            }
            Ok(())
        })?;
        let mut orphans = FxHashSet::default();
        self.each(orphan::KEYSPACE, at, |key, _| {
            orphans.insert(orphan::directory(key)?);
            Ok(())
        })?;
        let reader = Reader {
            at,
            moves: None,
            ..self.newest_reader()
        };
        let before = findings.report.entries;
        for (id, record) in branches.into_iter().filter(|(id, _)| *id > after) {
            let mut check = Check {
                namespace: self,
                reader,
                root: Spot::live(record.root, id, at),
                findings,
                orphans: &orphans,
                links: FxHashMap::default(),
                counts: FxHashMap::default(),
            };
            check.hangs(&record)?;
            check.entries()?;
            check.nodes()?;
            check.counters()?;
            check.xattrs()?;
            if (findings.report.entries - before) as usize >= limit {
                return Ok(Some(CheckCursor::Branches(id)));
            }
        }
        Ok(Some(CheckCursor::Bodies))
    }
}

/// The check of one branch.
struct Check<'a> {
    namespace: &'a Namespace,
    reader: Reader<'a>,
    root: Spot,
    findings: &'a mut Findings,
    orphans: &'a FxHashSet<(NodeId, BranchId)>,
    /// Names that the branch gives a node, minus those that it takes.
    links: FxHashMap<NodeId, i64>,
    /// Entries and subdirectories that the branch adds to a directory.
    counts: FxHashMap<NodeId, (i64, i64)>,
}

impl Check<'_> {
    fn problem(&mut self, kind: ProblemKind, message: &str) {
        self.problem_with(kind, message, None);
    }

    fn problem_with(&mut self, kind: ProblemKind, message: &str, action: Option<RepairAction>) {
        let branch = self.root.branch;
        let message = format!("in branch {branch}: {message}");
        self.findings.problem(kind, message, action);
    }

    fn is_orphan(&self, directory: NodeId) -> bool {
        self.orphans.contains(&(directory, self.root.branch))
    }

    /// The records of the branch in one keyspace.
    fn own(&self, keyspace: Keyspace) -> Result<Vec<(Bytes, Record)>, Failure> {
        let Spot { branch, at, .. } = self.root;
        let records = self
            .namespace
            .branch_records(keyspace, Layer { branch, at })?;
        records.collect()
    }

    /// What the layers below show of a spot.
    fn below(&self, node: NodeId) -> Result<Spot, Failure> {
        let chain = self.reader.chain(self.root)?;
        let below = chain.layers.get(1).copied().unwrap_or(Layer {
            branch: BranchId::TRUNK,
            at: self.root.at,
        });
        Ok(Spot {
            node,
            branch: below.branch,
            at: below.at,
            met: Met::Live,
        })
    }

    /// The branch is where its record says.
    fn hangs(&mut self, record: &BranchRecord) -> Result<(), Failure> {
        let (above, directory) = record.above;
        let lives = above == BranchId::TRUNK
            || crate::layers::read(self.reader.engine, above, self.root.at)?.is_some();
        let directory = Spot::live(directory, above, self.root.at);
        let entry = match lives {
            true => self.reader.entry(directory, &record.name)?,
            // It goes with the branch that it hangs in.
            false => return Ok(()),
        };
        if entry.is_none_or(|found| found.record.spot != self.root) {
            self.problem(ProblemKind::WrongBranch, "it is not where its record says");
        }
        if self.reader.node_record(self.root)?.is_none() {
            self.problem(ProblemKind::WrongBranch, "its root does not exist");
        }
        Ok(())
    }

    fn entries(&mut self) -> Result<(), Failure> {
        for (key, found) in self.own(ENTRY)? {
            let key = Key::new(ENTRY, &key);
            let flaw = |flaw: Malformed| malformed(&key, &flaw);
            let (directory, _) = spot_at(key.bytes(), 0).map_err(flaw)?;
            let name = EntryRecord::name(key.bytes()).map_err(flaw)?;
            self.findings.report.entries += 1;
            let spot = self.root.with_node(directory);
            let before = self.reader.entry(self.below(directory)?, &name)?;
            let before = before.map(|found| found.record);
            let now = match is_whiteout(self.root.branch, &found.value) {
                true => None,
                false => self.reader.entry(spot, &name)?.map(|found| found.record),
            };
            if let Some(child) = now {
                self.leads(spot, &name.to_string(), &child)?;
            }
            self.count(directory, before.as_ref(), -1);
            self.count(directory, now.as_ref(), 1);
        }
        Ok(())
    }

    fn count(&mut self, directory: NodeId, child: Option<&Child>, by: i64) {
        let Some(child) = child else { return };
        let counts = self.counts.entry(directory).or_default();
        counts.0 += by;
        counts.1 += i64::from(child.is_directory()) * by;
        *self.links.entry(child.node()).or_insert(0) += by;
    }

    /// An own entry leads from a live directory to a node of its kind.
    fn leads(&mut self, directory: Spot, name: &str, child: &Child) -> Result<(), Failure> {
        let shown = format!("entry {name} of directory {}", directory.node);
        let parent = self.reader.node_record(directory)?;
        if !parent.is_some_and(|found| found.record.is_directory())
            && !self.is_orphan(directory.node)
        {
            let message = format!("{shown} is in no directory");
            self.problem(ProblemKind::DanglingEntry, &message);
        }
        if child.is_branch_root(&directory) {
            let live = child.spot.met == Met::Live;
            let found = crate::layers::read(self.reader.engine, child.spot.branch, self.root.at)?;
            if live && found.is_none() {
                let message = format!("{shown} leads to a branch that does not exist");
                self.problem(ProblemKind::WrongBranch, &message);
            }
            return Ok(());
        }
        match self.reader.node_record(child.spot)? {
            Some(found) if found.record.kind == child.kind => {}
            _ => {
                let message = format!("{shown} leads to no node of its kind");
                self.problem(ProblemKind::DanglingEntry, &message);
            }
        }
        Ok(())
    }

    fn nodes(&mut self) -> Result<(), Failure> {
        let mut links = std::mem::take(&mut self.links);
        for (key, found) in self.own(NODE)? {
            let key = Key::new(NODE, &key);
            let flaw = |flaw: Malformed| malformed(&key, &flaw);
            let (node, _) = spot_at(key.bytes(), 0).map_err(flaw)?;
            let delta = links.remove(&node).unwrap_or(0);
            if is_whiteout(self.root.branch, &found.value) {
                self.gone(node, delta)?;
                continue;
            }
            let record = NodeRecord::decode(&found.value).map_err(flaw)?;
            self.node(node, &record, delta)?;
        }
        for (node, delta) in links {
            let directory = self
                .reader
                .node_record(self.root.with_node(node))?
                .is_some_and(|found| found.record.is_directory());
            if delta != 0 && !directory {
                let message = format!("node {node} does not count the names it has");
                self.problem(ProblemKind::WrongLinks, &message);
            }
        }
        Ok(())
    }

    /// Nothing leads to a node that the branch took away.
    fn gone(&mut self, node: NodeId, delta: i64) -> Result<(), Failure> {
        let below = self.below(node)?;
        let Some(found) = self.reader.node_record(below)? else {
            return Ok(());
        };
        let names = match found.record.is_directory() {
            false => i64::from(found.record.links) + delta,
            true => match self.reader.parent_of(below, &found.record)? {
                None => 1,
                Some((parent, name)) => {
                    let entry = self.reader.entry(self.root.with_node(parent.node), &name)?;
                    i64::from(entry.is_some_and(|found| found.record.node() == node))
                }
            },
        };
        if names != 0 {
            let message = format!("{names} entries lead to node {node}, which does not exist");
            self.problem(ProblemKind::DanglingEntry, &message);
        }
        Ok(())
    }

    fn node(&mut self, node: NodeId, record: &NodeRecord, delta: i64) -> Result<(), Failure> {
        let spot = self.root.with_node(node);
        if record.is_directory() {
            let parent = self.reader.parent_of(spot, record)?;
            let entry = match &parent {
                Some((parent, name)) => self.reader.entry(*parent, name)?,
                None => None,
            };
            if spot != self.root && entry.is_none_or(|found| found.record.spot != spot) {
                let message = format!("directory {node} is not where its record says");
                self.problem(ProblemKind::WrongPlace, &message);
            }
        } else {
            let below = self.reader.node_record(self.below(node)?)?;
            let before = below.map_or(0, |found| i64::from(found.record.links));
            if before + delta != i64::from(record.links) {
                let message = format!(
                    "node {node} counts {} names, has {}",
                    record.links,
                    before + delta
                );
                self.problem(ProblemKind::WrongLinks, &message);
            }
        }
        let xattrs = self.reader.xattr_names(spot)?.len();
        if xattrs != record.xattrs as usize {
            let message = format!(
                "node {node} counts {} extended attributes, has {xattrs}",
                record.xattrs
            );
            let action = RepairAction::Xattrs {
                node,
                branch: self.root.branch,
                count: u32::try_from(xattrs).unwrap_or(u32::MAX),
            };
            self.problem_with(ProblemKind::WrongXattrs, &message, Some(action));
        }
        Ok(())
    }

    fn counters(&mut self) -> Result<(), Failure> {
        let mut counts = std::mem::take(&mut self.counts);
        for (key, found) in self.own(COUNTER)? {
            let key = Key::new(COUNTER, &key);
            let flaw = |flaw: Malformed| malformed(&key, &flaw);
            let (directory, _) = spot_at(key.bytes(), 0).map_err(flaw)?;
            let stored = Counter::decode(&found.value).map_err(flaw)?;
            let stored = (
                stored.sum(counter::ENTRIES),
                stored.sum(counter::SUBDIRECTORIES),
            );
            let counted = counts.remove(&directory).unwrap_or_default();
            self.counted(directory, stored, counted)?;
        }
        for (directory, counted) in counts {
            self.counted(directory, (0, 0), counted)?;
        }
        Ok(())
    }

    fn counted(
        &mut self,
        directory: NodeId,
        stored: (i64, i64),
        counted: (i64, i64),
    ) -> Result<(), Failure> {
        // The counter of a directory that is gone, or being taken apart, says nothing.
        let lives = self
            .reader
            .node_record(self.root.with_node(directory))?
            .is_some();
        if lives && stored != counted && !self.is_orphan(directory) {
            let message =
                format!("directory {directory} counts {stored:?} more, has {counted:?} more");
            let action = RepairAction::Count {
                directory,
                branch: self.root.branch,
                entries: counted.0 - stored.0,
                subdirectories: counted.1 - stored.1,
            };
            self.problem_with(ProblemKind::WrongCount, &message, Some(action));
        }
        Ok(())
    }

    /// An attribute of its own belongs to a node record of its own.
    fn xattrs(&mut self) -> Result<(), Failure> {
        for (key, _) in self.own(XATTR)? {
            let key = Key::new(XATTR, &key);
            let (node, _) = spot_at(key.bytes(), 0).map_err(|flaw| malformed(&key, &flaw))?;
            let spot = self.root.with_node(node);
            if !self.reader.look_node(spot)?.own {
                let message = format!("node {node} has an extended attribute but no record");
                self.problem(ProblemKind::WrongXattrs, &message);
            }
        }
        Ok(())
    }
}
