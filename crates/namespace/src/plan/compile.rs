//! From a plan to its command.

use super::state::{DirectoryChange, Plan, Topology};
use crate::records::event::Events;
use crate::records::{EntryRecord, NodeRecord, counter, object, system};
use bytes::Bytes;
use nokv_shard::{Add, Change, Check, Command, Key, Request, Slot, Write};
use nokv_types::TimeNanos;
use smallvec::SmallVec;

impl Plan<'_> {
    /// Whether the operation changes nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.writes.is_empty()
            && self.directories.is_empty()
            && self.references.is_empty()
            && !self.nodes.values().any(|node| node.dirty)
            && !self.entries.values().any(|entry| entry.dirty)
    }

    /// The command.
    pub(crate) fn compile(mut self, request: Option<Request>, answer: Bytes) -> Command {
        let (branch, now) = (self.reader.branch, self.context.now);
        let mut writes = std::mem::take(&mut self.writes);
        let mut checks = std::mem::take(&mut self.checks);
        writes.reserve(self.nodes.len() + self.entries.len() + 1);
        for (node, planned) in std::mem::take(&mut self.nodes) {
            let key = NodeRecord::key(node, branch);
            match planned.record {
                _ if !planned.dirty => {}
                Some(record) => writes.push(Write::Put(key, record.encode())),
                None if planned.fresh => {}
                None => writes.push(Write::Delete(key)),
            }
        }
        for ((directory, name), planned) in std::mem::take(&mut self.entries) {
            let key = EntryRecord::key(directory, branch, &name);
            match planned.now {
                _ if !planned.dirty => {}
                Some(entry) => writes.push(Write::Put(key, entry.encode())),
                None if !planned.existed => {}
                None => writes.push(Write::Delete(key)),
            }
        }
        let topology = system::topology(self.context.mount);
        if self.topology >= Topology::Rests {
            checks.push(Check::UnchangedSince(topology.clone(), self.reader.at));
        }
        if self.topology == Topology::Moves {
            writes.push(Write::Put(topology, system::encode(0)));
        }
        let mut adds = Vec::with_capacity(self.directories.len() + self.references.len());
        for (directory, change) in std::mem::take(&mut self.directories) {
            adds.push(change.into_add(counter::key(directory, branch), now));
        }
        for (block, count) in std::mem::take(&mut self.references) {
            adds.push(Add::one(
                object::key(block),
                object::REFERENCES,
                Change::Sum(count),
            ));
        }
        let events = Events {
            mount: self.context.mount,
            branch,
            events: self.events,
        }
        .encode();
        Command {
            request,
            checks,
            writes,
            adds,
            events,
            answer,
        }
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
        changes.push((counter::CTIME, Change::Set(now.get())));
        changes
    }
}
