//! Verbs on nodes: making, changing, and taking a name away.

use super::state::{Plan, PlannedNode};
use crate::failure::{contradiction, invalid};
use crate::records::event::EventKind;
use crate::records::{DirectoryPlace, EntryRecord, NodeRecord, counter, xattr};
use nokv_shard::{Check, Write};
use nokv_types::{Failure, Name, NodeId, NodeKind, Reason};

/// Mode of parents that are made on the way.
pub(crate) const PARENT_MODE: u32 = 0o755;
const MODE_MAX: u32 = 0o7777;

impl Plan<'_> {
    /// A fresh record of this kind with the context's owner and time.
    pub(crate) fn fresh_record(&self, kind: NodeKind, mode: u32) -> Result<NodeRecord, Failure> {
        let context = self.context;
        check_mode(mode)?;
        Ok(NodeRecord::new(
            kind,
            mode,
            context.uid,
            context.gid,
            context.now,
        ))
    }

    /// An id for a new node, near its directory's other children.
    pub(crate) fn fresh_id(&self, directory: NodeId) -> Result<NodeId, Failure> {
        self.ids.node(self.shard, directory)
    }

    /// Gives a fresh record an id and a name. The name must be free.
    pub(crate) fn add_node(
        &mut self,
        directory: NodeId,
        name: &Name,
        record: NodeRecord,
    ) -> Result<NodeId, Failure> {
        let node = self.fresh_id(directory)?;
        self.add_node_as(node, directory, name, record)?;
        Ok(node)
    }

    /// The same with an id that [`Self::fresh_id`] gave.
    pub(crate) fn add_node_as(
        &mut self,
        node: NodeId,
        directory: NodeId,
        name: &Name,
        mut record: NodeRecord,
    ) -> Result<(), Failure> {
        if record.is_directory() {
            record.place = Some(DirectoryPlace {
                parent: directory,
                name: name.clone(),
            });
        }
        let entry = EntryRecord {
            kind: record.kind,
            branch: self.reader.branch,
            node,
        };
        self.set_entry(directory, name, Some(entry))?;
        self.announce(
            EventKind::Created,
            node,
            &record,
            None,
            Some((directory, name.clone())),
        );
        self.nodes.insert(
            node,
            PlannedNode {
                record: Some(record),
                dirty: true,
                fresh: true,
            },
        );
        Ok(())
    }

    /// Makes a directory where the name is free.
    pub(crate) fn make_directory(
        &mut self,
        directory: NodeId,
        name: &Name,
        mode: u32,
    ) -> Result<NodeId, Failure> {
        let record = self.fresh_record(NodeKind::Directory, mode)?;
        self.add_node(directory, name, record)
    }

    /// The record of a node that exists, checked: the command fails if the node changes before.
    pub(crate) fn checked_node(&mut self, node: NodeId) -> Result<NodeRecord, Failure> {
        if !self.nodes.contains_key(&node) {
            let found = self.reader.node_record(node)?;
            let record = found.ok_or_else(|| missing(node))?.record;
            let key = NodeRecord::key(node, self.reader.branch);
            self.checks.push(Check::UnchangedSince(key, self.reader.at));
            let planned = PlannedNode {
                record: Some(record),
                dirty: false,
                fresh: false,
            };
            self.nodes.insert(node, planned);
        }
        let planned = self
            .nodes
            .get(&node)
            .and_then(|planned| planned.record.clone());
        planned.ok_or_else(|| missing(node))
    }

    /// Changes the record of a node that was read checked.
    pub(crate) fn put_node(&mut self, node: NodeId, record: NodeRecord) {
        let planned = self
            .nodes
            .get_mut(&node)
            .expect("a node is read checked before it is changed");
        planned.record = Some(record);
        planned.dirty = true;
    }

    /// The node that an entry leads to, checked.
    pub(crate) fn checked_child(&mut self, entry: &EntryRecord) -> Result<NodeRecord, Failure> {
        self.checked_node(entry.node)
            .map_err(|failure| match failure.reason() {
                Reason::NotFound => contradiction(format!(
                    "an entry leads to node {}, which does not exist",
                    entry.node
                )),
                _ => failure,
            })
    }

    /// Takes one name of a node away; with the last one the node goes, and its body is put to
    /// death. A directory must be empty when the command is applied. The entry itself is the
    /// caller's.
    pub(crate) fn release(&mut self, entry: &EntryRecord) -> Result<NodeRecord, Failure> {
        let mut record = self.checked_child(entry)?;
        if record.is_directory() {
            self.removes_directory = true;
            let key = counter::key(entry.node, self.reader.branch);
            self.checks
                .push(Check::AtMost(key.clone(), counter::ENTRIES, 0));
            self.writes.push(Write::Delete(key));
            self.drop_node(entry.node)?;
        } else if record.links > 1 {
            record.links -= 1;
            record.ctime = self.context.now;
            self.put_node(entry.node, record.clone());
        } else {
            self.bury(entry.node, &record);
            self.drop_node(entry.node)?;
        }
        Ok(record)
    }

    /// Deletes the record of a node that was read checked, and its extended attributes. Their names
    /// can't change before the command is applied: that would change the node.
    pub(crate) fn drop_node(&mut self, node: NodeId) -> Result<(), Failure> {
        let planned = self
            .nodes
            .get_mut(&node)
            .expect("a node is read checked before it goes");
        planned.dirty = true;
        let record = planned.record.take();
        if record.is_some_and(|record| record.xattrs > 0) {
            for name in self.reader.xattr_names(node)? {
                let key = xattr::key(node, self.reader.branch, &name);
                self.writes.push(Write::Delete(key));
            }
        }
        Ok(())
    }

    /// Whether `node` is `directory` or one of its ancestors. The answer holds as long as no
    /// directory moves, which the command checks.
    pub(crate) fn contains(&mut self, node: NodeId, directory: NodeId) -> Result<bool, Failure> {
        self.rests_on(super::Topology::Rests);
        let mut current = directory;
        for _ in 0..ANCESTORS_MAX {
            if current == node {
                return Ok(true);
            }
            match crate::walk::Source::parent(self, current)? {
                None => return Ok(false),
                Some(parent) => current = parent,
            }
        }
        Err(contradiction(format!(
            "the ancestors of directory {directory} do not end"
        )))
    }
}

/// Most ancestors that are followed: far above what paths of 4,096 bytes can name, but node-level
/// renames can build deeper trees.
const ANCESTORS_MAX: usize = 1 << 20;

/// Refuses a mode with other than permission bits.
pub(crate) fn check_mode(mode: u32) -> Result<(), Failure> {
    if mode > MODE_MAX {
        return Err(invalid(format!(
            "mode {mode:o} has other than permission bits; use at most 7777"
        )));
    }
    Ok(())
}

fn missing(node: NodeId) -> Failure {
    Failure::new(Reason::NotFound, format!("node {node} does not exist"))
}
