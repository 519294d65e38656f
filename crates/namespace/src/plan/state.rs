//! What a plan has read and changed so far.

use super::charges::{Before, Noted};
use crate::clients::{Going, OpenKey};
use crate::failure::contradiction;
use crate::ids::Ids;
use crate::reader::{Found, Reader};
use crate::records::NodeRecord;
use crate::records::event::Event;
use crate::records::object::BlockUse;
use crate::spot::{Child, Met, Spot};
use crate::walk::Source;
use crate::{Context, Parents};
use bytes::Bytes;
use nokv_shard::{Add, Check, Shards, Write};
use nokv_types::{
    BlockId, BranchId, ClientId, Failure, Generation, Name, Reason, SessionId, TimeNanos, Version,
};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeSet;

/// How a plan depends on where directories are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Topology {
    /// Not at all.
    Free,
    /// It went through a directory: no directory may have moved since.
    Rests,
    /// It moves a directory itself.
    Moves,
}

/// A node as the plan sees it.
pub(super) struct PlannedNode {
    pub(super) record: Option<NodeRecord>,
    pub(super) dirty: bool,
    /// Made by this plan: nobody else can know it.
    pub(super) fresh: bool,
    pub(super) is_directory: bool,
    /// What it was before the plan; `None` when it was not.
    pub(super) before: Option<Before>,
}

/// An entry as the plan sees it.
pub(super) struct PlannedEntry {
    pub(super) now: Option<Child>,
    /// The top layer has a record, if only a whiteout.
    pub(super) own: bool,
    pub(super) dirty: bool,
}

/// What the plan adds to a directory's counter.
#[derive(Default)]
pub(crate) struct DirectoryChange {
    pub(super) entries: i64,
    pub(super) subdirectories: i64,
    pub(super) touched: bool,
    /// A time that somebody sets; wins over that of the change.
    pub(crate) mtime: Option<TimeNanos>,
    /// The same for the change of the directory itself.
    pub(crate) ctime: Option<TimeNanos>,
}

/// An operation in the making.
pub(crate) struct Plan<'a> {
    pub(crate) reader: Reader<'a>,
    pub(crate) context: &'a Context,
    pub(crate) root: Spot,
    pub(crate) parents: Parents,
    pub(super) shard: &'a Shards,
    pub(super) ids: &'a Ids,
    pub(super) topology: Topology,
    pub(super) removes_directory: bool,
    /// Directories that go, and must be empty then.
    pub(super) emptied: FxHashSet<Spot>,
    /// Branches that the operation looked at: they must not have changed their base.
    pub(super) branches: BTreeSet<BranchId>,
    /// Branches that the operation ends.
    pub(super) ended: BTreeSet<BranchId>,
    pub(super) nodes: FxHashMap<Spot, PlannedNode>,
    pub(super) entries: FxHashMap<(Spot, Name), PlannedEntry>,
    pub(super) directories: FxHashMap<Spot, DirectoryChange>,
    pub(super) live: FxHashSet<Spot>,
    pub(super) sessions: Vec<SessionId>,
    /// Blocks that a body holds on which the command rests.
    pub(super) held: FxHashSet<BlockId>,
    pub(super) references: FxHashMap<BlockId, BlockUse>,
    pub(super) checks: Vec<Check>,
    pub(super) writes: Vec<Write>,
    pub(super) events: Vec<Event>,
    pub(super) noted: Noted,
    /// Further additions to counters.
    pub(super) quota_adds: Vec<Add>,
    /// A version that the command pins.
    pinned: Option<Version>,
    /// A version that it pins no longer.
    unpinned: Option<Version>,
    /// Nodes that may go: nobody opens them until this is dropped, after the command.
    pub(super) going: Going<'a>,
    pub(super) nameless: Nameless,
    /// What the context expects was compared.
    compared: bool,
}

/// What a plan does to nodes without a name.
#[derive(Default)]
pub(crate) struct Nameless {
    /// These lose their last name and stay, or are made without one.
    pub(crate) kept: Vec<OpenKey>,
    /// These get a name again, or go.
    pub(crate) ended: Vec<OpenKey>,
    /// This one is made open, by this session.
    pub(crate) opened: Option<(ClientId, OpenKey)>,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(
        reader: Reader<'a>,
        context: &'a Context,
        root: Spot,
        shard: &'a Shards,
        ids: &'a Ids,
        going: Going<'a>,
    ) -> Self {
        Self {
            reader,
            context,
            root,
            parents: Parents::Required,
            shard,
            ids,
            topology: Topology::Free,
            removes_directory: false,
            emptied: FxHashSet::default(),
            branches: BTreeSet::new(),
            ended: BTreeSet::new(),
            nodes: FxHashMap::default(),
            entries: FxHashMap::default(),
            directories: FxHashMap::default(),
            live: FxHashSet::default(),
            sessions: Vec::new(),
            held: FxHashSet::default(),
            references: FxHashMap::default(),
            checks: Vec::new(),
            writes: Vec::new(),
            events: Vec::new(),
            noted: Noted::default(),
            quota_adds: Vec::new(),
            pinned: None,
            unpinned: None,
            going,
            nameless: Nameless::default(),
            compared: false,
        }
    }

    /// Demands that the node that the change acts on, read checked, has the generation that the
    /// context expects.
    pub(crate) fn compare(
        &mut self,
        generation: Generation,
        shown: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        self.compared = true;
        match self.context.expect {
            Some(expected) if expected != generation => Err(Failure::new(
                Reason::StaleGeneration,
                format!("{} has generation {generation}, not {expected}", shown()),
            )),
            _ => Ok(()),
        }
    }

    /// The same where nothing is yet.
    pub(crate) fn compare_absent(&mut self, shown: impl FnOnce() -> String) -> Result<(), Failure> {
        self.compared = true;
        match self.context.expect {
            None => Ok(()),
            Some(expected) => Err(Failure::new(
                Reason::StaleGeneration,
                format!(
                    "{} does not exist, and has no generation {expected}",
                    shown()
                ),
            )),
        }
    }

    /// Refuses an expectation that nothing was compared with.
    pub(crate) fn was_compared(&self) -> Result<(), Failure> {
        match self.compared {
            true => Ok(()),
            false => self.context.expects_nothing(),
        }
    }

    /// What must outlive the plan until its command is through.
    pub(crate) fn take_aftermath(&mut self) -> (Going<'a>, Nameless) {
        let going = self.going.take();
        (going, std::mem::take(&mut self.nameless))
    }

    /// Says that the operation rests on where directories are, or moves one.
    pub(crate) fn rests_on(&mut self, topology: Topology) {
        self.topology = self.topology.max(topology);
    }

    /// Says that the operation rests on what a branch sees.
    pub(crate) fn rests_on_branch(&mut self, spot: Spot) {
        if !spot.is_trunk() && spot.met == Met::Live {
            self.branches.insert(spot.branch);
        }
    }

    /// Demands that a spot can be changed: what was met through an inherited entry is the past of
    /// another branch.
    pub(crate) fn writable(&self, spot: Spot) -> Result<(), Failure> {
        if spot.met == Met::Live && spot.at == self.reader.at {
            return Ok(());
        }
        Err(Failure::new(
            Reason::NotPermitted,
            format!(
                "this is branch {} as it was at version {}, met inside of another branch; it can't \
                 be changed here, branch it to go on",
                spot.branch, spot.at
            ),
        ))
    }

    /// Whether the command takes a directory from its place.
    pub(crate) fn moves_directories(&self) -> bool {
        self.topology == Topology::Moves || self.removes_directory
    }

    /// Says that the command pins this version.
    pub(crate) fn pins_version(&mut self, version: Version) {
        self.pinned = Some(version);
    }

    /// Says that the command pins this version no longer.
    pub(crate) fn unpins_version(&mut self, version: Version) {
        self.unpinned = Some(version);
    }

    /// The version that it pins, and the one that it pins no longer.
    pub(crate) fn pinning(&self) -> (Option<Version>, Option<Version>) {
        (self.pinned, self.unpinned)
    }

    /// The record of a node, unchecked: no decision may rest on it.
    pub(crate) fn peek_node(&self, node: Spot) -> Result<Option<Found<NodeRecord>>, Failure> {
        match self.nodes.get(&node) {
            Some(planned) => {
                let version = Version::ZERO;
                Ok(planned
                    .record
                    .clone()
                    .map(|record| Found { version, record }))
            }
            None => self.reader.node_record(node),
        }
    }
}

impl Source for Plan<'_> {
    fn entry(&mut self, directory: Spot, name: &Name) -> Result<Option<Child>, Failure> {
        if !self.entries.is_empty()
            && let Some(planned) = self.entries.get(&(directory, name.clone()))
        {
            return Ok(planned.now);
        }
        self.rests_on_branch(directory);
        Ok(self
            .reader
            .entry(directory, name)?
            .map(|found| found.record))
    }

    /// No plan removes a directory that it still walks through, so what the reader knows holds in
    /// the plan too.
    fn known_directory(&mut self, root: Spot, names: &[Name]) -> Result<Option<Spot>, Failure> {
        Ok(self
            .reader
            .known_directory(root, names)?
            .map(|known| root.with_node(known.node)))
    }

    fn link_target(&mut self, link: Spot) -> Result<Bytes, Failure> {
        match self
            .nodes
            .get(&link)
            .and_then(|planned| planned.record.as_ref())
        {
            Some(record) => match &record.body.layout {
                crate::records::StoredLayout::Inline(target) => Ok(target.clone()),
                _ => Err(contradiction(format!(
                    "node {} is not a symbolic link",
                    link.node
                ))),
            },
            None => self.reader.link_target(link),
        }
    }

    fn parent(&mut self, directory: Spot) -> Result<Option<Spot>, Failure> {
        let Some(found) = self.peek_node(directory)? else {
            return Ok(None);
        };
        let parent = self.reader.parent_of(directory, &found.record)?;
        Ok(parent.map(|(parent, _)| parent))
    }

    fn fill(&mut self, directory: Spot, name: &Name) -> Result<Option<Child>, Failure> {
        match self.parents {
            Parents::Required => Ok(None),
            Parents::Create => {
                self.make_directory(directory, name, crate::plan::nodes::PARENT_MODE)?;
                self.entry(directory, name)
            }
        }
    }

    fn followed(&mut self, directory: Spot, name: &Name) -> Result<(), Failure> {
        self.checked_entry(directory, name)?;
        Ok(())
    }
}
