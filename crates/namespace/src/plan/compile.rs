//! From a plan to its command.

use super::state::{DirectoryChange, Plan};
use crate::plant::{Plant, is_planted};
use crate::records::event::Events;
use crate::records::{EntryRecord, NodeRecord, branch, counter};
use crate::spot::Child;
use bytes::Bytes;
use nokv_shard::{Add, Change, Check, Command, Key, Request, Slot, Write};
use nokv_types::{BranchId, Failure, TimeNanos};
use smallvec::SmallVec;
use std::collections::BTreeSet;

impl Plan<'_> {
    /// Whether the operation changes nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.writes.is_empty()
            && self.directories.is_empty()
            && self.references.is_empty()
            && self.quota_adds.is_empty()
            && !self.nodes.values().any(|node| node.dirty)
            && !self.entries.values().any(|entry| entry.dirty)
    }

    /// The command. Fails as reads fail.
    pub(crate) fn compile(
        mut self,
        request: Option<Request>,
        answer: Bytes,
    ) -> Result<Command, Failure> {
        let changed = self.changed_branches();
        self.check_topology()?;
        self.write_nodes()?;
        self.write_entries()?;
        let mut adds = self.adds()?;
        adds.append(&mut self.quota_adds);
        for branch in &self.branches {
            let key = branch::key(*branch);
            self.checks.push(Check::UnchangedSince(key, self.reader.at));
        }
        for branch in changed {
            let key = branch::changes_key(branch);
            adds.push(Add::one(key, branch::CHANGES, Change::Sum(1)));
        }
        if is_planted(Plant::SkipChecks) {
            self.checks.clear();
        }
        let events = Events {
            mount: self.context.mount,
            events: self.events,
        }
        .encode();
        Ok(Command {
            request,
            checks: self.checks,
            writes: self.writes,
            adds,
            events,
            answer,
        })
    }

    /// The branches that the command writes records of. Those that it ends are not among them:
    /// nobody asks any more.
    fn changed_branches(&self) -> BTreeSet<BranchId> {
        let nodes = self.nodes.iter().filter(|(_, node)| node.dirty);
        let entries = self.entries.iter().filter(|(_, entry)| entry.dirty);
        nodes
            .map(|(spot, _)| spot.branch)
            .chain(entries.map(|((directory, _), _)| directory.branch))
            .chain(self.directories.keys().map(|directory| directory.branch))
            .filter(|branch| *branch != BranchId::TRUNK && !self.ended.contains(branch))
            .collect()
    }

    fn write_nodes(&mut self) -> Result<(), Failure> {
        self.writes
            .reserve(self.nodes.len() + self.entries.len() + 1);
        for (spot, planned) in std::mem::take(&mut self.nodes) {
            let key = NodeRecord::key(spot.node, spot.branch);
            match planned.record {
                _ if !planned.dirty => {}
                Some(record) => self.write(Write::Put(key, record.encode())),
                None if planned.fresh => {}
                None => self.erase(spot, |branch| NodeRecord::key(spot.node, branch))?,
            }
        }
        Ok(())
    }

    fn write_entries(&mut self) -> Result<(), Failure> {
        for ((directory, name), planned) in std::mem::take(&mut self.entries) {
            let node = directory.node;
            let key = EntryRecord::key(node, directory.branch, &name);
            match planned.now {
                _ if !planned.dirty => {}
                Some(Child { kind, spot }) => {
                    let (branch, node) = (spot.branch, spot.node);
                    let record = EntryRecord { kind, branch, node };
                    self.write(Write::Put(key, record.encode()));
                }
                // Made and taken away by the same plan.
                None if !planned.own && directory.is_trunk() => {}
                None => self.erase(directory, |branch| EntryRecord::key(node, branch, &name))?,
            }
        }
        Ok(())
    }

    fn adds(&mut self) -> Result<Vec<Add>, Failure> {
        let now = self.context.now;
        let mut adds = Vec::with_capacity(self.directories.len() + self.references.len());
        let emptied = std::mem::take(&mut self.emptied);
        for directory in &emptied {
            let key = counter::key(directory.node, directory.branch);
            let inherited = self
                .reader
                .inherited_counter(*directory)?
                .sum(counter::ENTRIES);
            let planned = self
                .directories
                .remove(directory)
                .unwrap_or_default()
                .entries;
            let own_max = -(inherited.saturating_add(planned));
            self.checks
                .push(Check::AtMost(key.clone(), counter::ENTRIES, own_max));
            self.write(Write::Delete(key));
        }
        for (directory, change) in std::mem::take(&mut self.directories) {
            let key = counter::key(directory.node, directory.branch);
            adds.push(change.into_add(key, now));
        }
        let references = std::mem::take(&mut self.references);
        adds.extend(references.into_iter().map(|(block, used)| used.add(block)));
        Ok(adds)
    }
}

impl DirectoryChange {
    fn into_add(self, key: Key, now: TimeNanos) -> Add {
        Add {
            key,
            changes: self.changes(now),
            at_zero: None,
        }
    }

    pub(super) fn changes(&self, now: TimeNanos) -> SmallVec<[(Slot, Change); 4]> {
        let mut changes = SmallVec::new();
        if self.entries != 0 {
            changes.push((counter::ENTRIES, Change::Sum(self.entries)));
        }
        if self.subdirectories != 0 {
            changes.push((counter::SUBDIRECTORIES, Change::Sum(self.subdirectories)));
        }
        // Set, not raised: as POSIX has it, the last change in log order decides, also after
        // somebody put a time of the future there.
        if let Some(mtime) = self.mtime.or(self.touched.then_some(now)) {
            changes.push((counter::MTIME, Change::Set(mtime.get())));
        }
        let ctime = self.ctime.unwrap_or(now);
        changes.push((counter::CTIME, Change::Set(ctime.get())));
        changes
    }
}
