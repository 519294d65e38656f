//! Verbs on nodes: making, changing, and taking a name away.

use super::branches::BranchEnd;
use super::charges::Before;
use super::state::{Plan, PlannedNode, Topology};
use crate::failure::{contradiction, invalid};
use crate::records::event::EventKind;
use crate::records::{DirectoryPlace, NodeRecord, orphan, stored_value, whiteout, xattr};
use crate::spot::{Child, Met, Spot};
use bytes::Bytes;
use nokv_shard::{Key, Write};
use nokv_types::{BranchId, Failure, Name, NodeId, NodeKind, Reason};
use std::collections::BTreeMap;

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

    /// An id for a new node that is no directory, near its directory's other children.
    pub(crate) fn fresh_id(&self, directory: Spot) -> Result<NodeId, Failure> {
        let shard = directory.node.shard();
        self.ids.node(self.shard, directory.node, shard)
    }

    /// Gives a fresh record an id and a name. The name must be free.
    pub(crate) fn add_node(
        &mut self,
        directory: Spot,
        name: &Name,
        record: NodeRecord,
    ) -> Result<Spot, Failure> {
        let mut record = record;
        let shard = self.place_node(directory, name, &mut record)?;
        let spot = directory.with_node(self.ids.node(self.shard, directory.node, shard)?);
        self.add_node_as(spot, directory, name, record)?;
        Ok(spot)
    }

    /// The same with an id that [`Self::fresh_id`] gave.
    pub(crate) fn add_node_as(
        &mut self,
        spot: Spot,
        directory: Spot,
        name: &Name,
        record: NodeRecord,
    ) -> Result<(), Failure> {
        let at = Some((directory, name.clone()));
        self.hang_node(spot, directory, name, record.clone())?;
        self.announce(EventKind::Created, spot, &record, None, at);
        Ok(())
    }

    /// The same, announced to nobody.
    pub(crate) fn hang_node(
        &mut self,
        spot: Spot,
        directory: Spot,
        name: &Name,
        mut record: NodeRecord,
    ) -> Result<(), Failure> {
        if record.is_directory() {
            record.place = Some(DirectoryPlace {
                parent: directory.node,
                name: name.clone(),
            });
        }
        let entry = Child {
            kind: record.kind,
            spot,
        };
        self.set_entry(directory, name, Some(entry))?;
        self.insert_fresh(spot, record);
        Ok(())
    }

    /// Takes in a node that nobody else can know.
    pub(super) fn insert_fresh(&mut self, spot: Spot, record: NodeRecord) {
        let planned = PlannedNode {
            is_directory: record.is_directory(),
            record: Some(record),
            dirty: true,
            fresh: true,
            before: None,
        };
        self.nodes.insert(spot, planned);
    }

    /// Makes a directory where the name is free.
    pub(crate) fn make_directory(
        &mut self,
        directory: Spot,
        name: &Name,
        mode: u32,
    ) -> Result<Spot, Failure> {
        let record = self.fresh_record(NodeKind::Directory, mode)?;
        self.add_node(directory, name, record)
    }

    /// The record of a node that exists, checked: the command fails if the node changes before.
    pub(crate) fn checked_node(&mut self, spot: Spot) -> Result<NodeRecord, Failure> {
        if !self.nodes.contains_key(&spot) {
            let looked = self.reader.look_node(spot)?;
            let record = looked.found.ok_or_else(|| missing(spot.node))?.record;
            self.rests_on_branch(spot);
            self.unchanged(spot, NodeRecord::key(spot.node, spot.branch), looked.own);
            let planned = PlannedNode {
                is_directory: record.is_directory(),
                before: Some(Before::of(&record)),
                record: Some(record),
                dirty: false,
                fresh: false,
            };
            self.nodes.insert(spot, planned);
        }
        let planned = self
            .nodes
            .get(&spot)
            .and_then(|planned| planned.record.clone());
        planned.ok_or_else(|| missing(spot.node))
    }

    /// Changes the record of a node that was read checked, and that can be written.
    pub(crate) fn put_node(&mut self, spot: Spot, record: NodeRecord) -> Result<(), Failure> {
        self.writable(spot)?;
        let planned = self
            .nodes
            .get_mut(&spot)
            .expect("a node is read checked before it is changed");
        planned.record = Some(record);
        planned.dirty = true;
        Ok(())
    }

    /// The node that an entry leads to, checked.
    pub(crate) fn checked_child(&mut self, child: &Child) -> Result<NodeRecord, Failure> {
        self.checked_node(child.spot)
            .map_err(|failure| match failure.reason() {
                Reason::NotFound => contradiction(format!(
                    "an entry leads to node {}, which does not exist",
                    child.node()
                )),
                _ => failure,
            })
    }

    /// Takes one name of a node away; with the last one the node goes, and its body is put to
    /// death, unless somebody has it open: then it stays without a name. A directory must be empty
    /// when the command is applied. The entry itself is the caller's.
    pub(crate) fn release(
        &mut self,
        directory: Spot,
        child: &Child,
    ) -> Result<NodeRecord, Failure> {
        let mut record = self.checked_child(child)?;
        if child.is_branch_root(&directory) {
            self.unhang(child, BranchEnd::Empty)?;
        } else if record.is_directory() {
            self.drop_emptied(child.spot)?;
        } else if record.links > 1 {
            record.links -= 1;
            record.ctime = self.context.now;
            self.put_node(child.spot, record.clone())?;
        } else {
            record.links = 0;
            self.lose_last_name(child.spot, &mut record)?;
        }
        Ok(record)
    }

    /// Deletes a directory that was read checked and that must be empty when the command is
    /// applied.
    pub(crate) fn drop_emptied(&mut self, directory: Spot) -> Result<(), Failure> {
        self.removes_directory = true;
        self.emptied.insert(directory);
        self.drop_node(directory)
    }

    /// Makes a node under an id that it has elsewhere. Its names are the caller's.
    pub(crate) fn make_node(&mut self, spot: Spot, record: NodeRecord) -> Result<(), Failure> {
        self.writable(spot)?;
        let own = self.reader.look_node(spot)?.own;
        self.unchanged(spot, NodeRecord::key(spot.node, spot.branch), own);
        if record.is_directory() {
            // An empty directory that was removed as a tree is to be taken apart no more.
            let key = orphan::key(spot.node, spot.branch);
            self.writes.push(Write::Delete(key));
        }
        let planned = PlannedNode {
            is_directory: record.is_directory(),
            before: None,
            record: Some(record),
            dirty: true,
            fresh: false,
        };
        self.nodes.insert(spot, planned);
        Ok(())
    }

    /// Takes the one name of a directory away, with all that is below: it is out of sight at once,
    /// and taken apart in the background. The entry itself is the caller's.
    pub(crate) fn release_tree(
        &mut self,
        directory: Spot,
        child: &Child,
    ) -> Result<NodeRecord, Failure> {
        let record = self.checked_child(child)?;
        if child.is_branch_root(&directory) {
            self.unhang(child, BranchEnd::Whole)?;
            return Ok(record);
        }
        self.drop_node(child.spot)?;
        self.leave_orphan(child.spot, directory);
        Ok(record)
    }

    /// Takes the root of a branch from a directory of another. If it is live this ends the branch;
    /// one that was met through an inherited entry lives on where it hangs.
    pub(crate) fn unhang(&mut self, root: &Child, end: BranchEnd) -> Result<(), Failure> {
        match root.spot.met {
            Met::Live => self.end_branch(root.spot.branch, end),
            Met::Through => Ok(()),
        }
    }

    /// Deletes the record of a node that was read checked, and its extended attributes. Their names
    /// can't change before the command is applied: that would change the node.
    pub(crate) fn drop_node(&mut self, spot: Spot) -> Result<(), Failure> {
        self.writable(spot)?;
        let planned = self
            .nodes
            .get_mut(&spot)
            .expect("a node is read checked before it goes");
        planned.dirty = true;
        let record = planned.record.take();
        if record.is_some_and(|record| record.xattrs > 0) {
            for name in self.reader.xattr_names(spot)? {
                self.erase(spot, |branch| xattr::key(spot.node, branch, &name))?;
            }
        }
        Ok(())
    }

    /// Whether the plan has looked at a node, or taken it away.
    pub(crate) fn is_planned(&self, spot: Spot) -> bool {
        self.nodes.contains_key(&spot)
    }

    /// Gives a node these extended attributes instead of those; how many they are.
    pub(crate) fn write_xattrs(
        &mut self,
        spot: Spot,
        wanted: &BTreeMap<Bytes, Bytes>,
        present: &BTreeMap<Bytes, Bytes>,
    ) -> Result<u32, Failure> {
        for name in present.keys().filter(|name| !wanted.contains_key(*name)) {
            self.erase(spot, |branch| xattr::key(spot.node, branch, name))?;
        }
        for (name, value) in wanted {
            if present.get(name) != Some(value) {
                let key = xattr::key(spot.node, spot.branch, name);
                let value = stored_value(spot.branch, value);
                self.writes.push(Write::Put(key, value));
            }
        }
        Ok(u32::try_from(wanted.len()).unwrap_or(u32::MAX))
    }

    /// Deletes what a spot has under a key, so that nothing is seen there any more.
    pub(crate) fn erase(
        &mut self,
        spot: Spot,
        key: impl Fn(BranchId) -> Key,
    ) -> Result<(), Failure> {
        let own = key(spot.branch);
        let write = match self.reader.inherits(spot, key)? {
            true => Write::Put(own, whiteout()),
            false => Write::Delete(own),
        };
        self.writes.push(write);
        Ok(())
    }

    /// Whether `node` is `directory` or one of its ancestors. The answer holds as long as no
    /// directory moves, which the command checks.
    pub(crate) fn contains(&mut self, node: Spot, directory: Spot) -> Result<bool, Failure> {
        self.rests_on(Topology::Rests);
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
            "the ancestors of directory {} do not end",
            directory.node
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
