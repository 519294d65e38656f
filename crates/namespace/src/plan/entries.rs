//! Verbs on entries: checked reads, setting, and the counters that go with them.

use super::state::{DirectoryChange, Plan, PlannedEntry, Topology};
use crate::Place;
use crate::records::event::{Event, EventKind};
use crate::records::{EntryRecord, NodeRecord};
use crate::spot::{Child, Met, Spot};
use crate::walk::{Walk, not_directory};
use nokv_shard::{Add, Check, Counter, Key, Write};
use nokv_types::{Failure, Name, NodeId, Reason};

impl Plan<'_> {
    /// The directory and name of a place, resting on the path to it.
    pub(crate) fn place(&mut self, place: Place<'_>) -> Result<(Spot, Name), Failure> {
        if matches!(place, Place::Path(path) if path.names().len() > 1) {
            self.rests_on(Topology::Rests);
        }
        let root = self.root;
        Walk::new(self, root).place(place)
    }

    /// An entry, checked: the command fails if it changes before.
    pub(crate) fn checked_entry(
        &mut self,
        directory: Spot,
        name: &Name,
    ) -> Result<Option<Child>, Failure> {
        let at = (directory, name.clone());
        if let Some(planned) = self.entries.get(&at) {
            return Ok(planned.now);
        }
        let mut own = false;
        let found = match self.nodes.get(&directory) {
            Some(planned) if planned.fresh => None,
            _ => {
                let looked = self.reader.look_entry(directory, name)?;
                self.rests_on_branch(directory);
                let key = EntryRecord::key(directory.node, directory.branch, name);
                self.unchanged(directory, key, looked.own);
                own = looked.own;
                looked.found.map(|found| found.record)
            }
        };
        let planned = PlannedEntry {
            now: found,
            own,
            dirty: false,
        };
        self.entries.insert(at, planned);
        Ok(found)
    }

    /// Demands that a directory is there when the command is applied.
    pub(crate) fn live_directory(&mut self, directory: Spot) -> Result<(), Failure> {
        if !self.live.insert(directory) {
            return Ok(());
        }
        match self.peek_node(directory)? {
            None => Err(gone(directory.node)),
            Some(found) if !found.record.is_directory() => {
                Err(not_directory(&format!("node {}", directory.node)))
            }
            // Made here, or looked at with a check that says more.
            Some(_) if self.nodes.contains_key(&directory) => Ok(()),
            Some(_) if directory.is_trunk() => {
                let key = NodeRecord::key(directory.node, directory.branch);
                self.checks.push(Check::Present(key));
                Ok(())
            }
            Some(_) => {
                let own = self.reader.look_node(directory)?.own;
                self.rests_on_branch(directory);
                let key = NodeRecord::key(directory.node, directory.branch);
                self.unchanged(directory, key, own);
                Ok(())
            }
        }
    }

    /// The check that what the top layer has under a key is as it was read. What lies below it is
    /// the past, which does not change.
    pub(super) fn unchanged(&mut self, spot: Spot, key: Key, own: bool) {
        if spot.met == Met::Live {
            self.checks.push(match own {
                false => Check::Absent(key),
                true => Check::UnchangedSince(key, self.reader.at),
            });
        }
    }

    /// Makes a name lead to `entry`, or to nothing. What it led to before is not touched: that is
    /// the caller's.
    pub(crate) fn set_entry(
        &mut self,
        directory: Spot,
        name: &Name,
        entry: Option<Child>,
    ) -> Result<(), Failure> {
        self.writable(directory)?;
        let before = self.checked_entry(directory, name)?;
        self.live_directory(directory)?;
        let count = |entry: &Option<Child>| {
            let directories = i64::from(entry.is_some_and(|entry| entry.is_directory()));
            (i64::from(entry.is_some()), directories)
        };
        let ((before_entries, before_directories), (entries, directories)) =
            (count(&before), count(&entry));
        let change = self.directory_change(directory);
        change.entries += entries - before_entries;
        change.subdirectories += directories - before_directories;
        change.touched = true;
        for (child, change) in [(before, -1), (entry, 1)] {
            if let Some(child) = child {
                self.note_name(child, directory, change);
            }
        }
        let planned = self
            .entries
            .get_mut(&(directory, name.clone()))
            .expect("the checked read above put it there");
        planned.now = entry;
        planned.dirty = true;
        Ok(())
    }

    /// Deletes an entry of a directory that is gone itself: no counter moves.
    pub(crate) fn erase_entry(&mut self, directory: Spot, name: &Name) -> Result<(), Failure> {
        if let Some(child) = self.checked_entry(directory, name)? {
            self.note_name(child, directory, -1);
        }
        let planned = self
            .entries
            .get_mut(&(directory, name.clone()))
            .expect("the checked read above put it there");
        planned.now = None;
        planned.dirty = true;
        Ok(())
    }

    /// What the plan adds to the counter of a directory.
    pub(crate) fn directory_change(&mut self, directory: Spot) -> &mut DirectoryChange {
        self.directories.entry(directory).or_default()
    }

    /// The counter of a directory with what the plan adds so far, as far as it can be known: others
    /// may add meanwhile.
    pub(crate) fn counter_after(&self, directory: Spot) -> Result<Counter, Failure> {
        let mut counter = self.reader.counter(directory)?;
        if let Some(change) = self.directories.get(&directory) {
            for (slot, change) in change.changes(self.context.now) {
                counter.change(slot, change);
            }
        }
        Ok(counter)
    }

    /// One more check.
    pub(crate) fn check(&mut self, check: Check) {
        self.checks.push(check);
    }

    /// One more addition to a counter that nothing else in the plan changes.
    pub(crate) fn add(&mut self, add: Add) {
        self.quota_adds.push(add);
    }

    /// One more write.
    pub(crate) fn write(&mut self, write: Write) {
        self.writes.push(write);
    }

    /// Announces what happened to a node.
    pub(crate) fn announce(
        &mut self,
        kind: EventKind,
        spot: Spot,
        record: &NodeRecord,
        from: Option<(Spot, Name)>,
        to: Option<(Spot, Name)>,
    ) {
        if let (None, Some((directory, name))) = (&from, &to) {
            self.keep_name(*directory, name);
        }
        let place = |place: Option<(Spot, Name)>| place.map(|(spot, name)| (spot.node, name));
        let branch = [&from, &to]
            .into_iter()
            .flatten()
            .next()
            .map_or(spot.branch, |(directory, _)| directory.branch);
        let (from, to) = (place(from), place(to));
        self.events.push(Event {
            branch,
            kind,
            node: spot.node,
            node_kind: record.kind,
            generation: record.generation,
            size: record.body.size,
            from,
            to,
            displaced: None,
        });
    }

    /// Puts an inherited entry among the branch's own records, as it is. A node record says nothing
    /// of the names of a file: this says under which name the branch changed it.
    fn keep_name(&mut self, directory: Spot, name: &Name) {
        if !directory.is_trunk()
            && let Some(planned) = self.entries.get_mut(&(directory, name.clone()))
        {
            planned.dirty |= !planned.own && planned.now.is_some();
        }
    }

    /// The last announced event.
    pub(crate) fn last_event(&mut self) -> Option<&mut Event> {
        self.events.last_mut()
    }
}

pub(crate) fn gone(directory: NodeId) -> Failure {
    Failure::new(
        Reason::NotFound,
        format!("directory {directory} does not exist any more"),
    )
}

pub(crate) fn taken(shown: &str) -> Failure {
    Failure::new(Reason::AlreadyExists, format!("{shown} exists already"))
}
