//! What counts against quotas: only where there are some.

use super::Findings;
use crate::plan::size_of;
use crate::records::orphan::{self, OrphanRecord};
use crate::records::quota::{self, BYTES, INODES, Phase, QuotaRecord};
use crate::records::{ENTRY, EntryRecord, NODE, NodeRecord, QUOTA_USAGE, branch_prefix, spot_at};
use crate::spot::Spot;
use crate::{Namespace, ProblemKind, RepairAction};
use nokv_engine::KeyRange;
use nokv_shard::Counter;
use nokv_types::{BranchId, Failure, NodeId};
use rustc_hash::FxHashMap;

const TRUNK: BranchId = BranchId::TRUNK;

/// Bytes and names.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Usage {
    bytes: i64,
    inodes: i64,
}

/// Where directories are, what they hold themselves, and the quotas.
#[derive(Default)]
struct Tree {
    /// `None` for a root.
    parents: FxHashMap<NodeId, Option<NodeId>>,
    held: FxHashMap<NodeId, Usage>,
    orphans: FxHashMap<NodeId, Vec<(NodeId, u64)>>,
    quotas: FxHashMap<NodeId, (QuotaRecord, Usage)>,
}

impl Namespace {
    pub(super) fn check_quotas(&self, findings: &mut Findings) -> Result<(), Failure> {
        let at = findings.at;
        let mut tree = Tree::default();
        self.each(quota::KEYSPACE, at, |key, found| {
            let (directory, branch) = spot_at(key, 0)?;
            if branch == TRUNK {
                let record = QuotaRecord::decode(&found.value)?;
                tree.quotas.insert(directory, (record, Usage::default()));
            }
            Ok(())
        })?;
        if !tree.quotas.is_empty() {
            self.read_tree(findings, &mut tree)?;
            tree.add_up();
        }
        self.each(QUOTA_USAGE, at, |key, found| {
            let (directory, branch) = spot_at(key, 0)?;
            let stored = Counter::decode(&found.value)?;
            if branch == TRUNK {
                tree.compare(directory, &stored, findings);
            }
            Ok(())
        })?;
        for (directory, (record, counted)) in tree.quotas {
            if record.phase == Phase::Counted && counted != Usage::default() {
                miscounted(directory, Usage::default(), counted, findings);
            }
        }
        Ok(())
    }

    fn read_tree(&self, findings: &Findings, tree: &mut Tree) -> Result<(), Failure> {
        let at = findings.at;
        self.each(orphan::KEYSPACE, at, |key, found| {
            let (directory, branch) = orphan::directory(key)?;
            if branch == TRUNK {
                let record = OrphanRecord::decode(&found.value)?;
                tree.orphans.insert(directory, record.quotas);
            }
            Ok(())
        })?;
        let reader = crate::reader::Reader {
            at,
            moves: None,
            ..self.newest_reader()
        };
        let mut failed = None;
        for shard in self.shards_at(at)? {
            let range = || KeyRange::prefix(branch_prefix(shard, TRUNK));
            self.each_in((NODE, range()), at, |key, found| {
                let record = NodeRecord::decode(&found.value)?;
                if record.is_directory() {
                    let parent = record.place.map(|place| place.parent);
                    tree.parents.insert(spot_at(key, 0)?.0, parent);
                }
                Ok(())
            })?;
            self.each_in((ENTRY, range()), at, |key, found| {
                let (directory, _) = spot_at(key.get(..12).unwrap_or_default(), 0)?;
                let record = EntryRecord::decode(&found.value)?;
                let held = tree.held.entry(directory).or_default();
                held.inodes += 1;
                if record.branch == TRUNK && !record.is_directory() {
                    match reader.node_record(Spot::trunk(record.node, at)) {
                        Ok(found) => {
                            let size = found.map_or(0, |found| size_of(&found.record));
                            held.bytes += i64::try_from(size).unwrap_or(i64::MAX);
                        }
                        Err(failure) => failed = Some(failure),
                    }
                }
                Ok(())
            })?;
        }
        failed.map_or(Ok(()), Err)
    }
}

impl Tree {
    /// Adds up what every quota counts.
    fn add_up(&mut self) {
        for (directory, held) in &self.held {
            let mut current = *directory;
            // A circle is another part's finding; here it must only end.
            for _ in 0..=self.parents.len() + 1 {
                match self.parents.get(&current) {
                    None => {
                        for (quota, id) in self.orphans.get(&current).into_iter().flatten() {
                            if let Some((record, usage)) = self.quotas.get_mut(quota)
                                && record.id == *id
                            {
                                usage.add(*held);
                            }
                        }
                        break;
                    }
                    Some(parent) => {
                        if let Some((_, usage)) = self.quotas.get_mut(&current) {
                            usage.add(*held);
                        }
                        match parent {
                            Some(parent) => current = *parent,
                            None => break,
                        }
                    }
                }
            }
        }
    }

    fn compare(&mut self, directory: NodeId, counter: &Counter, findings: &mut Findings) {
        let counted = match self.quotas.remove(&directory) {
            None => {
                let message = format!("usage of no quota at directory {directory}");
                let action = RepairAction::DropUsage(directory);
                return findings.problem(ProblemKind::WrongQuota, message, Some(action));
            }
            Some((record, _)) if record.phase == Phase::Counting => return,
            Some((_, counted)) => counted,
        };
        let stored = Usage {
            bytes: counter.sum(BYTES),
            inodes: counter.sum(INODES),
        };
        if stored != counted {
            miscounted(directory, stored, counted, findings);
        }
    }
}

fn miscounted(directory: NodeId, stored: Usage, counted: Usage, findings: &mut Findings) {
    let message = format!(
        "the quota of directory {directory} counts {} bytes and {} names, has {} and {}",
        stored.bytes, stored.inodes, counted.bytes, counted.inodes
    );
    let action = RepairAction::Usage {
        directory,
        bytes: counted.bytes.saturating_sub(stored.bytes),
        inodes: counted.inodes.saturating_sub(stored.inodes),
    };
    findings.problem(ProblemKind::WrongQuota, message, Some(action));
}

impl Usage {
    fn add(&mut self, other: Self) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.inodes = self.inodes.saturating_add(other.inodes);
    }
}
