//! The consistency check: a full recount at one version, beside readers and writers.
//!
//! It verifies the invariants of the crate's head. Memory: about 100 bytes for each node and block;
//! it reads each record once.

use super::check_names::NamesSeen;
use crate::failure::{contradiction, from_engine, malformed};
use crate::plan::size_of;
use crate::records::nameless;
use crate::records::{
    CHUNK, COUNTER, DEATH, DeadBody, DeathRecord, ENTRY, EntryRecord, HELD, NODE, NodeRecord,
    OBJECT, QUOTA_USAGE, StoredLayout, XATTR, chunk, counter, is_whiteout, names, object,
    object::BlockUse, orphan, orphan::OrphanRecord, quota, quota::QuotaRecord,
};
use crate::{CheckReport, Namespace, Problem, ProblemKind};
use bytes::Bytes;
use nokv_engine::{Direction, KeyRange, Keyspace, Record};
use nokv_shard::codec::Malformed;
use nokv_shard::{Counter, Key};
use nokv_types::{BlockId, BranchId, Extent, Failure, Generation, Name, NodeId, NodeKind, Version};
use rustc_hash::{FxHashMap, FxHashSet};

type Spot = (NodeId, BranchId);

/// What a node record says, and what the entries say.
struct Seen {
    kind: NodeKind,
    links: u32,
    size: u64,
    home: Option<NodeId>,
    place: Option<(NodeId, Name)>,
    xattrs: u32,
    entries_to: u32,
    place_confirmed: bool,
}

/// Chunks that a body must have: of how many bytes, and how many chunks.
struct Chunks {
    size: u64,
    left: u32,
}

#[derive(Default)]
pub(super) struct Recount {
    pub(super) report: CheckReport,
    nodes: FxHashMap<Spot, Seen>,
    directories: FxHashMap<Spot, (i64, i64)>,
    pub(super) orphans: FxHashMap<Spot, Vec<(NodeId, u64)>>,
    /// Nodes that may have no name.
    nameless: FxHashSet<Spot>,
    names: NamesSeen,
    /// Branches that an entry leads to.
    pub(super) hung: Vec<BranchId>,
    references: FxHashMap<BlockId, BlockUse>,
    chunks: FxHashMap<(Spot, Generation), Chunks>,
}

impl Namespace {
    /// Checks that all records fit together, at the newest version; changes nothing, blocks nobody.
    ///
    /// **Errors**: `Corrupt` when a record can't be decoded.
    pub fn check(&self) -> Result<CheckReport, Failure> {
        let hold = self.hold(self.read_version())?;
        let at = hold.version();
        let mut recount = Recount::default();
        recount.report.version = at;
        self.each(orphan::KEYSPACE, at, |key, found| {
            let orphan = OrphanRecord::decode(&found.value)?;
            recount
                .orphans
                .insert(orphan::directory(key)?, orphan.quotas);
            Ok(())
        })?;
        self.each(nameless::KEYSPACE, at, |key, _| {
            recount.nameless.insert(nameless::node(key)?);
            Ok(())
        })?;
        self.each(NODE, at, |key, found| recount.node(key, found))?;
        self.each(XATTR, at, |key, _| recount.xattr(key))?;
        self.each(ENTRY, at, |key, found| recount.entry(key, found))?;
        for keyspace in [DEATH, HELD] {
            self.each(keyspace, at, |key, found| recount.death(key, found))?;
        }
        self.each(CHUNK, at, |key, found| recount.chunk(key, found))?;
        self.each(COUNTER, at, |key, found| recount.counter(key, found))?;
        self.each(OBJECT, at, |key, found| recount.object(key, found))?;
        self.check_branches(at, &mut recount)?;
        self.check_names(at, &mut recount)?;
        let roots: FxHashSet<NodeId> = self.mounts().iter().map(|mount| mount.root).collect();
        recount.leftovers(&roots);
        recount.report.problems.sort();
        Ok(recount.report)
    }

    /// Which directories hold names, and what counts against quotas.
    fn check_names(&self, at: Version, recount: &mut Recount) -> Result<(), Failure> {
        self.each(names::KEYSPACE, at, |key, found| recount.names(key, found))?;
        self.each(quota::KEYSPACE, at, |key, found| {
            let record = QuotaRecord::decode(&found.value)?;
            recount.names.quota(spot(key)?, record);
            Ok(())
        })?;
        recount.recount_quotas();
        self.each(QUOTA_USAGE, at, |key, found| {
            recount.quota_usage(key, found)
        })
    }

    pub(super) fn each(
        &self,
        keyspace: Keyspace,
        at: Version,
        mut visit: impl FnMut(&Bytes, &Record) -> Result<(), Malformed>,
    ) -> Result<(), Failure> {
        let scan = self
            .engine()
            .scan(keyspace, KeyRange::all(), at, Direction::Forward)
            .map_err(from_engine)?;
        for item in scan {
            let (key, found) = item.map_err(from_engine)?;
            visit(&key, &found).map_err(|flaw| malformed(&Key::new(keyspace, &key), &flaw))?;
        }
        Ok(())
    }
}

impl Recount {
    pub(super) fn problem(&mut self, kind: ProblemKind, message: String) {
        if self.report.problems.len() < CheckReport::PROBLEMS_MAX {
            self.report.problems.push(Problem { kind, message });
        }
    }

    fn node(&mut self, key: &[u8], found: &Record) -> Result<(), Malformed> {
        let spot = spot(key)?;
        if is_whiteout(spot.1, &found.value) {
            return Ok(());
        }
        self.report.nodes += 1;
        let record = NodeRecord::decode(&found.value)?;
        if record.owner.is_some() {
            return Ok(());
        }
        if let StoredLayout::Embedded(extents) = &record.body.layout {
            self.count(extents);
        }
        if let StoredLayout::Chunked(_) = record.body.layout {
            let chunks = Chunks {
                size: record.body.size,
                left: record.body.chunk_count(),
            };
            self.chunks.insert((spot, record.generation), chunks);
        }
        if spot.1 != BranchId::TRUNK {
            return Ok(());
        }
        let size = size_of(&record);
        let place = record.place.map(|place| (place.parent, place.name));
        let seen = Seen {
            kind: record.kind,
            links: record.links,
            size,
            home: record.home,
            place,
            xattrs: record.xattrs,
            entries_to: 0,
            place_confirmed: false,
        };
        self.nodes.insert(spot, seen);
        Ok(())
    }

    fn entry(&mut self, key: &[u8], found: &Record) -> Result<(), Malformed> {
        let (directory, branch) = spot(key)?;
        if branch != BranchId::TRUNK {
            return Ok(());
        }
        self.report.entries += 1;
        let name = EntryRecord::name(key)?;
        let entry = EntryRecord::decode(&found.value)?;
        let counts = self.directories.entry((directory, branch)).or_default();
        counts.0 += 1;
        counts.1 += i64::from(entry.is_directory());
        let shown = format!("entry {name} of directory {directory}");
        let parent_lives = self.orphans.contains_key(&(directory, branch))
            || self
                .nodes
                .get(&(directory, branch))
                .is_some_and(|seen| seen.kind == NodeKind::Directory);
        if !parent_lives {
            self.problem(
                ProblemKind::DanglingEntry,
                format!("{shown} is in no directory"),
            );
        }
        if entry.branch != BranchId::TRUNK {
            // The root of a branch, which is looked at with the branch.
            let node = (entry.node, entry.branch);
            self.names.entry((directory, branch), node, 1, 0);
            self.hung.push(entry.branch);
            return Ok(());
        }
        match self.nodes.get_mut(&(entry.node, entry.branch)) {
            None => self.problem(
                ProblemKind::DanglingEntry,
                format!("{shown} leads to node {}, which does not exist", entry.node),
            ),
            Some(seen) if seen.kind != entry.kind => self.problem(
                ProblemKind::DanglingEntry,
                format!("{shown} says another kind than node {}", entry.node),
            ),
            Some(seen) => {
                seen.entries_to += 1;
                seen.place_confirmed |= match &seen.place {
                    Some(place) => *place == (directory, name),
                    None => seen.home == Some(directory),
                };
                let node = (entry.node, entry.branch);
                let links = if entry.is_directory() { 1 } else { seen.links };
                let size = seen.size;
                self.names.entry((directory, branch), node, links, size);
            }
        }
        Ok(())
    }

    fn names(&mut self, key: &[u8], found: &Record) -> Result<(), Malformed> {
        let node = spot(key)?;
        if node.1 != BranchId::TRUNK {
            return Ok(());
        }
        let count = names::decode(&found.value)?;
        let flaw = self.names.names(node, names::directory(key)?, count);
        if let Some((kind, message)) = flaw {
            self.problem(kind, message);
        }
        Ok(())
    }

    fn recount_quotas(&mut self) {
        let trunk = |node| (node, BranchId::TRUNK);
        let above = |directory| {
            let seen = self.nodes.get(&trunk(directory))?;
            Some(seen.place.as_ref().map(|(parent, _)| *parent))
        };
        let orphan = |directory| {
            let quotas = self.orphans.get(&trunk(directory)).cloned();
            quotas.unwrap_or_default()
        };
        self.names.recount(above, orphan);
    }

    fn quota_usage(&mut self, key: &[u8], found: &Record) -> Result<(), Malformed> {
        let counter = Counter::decode(&found.value)?;
        if let Some((kind, message)) = self.names.usage(spot(key)?.0, &counter) {
            self.problem(kind, message);
        }
        Ok(())
    }

    /// Counts down to 0.
    fn xattr(&mut self, key: &[u8]) -> Result<(), Malformed> {
        let spot = spot(key)?;
        if spot.1 != BranchId::TRUNK {
            return Ok(());
        }
        match self.nodes.get_mut(&spot) {
            Some(seen) if seen.xattrs > 0 => seen.xattrs -= 1,
            _ => self.problem(
                ProblemKind::WrongXattrs,
                format!(
                    "node {} has an extended attribute that it does not count",
                    spot.0
                ),
            ),
        }
        Ok(())
    }

    fn death(&mut self, key: &[u8], found: &Record) -> Result<(), Malformed> {
        self.report.dead_bodies += 1;
        let body = DeadBody::from_key(key)?;
        let record = DeathRecord::decode(&found.value)?;
        self.count(&record.embedded);
        if record.chunks > 0 {
            let chunks = Chunks {
                size: record.size,
                left: record.chunks,
            };
            self.chunks
                .insert(((body.node, body.branch), body.generation), chunks);
        }
        Ok(())
    }

    fn chunk(&mut self, key: &[u8], found: &Record) -> Result<(), Malformed> {
        let spot = spot(key)?;
        let generation = chunk::generation(key)?;
        match self.chunks.get_mut(&(spot, generation)) {
            None => self.problem(
                ProblemKind::WrongChunks,
                format!(
                    "generation {generation} of node {} has chunks but no body",
                    spot.0
                ),
            ),
            Some(chunks) => {
                chunks.left = chunks.left.saturating_sub(1);
                let extents = chunk::decode(&found.value, chunks.size)?;
                self.count(&extents);
            }
        }
        Ok(())
    }

    fn counter(&mut self, key: &[u8], found: &Record) -> Result<(), Malformed> {
        let spot = spot(key)?;
        if spot.1 != BranchId::TRUNK {
            return Ok(());
        }
        let stored = Counter::decode(&found.value)?;
        let counted = self.directories.remove(&spot).unwrap_or_default();
        let stored = (
            stored.sum(counter::ENTRIES),
            stored.sum(counter::SUBDIRECTORIES),
        );
        // The counter of a directory that is being taken apart stays as it was.
        if stored != counted && !self.orphans.contains_key(&spot) {
            self.problem(
                ProblemKind::WrongCount,
                format!("directory {} counts {stored:?}, has {counted:?}", spot.0),
            );
        }
        if !self.nodes.contains_key(&spot) && !self.orphans.contains_key(&spot) {
            self.problem(
                ProblemKind::WrongCount,
                format!("counter of no directory {}", spot.0),
            );
        }
        Ok(())
    }

    fn object(&mut self, key: &[u8], found: &Record) -> Result<(), Malformed> {
        self.report.blocks += 1;
        let block = object::block(key)?;
        let stored = BlockUse::of(&Counter::decode(&found.value)?);
        let counted = self.references.remove(&block).unwrap_or_default();
        // Where it ends is remembered of bodies that are gone, too.
        if (stored.references, stored.bytes) != (counted.references, counted.bytes)
            || stored.end < counted.end
        {
            self.problem(
                ProblemKind::WrongReferences,
                format!(
                    "block {block} counts {} references to {} of {} bytes, has {} to {} of {}",
                    stored.references,
                    stored.bytes,
                    stored.end,
                    counted.references,
                    counted.bytes,
                    counted.end
                ),
            );
        }
        Ok(())
    }

    fn count(&mut self, extents: &[Extent]) {
        for (block, used) in object::uses_of(extents) {
            let before = self.references.entry(block).or_default();
            *before = before.and(used);
        }
    }

    /// What nothing confirmed.
    fn leftovers(&mut self, roots: &FxHashSet<NodeId>) {
        let mut problems = Vec::new();
        for ((directory, branch), counted) in std::mem::take(&mut self.directories) {
            if counted != (0, 0) && !self.orphans.contains_key(&(directory, branch)) {
                problems.push((
                    ProblemKind::WrongCount,
                    format!("directory {directory} counts nothing, has {counted:?}"),
                ));
            }
        }
        for (block, counted) in std::mem::take(&mut self.references) {
            problems.push((
                ProblemKind::WrongReferences,
                format!(
                    "block {block} has {} references and counts none",
                    counted.references
                ),
            ));
        }
        for ((spot, generation), chunks) in std::mem::take(&mut self.chunks) {
            if chunks.left > 0 {
                problems.push((
                    ProblemKind::WrongChunks,
                    format!("generation {generation} of node {} lacks chunks", spot.0),
                ));
            }
        }
        for (spot, seen) in &self.nodes {
            if seen.xattrs > 0 {
                let message = format!("node {} lacks {} extended attributes", spot.0, seen.xattrs);
                problems.push((ProblemKind::WrongXattrs, message));
            }
            let is_nameless = seen.entries_to == 0
                && seen.links == 0
                && seen.kind != NodeKind::Directory
                && self.nameless.contains(spot);
            if !roots.contains(&spot.0) && !is_nameless {
                problems.extend(flaw_of_node(spot.0, seen));
            }
        }
        problems.extend(self.names.leftovers());
        problems.extend(self.cycles());
        for (kind, message) in problems {
            self.problem(kind, message);
        }
    }

    /// Directories whose parents do not end.
    fn cycles(&self) -> Vec<(ProblemKind, String)> {
        let mut ends: FxHashSet<Spot> = FxHashSet::default();
        let mut problems = Vec::new();
        for (start, seen) in &self.nodes {
            if seen.kind != NodeKind::Directory {
                continue;
            }
            let mut trail = FxHashSet::default();
            let mut current = *start;
            let cycle = loop {
                if ends.contains(&current) {
                    break false;
                }
                if !trail.insert(current) {
                    break true;
                }
                match self
                    .nodes
                    .get(&current)
                    .and_then(|seen| seen.place.as_ref())
                {
                    Some((parent, _)) => current = (*parent, current.1),
                    None => break false,
                }
            };
            if cycle {
                let message = format!("directory {} is inside of itself", start.0);
                problems.push((ProblemKind::WrongPlace, message));
            }
            ends.extend(trail);
        }
        problems
    }
}

fn flaw_of_node(node: NodeId, seen: &Seen) -> Option<(ProblemKind, String)> {
    if seen.entries_to == 0 {
        return Some((
            ProblemKind::Unreachable,
            format!("no entry leads to node {node}"),
        ));
    }
    if seen.kind == NodeKind::Directory {
        let right = seen.entries_to == 1 && seen.place_confirmed;
        return (!right).then(|| {
            let message = format!("directory {node} is not where its record says");
            (ProblemKind::WrongPlace, message)
        });
    }
    if seen.links == 1 && seen.entries_to == 1 && !seen.place_confirmed {
        let message = format!("node {node} is not in the directory that its record says");
        return Some((ProblemKind::WrongPlace, message));
    }
    (seen.links != seen.entries_to).then(|| {
        let message = format!(
            "node {node} counts {} names, has {}",
            seen.links, seen.entries_to
        );
        (ProblemKind::WrongLinks, message)
    })
}

fn spot(key: &[u8]) -> Result<Spot, Malformed> {
    orphan::directory(key.get(..12).unwrap_or_default())
}

impl CheckReport {
    /// `Ok` when everything fits. **Errors**: `Corrupt` with the first problem and their number.
    pub fn verdict(&self) -> Result<(), Failure> {
        match self.problems.first() {
            None => Ok(()),
            Some(first) => Err(contradiction(format!(
                "{} problems; the first: {}",
                self.problems.len(),
                first.message
            ))),
        }
    }
}
