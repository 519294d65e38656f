//! What a merge does: the three-way comparison of a branch, the directory it was made from as it
//! was then, and as it is now.
//!
//! For each name and node that the branch has records of: what the branch did not change stays,
//! what the target did not change becomes as in the branch, what both changed alike is done, and
//! the rest is a conflict. Nothing here writes.

use super::diff::same_body;
use super::side::{Identity, Side};
use super::touched::Touched;
use crate::plant::{Plant, is_planted};
use crate::records::{NodeRecord, branch};
use crate::spot::{Child, Met};
use crate::{Conflict, ConflictKind, MERGE_CHANGES_MAX, OnConflict};
use bytes::Bytes;
use nokv_types::{BranchId, Failure, Name, NodeId, NsPath, Reason};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::{BTreeMap, BTreeSet};

/// Whether branches that hang in the target may end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ends {
    /// They go on by themselves: a merge does not end them.
    Never,
    /// Those that never changed may.
    Unchanged,
}

/// The three trees.
pub(super) struct ThreeWay<'a> {
    /// The target as the branch was made from it.
    pub(super) base: Side<'a>,
    /// The target as it is.
    pub(super) ours: Side<'a>,
    /// The branch.
    pub(super) theirs: Side<'a>,
    pub(super) ends: Ends,
}

/// A name of the target that changes.
#[derive(Clone, Debug)]
pub(super) struct Rename {
    pub(super) before: Option<Child>,
    pub(super) now: Option<Child>,
}

/// What a merge does, and what is in its way.
#[derive(Default)]
pub(super) struct Decision {
    /// Names that change.
    pub(super) names: BTreeMap<(NodeId, Name), Rename>,
    /// Nodes that get attributes, attributes of users, or the body of the branch.
    pub(super) contents: BTreeSet<NodeId>,
    pub(super) conflicts: BTreeSet<Conflict>,
    /// A conflict that no choice settles.
    pub(super) stuck: bool,
    /// Nodes whose names stay as they are in the target.
    kept: FxHashSet<NodeId>,
}

impl Decision {
    /// What a merge of these keys does.
    pub(super) fn of(
        three: &mut ThreeWay<'_>,
        mut touched: Touched,
        choice: OnConflict,
    ) -> Result<Self, Failure> {
        take_in_removed_trees(three, &mut touched)?;
        let count = touched.entries.len() + touched.nodes.len();
        if count > MERGE_CHANGES_MAX {
            return Err(Failure::new(
                Reason::TooLarge,
                format!("{count} changes are more than the {MERGE_CHANGES_MAX} of one merge"),
            ));
        }
        let mut decision = Self::default();
        for (directory, name) in &touched.entries {
            decision.name(three, *directory, name, choice)?;
        }
        for node in &touched.nodes {
            decision.content(three, *node, &touched, choice)?;
        }
        decision.moves(three, choice)?;
        decision.removed_but_moved(three, &touched, choice)?;
        decision.settle(three)?;
        decision.removed_directories(three)?;
        Ok(decision)
    }

    fn name(
        &mut self,
        three: &mut ThreeWay<'_>,
        directory: NodeId,
        name: &Name,
        choice: OnConflict,
    ) -> Result<(), Failure> {
        let base = three.base.child(directory, name)?;
        let ours = three.ours.child(directory, name)?;
        let theirs = three.theirs.child(directory, name)?;
        let [b, o, t] = [
            base.map(|child| three.base.identity(&child)),
            ours.map(|child| three.ours.identity(&child)),
            theirs.map(|child| three.theirs.identity(&child)),
        ];
        if t == b || o == t {
            return Ok(());
        }
        let change = Rename {
            before: ours,
            now: theirs,
        };
        // A branch that hangs in the target may have gone on by itself.
        let ends_branch = match o {
            Some((_, Some(branch))) => !three.may_end(branch)?,
            _ => false,
        };
        let gone =
            three.ours.path_of(directory)?.is_none() && three.base.path_of(directory)?.is_some();
        if gone {
            if let Some((node, _)) = t {
                self.conflict(
                    three,
                    ConflictKind::RemovedInTarget,
                    node,
                    (directory, name),
                )?;
                self.keep(node, choice, true);
            }
            return Ok(());
        }
        if o == b && !ends_branch {
            self.names.insert((directory, name.clone()), change);
            return Ok(());
        }
        let node = o.or(t).map_or(directory, |(node, _)| node);
        self.conflict(three, ConflictKind::Name, node, (directory, name))?;
        let directories = [&ours, &theirs]
            .into_iter()
            .flatten()
            .any(Child::is_directory);
        let hard = ends_branch || directories;
        let wrong = is_planted(Plant::MergeWrongSide) && choice == OnConflict::Ours;
        match choice {
            _ if !hard && (wrong || choice == OnConflict::Theirs) => {
                self.names.insert((directory, name.clone()), change);
            }
            _ => {
                if let Some((node, _)) = t {
                    self.keep(node, choice, hard);
                }
                self.stuck |= choice == OnConflict::Theirs;
            }
        }
        Ok(())
    }

    /// A node's names stay; where the branch was to win that settles nothing.
    fn keep(&mut self, node: NodeId, choice: OnConflict, hard: bool) {
        self.kept.insert(node);
        self.stuck |= choice == OnConflict::Theirs && hard;
    }

    fn content(
        &mut self,
        three: &mut ThreeWay<'_>,
        node: NodeId,
        touched: &Touched,
        choice: OnConflict,
    ) -> Result<(), Failure> {
        let base = record(&three.base, node)?;
        let ours = record(&three.ours, node)?;
        let theirs = record(&three.theirs, node)?;
        // What lies in a removed tree is gone, whether that is taken apart already or not.
        let ours = match ours {
            Some(ours) if three.ours.is_removed(node, &ours)? => None,
            ours => ours,
        };
        let Some(base) = base else {
            // The branch made it: it comes with its names.
            return Ok(());
        };
        match (ours, theirs) {
            (Some(ours), Some(theirs)) => {
                let [changed, here, alike] = [
                    !same(three, node, [Of::Base, Of::Theirs], &base, &theirs)?,
                    !same(three, node, [Of::Base, Of::Ours], &base, &ours)?,
                    same(three, node, [Of::Ours, Of::Theirs], &ours, &theirs)?,
                ];
                if !changed || alike {
                    return Ok(());
                }
                if here {
                    self.conflict_of_node(three, ConflictKind::Content, node, touched)?;
                }
                let wrong = is_planted(Plant::MergeWrongSide);
                if !here || choice == OnConflict::Theirs || wrong {
                    self.contents.insert(node);
                }
            }
            (Some(ours), None) if !same(three, node, [Of::Base, Of::Ours], &base, &ours)? => {
                self.conflict_of_node(three, ConflictKind::RemovedInBranch, node, touched)?;
                if choice != OnConflict::Theirs {
                    self.kept.insert(node);
                }
            }
            (None, Some(theirs)) if !same(three, node, [Of::Base, Of::Theirs], &base, &theirs)? => {
                self.conflict_of_node(three, ConflictKind::RemovedInTarget, node, touched)?;
                if choice == OnConflict::Theirs {
                    self.bring_back(three, node, &theirs, touched)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Gives a file that the target removed its names of the branch again.
    fn bring_back(
        &mut self,
        three: &mut ThreeWay<'_>,
        node: NodeId,
        record: &NodeRecord,
        touched: &Touched,
    ) -> Result<(), Failure> {
        self.stuck |= record.is_directory();
        let mut names = 0;
        for (directory, name) in &touched.entries {
            let now = three.theirs.child(*directory, name)?;
            let free = three.ours.child(*directory, name)?.is_none();
            let there = three.ours.path_of(*directory)?.is_some();
            if now.is_some_and(|child| child.node() == node) && free && there {
                let change = Rename { before: None, now };
                self.names.insert((*directory, name.clone()), change);
                names += 1;
            }
        }
        self.stuck |= names == 0;
        Ok(())
    }

    /// Directories that went to other places on both sides.
    fn moves(&mut self, three: &mut ThreeWay<'_>, choice: OnConflict) -> Result<(), Failure> {
        let arriving: Vec<_> = self
            .names
            .iter()
            .filter_map(|(at, change)| {
                let now = change.now?;
                let inside = now.is_directory() && now.spot.same_chain(&three.theirs.root);
                inside.then(|| (at.clone(), now.node()))
            })
            .collect();
        for ((directory, name), node) in arriving {
            let base = record(&three.base, node)?;
            let Some(ours) = record(&three.ours, node)? else {
                if base.is_some() {
                    let kind = ConflictKind::RemovedInTarget;
                    self.conflict(three, kind, node, (directory, &name))?;
                    self.stuck |= choice != OnConflict::Ours;
                    self.kept.insert(node);
                }
                continue;
            };
            let left = match &ours.place {
                None => false,
                Some(place) => {
                    let from = (place.parent, place.name.clone());
                    let leaves = self.names.get(&from).and_then(|change| change.before);
                    leaves.is_some_and(|child| child.node() == node)
                }
            };
            if !left {
                self.conflict(three, ConflictKind::Moved, node, (directory, &name))?;
                self.stuck |= choice != OnConflict::Ours;
                self.kept.insert(node);
            }
        }
        Ok(())
    }

    /// What the branch removed altogether and the target gave another name: it would go from where
    /// it was, and a directory would lose what is in it.
    fn removed_but_moved(
        &mut self,
        three: &mut ThreeWay<'_>,
        touched: &Touched,
        choice: OnConflict,
    ) -> Result<(), Failure> {
        let mut going: FxHashMap<NodeId, u32> = FxHashMap::default();
        for change in self.names.values() {
            let leaves = |child: &Child| change.now.is_none_or(|now| now.node() != child.node());
            if let Some(child) = change.before.filter(leaves) {
                *going.entry(child.node()).or_default() += 1;
            }
        }
        for node in &touched.nodes {
            let (Some(base), Some(ours), None) = (
                record(&three.base, *node)?,
                record(&three.ours, *node)?,
                record(&three.theirs, *node)?,
            ) else {
                continue;
            };
            let stays = match ours.is_directory() {
                true => ours.place != base.place,
                false => ours.links > going.get(node).copied().unwrap_or(0),
            };
            if stays && !three.ours.is_removed(*node, &ours)? {
                self.conflict_of_node(three, ConflictKind::RemovedInBranch, *node, touched)?;
                self.kept.insert(*node);
                self.stuck |= choice == OnConflict::Theirs;
            }
        }
        Ok(())
    }

    /// Leaves out what can't be: other names of nodes that keep theirs, and names in directories
    /// that do not come.
    fn settle(&mut self, three: &mut ThreeWay<'_>) -> Result<(), Failure> {
        loop {
            let count = self.names.len();
            let coming: FxHashSet<NodeId> = self
                .names
                .values()
                .filter_map(|change| change.now)
                .filter(Child::is_directory)
                .map(|child| child.node())
                .collect();
            let mut lost = Vec::new();
            for (at, change) in &self.names {
                let kept = [change.before, change.now]
                    .into_iter()
                    .flatten()
                    .any(|child| self.kept.contains(&child.node()));
                // What is in a directory that stays, although the branch removed it, stays too.
                let inside = change.now.is_none()
                    && self.kept.contains(&at.0)
                    && record(&three.theirs, at.0)?.is_none();
                let nowhere = change.now.is_some()
                    && !coming.contains(&at.0)
                    && three.ours.path_of(at.0)?.is_none();
                if kept || inside || nowhere {
                    lost.push(at.clone());
                }
            }
            for at in lost {
                if let Some(change) = self.names.remove(&at) {
                    let nodes = [change.before, change.now].into_iter().flatten();
                    self.kept.extend(nodes.map(|child| child.node()));
                }
            }
            if self.names.len() == count {
                return Ok(());
            }
        }
    }

    /// A directory goes only with all that is in it.
    fn removed_directories(&mut self, three: &mut ThreeWay<'_>) -> Result<(), Failure> {
        loop {
            let going = self.going(three);
            let mut held = Vec::new();
            for directory in &going {
                let spot = three.ours.spot(*directory);
                for (name, child) in all_entries(&three.ours, *directory)? {
                    let at = (*directory, name);
                    let leaves = self
                        .names
                        .get(&at)
                        .is_some_and(|change| change.now.is_none());
                    if !leaves {
                        held.push((spot.node, at.1, child.node()));
                    }
                }
            }
            if held.is_empty() {
                return Ok(());
            }
            for (directory, name, node) in held {
                let kind = ConflictKind::RemovedInBranch;
                self.conflict(three, kind, node, (directory, &name))?;
                // All of the way up to it stays.
                self.kept.insert(directory);
            }
            self.stuck = true;
            self.settle(three)?;
        }
    }

    /// Directories that lose their name and get no other.
    fn going(&self, three: &ThreeWay<'_>) -> Vec<NodeId> {
        let mut going = BTreeSet::new();
        for change in self.names.values() {
            // The root of a branch goes with the branch.
            let inside = |child: &Child| child.spot.same_chain(&three.ours.root);
            if let Some(child) = change.before.filter(Child::is_directory).filter(inside) {
                going.insert(child.node());
            }
        }
        for change in self.names.values() {
            if let Some(child) = &change.now {
                going.remove(&child.node());
            }
        }
        going.into_iter().collect()
    }

    fn conflict(
        &mut self,
        three: &mut ThreeWay<'_>,
        kind: ConflictKind,
        node: NodeId,
        (directory, name): (NodeId, &Name),
    ) -> Result<(), Failure> {
        let path = match three.ours.path(directory, name)? {
            Some(path) => Some(path),
            None => three.theirs.path(directory, name)?,
        };
        let path = path.unwrap_or_else(NsPath::root);
        self.conflicts.insert(Conflict { path, kind, node });
        Ok(())
    }

    fn conflict_of_node(
        &mut self,
        three: &mut ThreeWay<'_>,
        kind: ConflictKind,
        node: NodeId,
        touched: &Touched,
    ) -> Result<(), Failure> {
        let mut path = None;
        for side in [&mut three.ours, &mut three.theirs] {
            if path.is_some() {
                break;
            }
            let directory = record(side, node)?.is_some_and(|record| record.is_directory());
            if directory {
                path = side.path_of(node)?;
                continue;
            }
            for (directory, name) in &touched.entries {
                let child = side.child(*directory, name)?;
                if child.is_some_and(|child| child.node() == node) {
                    path = side.path(*directory, name)?;
                    break;
                }
            }
        }
        let path = path.unwrap_or_else(NsPath::root);
        self.conflicts.insert(Conflict { path, kind, node });
        Ok(())
    }

    /// By how much the number of names of each node changes.
    pub(super) fn links(&self, three: &ThreeWay<'_>) -> FxHashMap<Identity, i64> {
        let mut links = FxHashMap::default();
        for change in self.names.values() {
            if let Some(child) = &change.before {
                *links.entry(three.ours.identity(child)).or_insert(0) -= 1;
            }
            if let Some(child) = &change.now {
                *links.entry(three.theirs.identity(child)).or_insert(0) += 1;
            }
        }
        links
    }
}

/// Takes in all names below directories that the branch removed.
fn take_in_removed_trees(three: &mut ThreeWay<'_>, touched: &mut Touched) -> Result<(), Failure> {
    let mut removed = BTreeSet::new();
    for (directory, name) in &touched.entries {
        if let Some(child) = three.base.child(*directory, name)?
            && child.is_directory()
            && child.spot.same_chain(&three.base.root)
            && three.theirs.path_of(child.node())?.is_none()
        {
            removed.insert(child.node());
        }
    }
    for directory in removed {
        for side in [&mut three.base, &mut three.ours] {
            if side.path_of(directory)?.is_some() {
                side.walk(directory, |directory, name, child| {
                    touched.nodes.insert(child.node());
                    touched.entry(directory, name)
                })?;
            }
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Of {
    Base,
    Ours,
    Theirs,
}

impl<'a> ThreeWay<'a> {
    /// Whether a branch that hangs in the target may go: if it never changed.
    fn may_end(&self, branch: BranchId) -> Result<bool, Failure> {
        let key = branch::changes_key(branch);
        Ok(self.ends == Ends::Unchanged && self.ours.reader.stored(&key)?.is_none())
    }

    fn side(&self, of: Of) -> &Side<'a> {
        match of {
            Of::Base => &self.base,
            Of::Ours => &self.ours,
            Of::Theirs => &self.theirs,
        }
    }
}

/// Whether a node has the same content on two sides: body, attributes, attributes of users.
fn same(
    three: &ThreeWay<'_>,
    node: NodeId,
    sides: [Of; 2],
    one: &NodeRecord,
    other: &NodeRecord,
) -> Result<bool, Failure> {
    let plain = |record: &NodeRecord| {
        let mtime = (!record.is_directory()).then_some(record.mtime);
        (record.mode, record.uid, record.gid, mtime, record.xattrs)
    };
    if plain(one) != plain(other) || !same_body(one, other) {
        return Ok(false);
    }
    if one.xattrs == 0 {
        return Ok(true);
    }
    let [one, other] = sides.map(|of| xattrs(three.side(of), node));
    Ok(one? == other?)
}

/// The extended attributes of a node.
pub(super) fn xattrs(side: &Side<'_>, node: NodeId) -> Result<BTreeMap<Bytes, Bytes>, Failure> {
    side.reader.xattrs(side.spot(node))
}

/// The record of a node on a side.
pub(super) fn record(side: &Side<'_>, node: NodeId) -> Result<Option<NodeRecord>, Failure> {
    let found = side.reader.node_record(side.spot(node))?;
    Ok(found.map(|found| found.record))
}

fn all_entries(side: &Side<'_>, directory: NodeId) -> Result<Vec<(Name, Child)>, Failure> {
    side.reader
        .entries(side.spot(directory), None, MERGE_CHANGES_MAX + 1)
}

/// Whether something that the branch has hangs in it as a branch of its own.
pub(super) fn hangs_in(child: &Child, theirs: &Side<'_>) -> bool {
    !child.spot.same_chain(&theirs.root) && child.spot.met == Met::Live
}
