//! One of two trees that are compared: a directory, and what is below it.

use crate::reader::Reader;
use crate::records::NodeRecord;
use crate::spot::{Child, Spot};
use nokv_types::{BranchId, Failure, Name, NodeId, NsPath, PATH_COMPONENTS_MAX};
use rustc_hash::FxHashMap;

/// What a name leads to, for comparison: a node, or the root of another branch as a whole.
pub(super) type Identity = (NodeId, Option<BranchId>);

/// A tree.
pub(super) struct Side<'a> {
    pub(super) reader: Reader<'a>,
    pub(super) root: Spot,
    /// Where directories are; `None`: not in this tree.
    places: FxHashMap<NodeId, Option<NsPath>>,
}

impl<'a> Side<'a> {
    pub(super) fn new(reader: Reader<'a>, root: Spot) -> Self {
        let mut places = FxHashMap::default();
        places.insert(root.node, Some(NsPath::root()));
        Self {
            reader,
            root,
            places,
        }
    }

    pub(super) fn spot(&self, node: NodeId) -> Spot {
        self.root.with_node(node)
    }

    /// The path of a directory from the root; `None` when it is not in this tree.
    /// Whether a node that has a record lies only in trees that were removed, and are still to be
    /// taken apart.
    pub(super) fn is_removed(
        &mut self,
        node: NodeId,
        record: &NodeRecord,
    ) -> Result<bool, Failure> {
        if record.is_directory() {
            return self.is_in_removed_tree(node);
        }
        let directories = self.reader.directories_of(self.spot(node))?;
        for directory in &directories {
            if !self.is_in_removed_tree(*directory)? {
                return Ok(false);
            }
        }
        Ok(!directories.is_empty())
    }

    fn is_in_removed_tree(&mut self, directory: NodeId) -> Result<bool, Failure> {
        if self.path_of(directory)?.is_some() {
            return Ok(false);
        }
        let mut current = self.spot(directory);
        for _ in 0..=PATH_COMPONENTS_MAX {
            let Some(found) = self.reader.node_record(current)? else {
                return Ok(true);
            };
            match self.reader.parent_of(current, &found.record)? {
                Some((parent, _)) => current = parent,
                None => return Ok(false),
            }
        }
        Ok(false)
    }

    /// Where a directory of the tree is, from its top.
    pub(super) fn path_of(&mut self, directory: NodeId) -> Result<Option<NsPath>, Failure> {
        let mut trail = Vec::new();
        let mut current = directory;
        let mut path = loop {
            if let Some(known) = self.places.get(&current) {
                break known.clone();
            }
            let spot = self.spot(current);
            let Some(found) = self.reader.node_record(spot)? else {
                break None;
            };
            let above = self.reader.parent_of(spot, &found.record)?;
            let Some((parent, name)) = above.filter(|(parent, _)| parent.same_chain(&self.root))
            else {
                break None;
            };
            trail.push((current, name));
            if trail.len() > PATH_COMPONENTS_MAX {
                break None;
            }
            current = parent.node;
        };
        if path.is_none() {
            self.places.insert(current, None);
        }
        for (node, name) in trail.into_iter().rev() {
            path = match path {
                Some(parent) => parent.join(&name).ok(),
                None => None,
            };
            self.places.insert(node, path.clone());
        }
        Ok(path)
    }

    /// What a name of a directory leads to in this tree.
    pub(super) fn child(
        &mut self,
        directory: NodeId,
        name: &Name,
    ) -> Result<Option<Child>, Failure> {
        if self.path_of(directory)?.is_none() {
            return Ok(None);
        }
        let found = self.reader.entry(self.spot(directory), name)?;
        Ok(found.map(|found| found.record))
    }

    pub(super) fn identity(&self, child: &Child) -> Identity {
        let nested = !child.spot.same_chain(&self.root);
        (child.node(), nested.then_some(child.spot.branch))
    }

    /// The path of a name.
    pub(super) fn path(
        &mut self,
        directory: NodeId,
        name: &Name,
    ) -> Result<Option<NsPath>, Failure> {
        let parent = self.path_of(directory)?;
        Ok(parent.and_then(|parent| parent.join(name).ok()))
    }

    /// Visits every entry below a directory, branches that hang there not entered.
    pub(super) fn walk(
        &self,
        directory: NodeId,
        mut visit: impl FnMut(NodeId, &Name, &Child) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        const STEP_ENTRIES: usize = 4096;
        let mut pending = vec![directory];
        while let Some(directory) = pending.pop() {
            let mut after: Option<Name> = None;
            loop {
                let spot = self.spot(directory);
                let entries = self.reader.entries(spot, after.as_ref(), STEP_ENTRIES)?;
                for (name, child) in &entries {
                    visit(directory, name, child)?;
                    if child.is_directory() && child.spot.same_chain(&self.root) {
                        pending.push(child.node());
                    }
                }
                if entries.len() < STEP_ENTRIES {
                    break;
                }
                after = entries.last().map(|(name, _)| name.clone());
            }
        }
        Ok(())
    }
}
