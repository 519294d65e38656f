//! Some nodes of the trunk, with all entries that lead to them or lie in them.

use super::Findings;
use crate::records::orphan::{self, OrphanRecord};
use crate::records::{
    COUNTER, ENTRY, EntryRecord, NAMES, NODE, NodeRecord, XATTR, branch, branch_prefix, counter,
    nameless, names, node_and_branch, spot_at,
};
use crate::{EntryAt, Namespace, ProblemKind, RepairAction};
use nokv_engine::{KeyRange, Keyspace, Record};
use nokv_shard::codec::Malformed;
use nokv_shard::{Counter, prefix_end};
use nokv_types::{BranchId, Failure, NodeId, NodeKind, ShardId};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::{BTreeMap, BTreeSet};

const TRUNK: BranchId = BranchId::TRUNK;

/// What a node record says, and what the entries say.
pub(super) struct Seen {
    pub(super) kind: NodeKind,
    pub(super) links: u32,
    pub(super) home: Option<NodeId>,
    pub(super) place: Option<EntryAt>,
    pub(super) xattrs: u32,
    pub(super) xattrs_found: u32,
    /// Entries that lead here.
    pub(super) entries: u32,
    /// The one that the record names is there.
    pub(super) confirmed: bool,
    /// Entries that the record does not name.
    pub(super) others: Vec<EntryAt>,
    /// How many names each directory holds, where that is more than one name in all.
    pub(super) names: BTreeMap<NodeId, u32>,
    /// Records of these that say the same.
    pub(super) names_right: usize,
    pub(super) names_wrong: bool,
}

/// A directory by its entries.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Entries {
    pub(super) count: i64,
    pub(super) subdirectories: i64,
}

/// The part of the trunk that a step looks at.
pub(super) struct Slice {
    /// In each shard: after which number, and through which.
    ranges: FxHashMap<ShardId, (Option<u64>, u64)>,
    /// Whether it has all that is in no shard.
    ends: bool,
    pub(super) nodes: FxHashMap<NodeId, Seen>,
    pub(super) directories: FxHashMap<NodeId, Entries>,
    pub(super) orphans: FxHashSet<NodeId>,
    /// Nodes that may have no name: somebody has them open.
    pub(super) nameless: FxHashSet<NodeId>,
    /// Directories that have entries and no record.
    pub(super) lost: BTreeSet<NodeId>,
    /// Entries that lead to no node of the slice, and what they say of it.
    pub(super) dangling: Vec<(EntryAt, NodeId, NodeKind)>,
    /// Where the next step goes on.
    pub(super) last: Option<NodeId>,
}

impl Slice {
    /// Reads the records of up to `limit` nodes.
    pub(super) fn load(
        namespace: &Namespace,
        after: Option<NodeId>,
        limit: usize,
        findings: &mut Findings,
    ) -> Result<Self, Failure> {
        let mut slice = Self {
            ranges: FxHashMap::default(),
            ends: false,
            nodes: FxHashMap::default(),
            directories: FxHashMap::default(),
            orphans: FxHashSet::default(),
            nameless: FxHashSet::default(),
            lost: BTreeSet::new(),
            dangling: Vec::new(),
            last: None,
        };
        let at = findings.at;
        let first = after.map_or(ShardId::new(0), NodeId::shard);
        for shard in namespace.shards_at(at)?.filter(|shard| *shard >= first) {
            if slice.nodes.len() >= limit {
                let before = ShardId::new(shard.get().saturating_sub(1));
                slice.last = Some(NodeId::new(before, u64::MAX));
                break;
            }
            let lower = after.filter(|after| after.shard() == shard);
            slice
                .ranges
                .insert(shard, (lower.map(NodeId::local), u64::MAX));
            let nodes = &mut slice.nodes;
            let mut last = None;
            namespace.each_in((NODE, range(shard, lower)), at, |key, found| {
                let (node, _) = spot_at(key, 0)?;
                if nodes.len() < limit {
                    nodes.insert(node, Seen::of(&NodeRecord::decode(&found.value)?));
                    last = Some(node);
                } else {
                    slice.last = slice.last.or(last).or(lower);
                }
                Ok(())
            })?;
            if let Some(last) = slice.last {
                slice
                    .ranges
                    .insert(shard, (lower.map(NodeId::local), last.local()));
                break;
            }
        }
        slice.ends = slice.last.is_none();
        findings.report.nodes += slice.nodes.len() as u64;
        Ok(slice)
    }

    /// Whether a node, there or not, is looked at here.
    pub(super) fn covers(&self, node: NodeId) -> bool {
        match self.ranges.get(&node.shard()) {
            Some((after, through)) => {
                after.is_none_or(|after| node.local() > after) && node.local() <= *through
            }
            None => self.ends && self.beyond(node),
        }
    }

    /// Whether a node is in a shard after all that there are.
    fn beyond(&self, node: NodeId) -> bool {
        self.ranges
            .keys()
            .max()
            .is_some_and(|last| node.shard() > *last)
    }

    /// Looks at everything that belongs to the nodes.
    pub(super) fn look(
        &mut self,
        namespace: &Namespace,
        findings: &mut Findings,
    ) -> Result<(), Failure> {
        let at = findings.at;
        namespace.each(orphan::KEYSPACE, at, |key, found| {
            OrphanRecord::decode(&found.value)?;
            let (directory, branch) = orphan::directory(key)?;
            if branch == TRUNK {
                self.orphans.insert(directory);
            }
            Ok(())
        })?;
        namespace.each(nameless::KEYSPACE, at, |key, _| {
            let (node, branch) = nameless::node(key)?;
            if branch == TRUNK {
                self.nameless.insert(node);
            }
            Ok(())
        })?;
        let mut hung = Vec::new();
        for shard in namespace.shards_at(at)? {
            namespace.each_in((ENTRY, range(shard, None)), at, |key, found| {
                hung.extend(self.entry(key, found, findings)?);
                Ok(())
            })?;
        }
        for (entry, id) in hung {
            self.hangs(namespace, entry, id, findings)?;
        }
        self.each_of(namespace, XATTR, findings, |slice, findings, node, _, _| {
            match slice.nodes.get_mut(&node) {
                Some(seen) => seen.xattrs_found += 1,
                None => left_over(
                    findings,
                    ProblemKind::WrongXattrs,
                    "extended attributes",
                    node,
                ),
            }
            Ok(())
        })?;
        self.each_of(
            namespace,
            NAMES,
            findings,
            |slice, findings, node, key, found| {
                let (directory, count) = (names::directory(key)?, names::decode(&found.value)?);
                match slice.nodes.get_mut(&node) {
                    Some(seen) if seen.names.get(&directory) == Some(&count) => {
                        seen.names_right += 1
                    }
                    Some(seen) => seen.names_wrong = true,
                    None => left_over(findings, ProblemKind::WrongLinks, "names", node),
                }
                Ok(())
            },
        )?;
        self.each_of(
            namespace,
            COUNTER,
            findings,
            |slice, findings, node, _, found| {
                slice.counter(node, &Counter::decode(&found.value)?, findings);
                Ok(())
            },
        )
    }

    /// Visits the records of a family that belong to nodes of the slice.
    fn each_of(
        &mut self,
        namespace: &Namespace,
        keyspace: Keyspace,
        findings: &mut Findings,
        visit: impl Fn(&mut Self, &mut Findings, NodeId, &[u8], &Record) -> Result<(), Malformed>,
    ) -> Result<(), Failure> {
        let ranges: Vec<_> = self
            .ranges
            .iter()
            .map(|(shard, range)| (*shard, *range))
            .collect();
        for (shard, (after, _)) in ranges {
            let lower = after.map(|after| NodeId::new(shard, after));
            let range = range(shard, lower);
            namespace.each_in((keyspace, range), findings.at, |key, found| {
                let (node, _) = spot_at(key.get(..12).unwrap_or_default(), 0)?;
                match self.covers(node) {
                    true => visit(self, findings, node, key, found),
                    false => Ok(()),
                }
            })?;
        }
        Ok(())
    }

    /// Notes an entry; returns the branch that it leads to.
    fn entry(
        &mut self,
        key: &[u8],
        found: &Record,
        findings: &mut Findings,
    ) -> Result<Option<(EntryAt, BranchId)>, Malformed> {
        let (directory, _) = spot_at(key.get(..12).unwrap_or_default(), 0)?;
        let record = EntryRecord::decode(&found.value)?;
        let name = EntryRecord::name(key)?;
        let entry = EntryAt { directory, name };
        let inside = self.covers(directory);
        if inside {
            findings.report.entries += 1;
            let entries = self.directories.entry(directory).or_default();
            entries.count += 1;
            entries.subdirectories += i64::from(record.is_directory());
            let lives = self.nodes.get(&directory).is_some_and(Seen::is_directory);
            if !lives && !self.orphans.contains(&directory) {
                self.lost.insert(directory);
            }
        }
        if record.branch != TRUNK {
            return Ok(inside.then_some((entry, record.branch)));
        }
        if self.covers(record.node) {
            match self.nodes.get_mut(&record.node) {
                None => self.dangling.push((entry, record.node, record.kind)),
                Some(seen) if seen.kind != record.kind => {
                    let message = format!("{entry} says another kind than node {}", record.node);
                    let action = RepairAction::Kind(entry.clone());
                    findings.problem(ProblemKind::DanglingEntry, message, Some(action));
                    seen.named(entry);
                }
                Some(seen) => seen.named(entry),
            }
        }
        Ok(None)
    }

    /// An entry of the slice leads to a branch.
    fn hangs(
        &self,
        namespace: &Namespace,
        entry: EntryAt,
        id: BranchId,
        findings: &mut Findings,
    ) -> Result<(), Failure> {
        let key = branch::key(id);
        let found = namespace
            .engine()
            .get(key.keyspace(), key.bytes(), findings.at);
        if found.map_err(crate::failure::from_engine)?.is_none() {
            let message = format!("{entry} leads to branch {id}, which does not exist");
            let action = RepairAction::Unname(entry);
            findings.problem(ProblemKind::WrongBranch, message, Some(action));
        }
        Ok(())
    }

    fn counter(&mut self, directory: NodeId, counter: &Counter, findings: &mut Findings) {
        let stored = Entries {
            count: counter.sum(counter::ENTRIES),
            subdirectories: counter.sum(counter::SUBDIRECTORIES),
        };
        let counted = self.directories.remove(&directory).unwrap_or_default();
        // The counter of a directory that is being taken apart stays as it was.
        if self.orphans.contains(&directory) {
            return;
        }
        if !self.nodes.contains_key(&directory) && !self.lost.contains(&directory) {
            let message = format!("counter of no directory {directory}");
            let action = RepairAction::DropCount(directory);
            findings.problem(ProblemKind::WrongCount, message, Some(action));
        } else if stored != counted {
            miscounted(directory, &stored, &counted, findings);
        }
    }
}

/// The counter of a directory is not what its entries say.
pub(super) fn miscounted(
    directory: NodeId,
    stored: &Entries,
    counted: &Entries,
    findings: &mut Findings,
) {
    let message = format!(
        "directory {directory} counts {} entries, {} of them directories, has {} and {}",
        stored.count, stored.subdirectories, counted.count, counted.subdirectories
    );
    let action = RepairAction::Count {
        directory,
        branch: TRUNK,
        entries: counted.count - stored.count,
        subdirectories: counted.subdirectories - stored.subdirectories,
    };
    findings.problem(ProblemKind::WrongCount, message, Some(action));
}

impl Seen {
    fn of(record: &NodeRecord) -> Self {
        let place = record.place.clone();
        Self {
            kind: record.kind,
            links: record.links,
            home: record.home,
            place: place.map(|place| EntryAt {
                directory: place.parent,
                name: place.name,
            }),
            xattrs: record.xattrs,
            xattrs_found: 0,
            entries: 0,
            confirmed: false,
            others: Vec::new(),
            names: BTreeMap::new(),
            names_right: 0,
            names_wrong: false,
        }
    }

    pub(super) fn is_directory(&self) -> bool {
        self.kind == NodeKind::Directory
    }

    /// An entry leads here.
    fn named(&mut self, entry: EntryAt) {
        self.entries += 1;
        let says = match &self.place {
            Some(place) => *place == entry,
            None => !self.is_directory() && self.home == Some(entry.directory),
        };
        if !self.is_directory() && (self.links > 1 || self.entries > 1 || !says) {
            // The first one was counted by what the record says of it alone.
            if self.names.is_empty() && self.confirmed && self.entries > 1 {
                self.names.extend(self.home.map(|home| (home, 1)));
            }
            *self.names.entry(entry.directory).or_default() += 1;
        }
        self.confirmed |= says;
        if !says && self.is_directory() {
            self.others.push(entry);
        }
    }
}

/// What belongs to the nodes of the trunk in a shard after one.
fn range(shard: ShardId, after: Option<NodeId>) -> KeyRange {
    let prefix = branch_prefix(shard, TRUNK);
    let next = after.map(|after| NodeId::from_u64(after.as_u64().saturating_add(1)));
    match (next, prefix_end(&prefix)) {
        (Some(next), Some(end)) if next.shard() == shard => {
            KeyRange::between(node_and_branch(next, TRUNK), end)
        }
        (Some(_), _) => KeyRange::between(prefix, prefix),
        (None, _) => KeyRange::prefix(prefix),
    }
}

fn left_over(findings: &mut Findings, kind: ProblemKind, what: &str, node: NodeId) {
    let message = format!("node {node} does not exist and has {what}");
    let action = Some(RepairAction::DropLeftovers(node));
    let same = |problem: &crate::Problem| problem.message == message;
    if !findings.report.problems.last().is_some_and(same) {
        findings.problem(kind, message, action);
    }
}
