//! Part of the consistency check: which directories hold the names of a node, and what counts
//! against quotas.

use crate::ProblemKind;
use crate::records::quota::{Phase, QuotaRecord};
use crate::{QuotaUsage, records};
use nokv_shard::Counter;
use nokv_types::{BranchId, NodeId};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

type Spot = (NodeId, BranchId);

/// What entries say of names and sizes.
#[derive(Default)]
pub(super) struct NamesSeen {
    /// For nodes with several names: how many each directory holds.
    several: FxHashMap<Spot, BTreeMap<NodeId, i64>>,
    /// What each directory of the trunk holds itself.
    held: FxHashMap<NodeId, QuotaUsage>,
    quotas: FxHashMap<NodeId, (QuotaRecord, QuotaUsage)>,
}

/// A flaw, to be told.
pub(super) type Flaw = (ProblemKind, String);

impl NamesSeen {
    /// An entry of a directory that leads to a node with `links` names.
    pub(super) fn entry(&mut self, at: Spot, node: Spot, links: u32, size: u64) {
        if at.1 == BranchId::TRUNK {
            let held = self.held.entry(at.0).or_default();
            held.bytes = held.bytes.saturating_add(size);
            held.inodes += 1;
        }
        if links > 1 {
            let names = self.several.entry(node).or_default();
            *names.entry(at.0).or_default() += 1;
        }
    }

    /// A record of family `names`.
    pub(super) fn names(&mut self, node: Spot, directory: NodeId, count: u32) -> Option<Flaw> {
        let seen = self
            .several
            .get_mut(&node)
            .and_then(|names| names.remove(&directory));
        let seen = seen.unwrap_or(0);
        (seen != i64::from(count)).then(|| {
            let message = format!(
                "node {} counts {count} names in directory {directory}, has {seen}",
                node.0
            );
            (ProblemKind::WrongLinks, message)
        })
    }

    pub(super) fn quota(&mut self, directory: Spot, record: QuotaRecord) {
        if directory.1 == BranchId::TRUNK {
            let none = QuotaUsage::default();
            self.quotas.insert(directory.0, (record, none));
        }
    }

    /// What was not confirmed.
    pub(super) fn leftovers(&mut self) -> Vec<Flaw> {
        let mut flaws = Vec::new();
        for ((node, _), names) in std::mem::take(&mut self.several) {
            if !names.is_empty() {
                let message = format!("node {node} does not know its names in {:?}", names.keys());
                flaws.push((ProblemKind::WrongLinks, message));
            }
        }
        for (directory, (record, counted)) in std::mem::take(&mut self.quotas) {
            if record.phase == Phase::Counted && counted != QuotaUsage::default() {
                let message =
                    format!("the quota of directory {directory} counts nothing, has {counted:?}");
                flaws.push((ProblemKind::WrongQuota, message));
            }
        }
        flaws
    }

    /// Adds up what every quota counts: `above` is the directory above one, `orphan` what a removed
    /// one counts against.
    pub(super) fn recount(
        &mut self,
        above: impl Fn(NodeId) -> Option<Option<NodeId>>,
        orphan: impl Fn(NodeId) -> Vec<(NodeId, u64)>,
    ) {
        if self.quotas.is_empty() {
            return;
        }
        for (directory, held) in &self.held {
            let mut current = *directory;
            // A cycle is another part's finding; here it must only end.
            for _ in 0..=self.held.len() + 1 {
                match above(current) {
                    None => {
                        for (quota, id) in orphan(current) {
                            if let Some((record, usage)) = self.quotas.get_mut(&quota)
                                && record.id == id
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
                            Some(parent) => current = parent,
                            None => break,
                        }
                    }
                }
            }
        }
    }

    /// What the counters of a quota say.
    pub(super) fn usage(&mut self, directory: NodeId, counter: &Counter) -> Option<Flaw> {
        let stored = QuotaUsage::of(counter);
        let counted = match self.quotas.remove(&directory) {
            None => {
                let message = format!("usage of no quota at directory {directory}");
                return Some((ProblemKind::WrongQuota, message));
            }
            Some((record, _)) if record.phase == Phase::Counting => return None,
            Some((_, counted)) => counted,
        };
        let negative = [records::quota::BYTES, records::quota::INODES]
            .iter()
            .any(|slot| counter.sum(*slot) < 0);
        (stored != counted || negative).then(|| {
            let message =
                format!("the quota of directory {directory} counts {stored:?}, has {counted:?}");
            (ProblemKind::WrongQuota, message)
        })
    }
}

impl QuotaUsage {
    fn add(&mut self, other: Self) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.inodes = self.inodes.saturating_add(other.inodes);
    }
}
