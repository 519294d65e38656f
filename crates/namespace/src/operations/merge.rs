//! Merging a branch into the directory that it was made from: one command, however much it
//! changes.
//!
//! Invariants:
//! - what the target changed since the branch's base is never overwritten, unless the caller chose
//!   that the branch wins;
//! - the command checks each key of the target that it changes, that the directories which go are
//!   empty, and that the branch did not change since it was compared;
//! - after a merge the branch rests on the version of the merge and has no records of its own: it
//!   shows what its target shows. What it was stays readable like all of the past.

use super::merge_plan::{Decision, Ends, ThreeWay, hangs_in, record, xattrs};
use super::read::find_spot;
use super::side::Side;
use super::touched::Touched;
use crate::failure::{invalid, malformed};
use crate::fingerprint::Fingerprint;
use crate::layers::Layer;
use crate::namespace::Turn;
use crate::plan::{BranchEnd, NewBranch, Plan, Topology};
use crate::reader::Reader;
use crate::records::event::EventKind;
use crate::records::{
    COUNTER, DirectoryPlace, ENTRY, Moment, NAMES, NODE, NodeRecord, ORPHAN, XATTR, branch,
    counter, is_whiteout, spot_at,
};
use crate::spot::{Child, Met, Spot};
use crate::{Context, Follow, MergeOutcome, MergeRun, Merged, Namespace, OnConflict, Target};
use nokv_shard::{Check, Key, Write};
use nokv_types::{BranchId, Failure, Name, NodeId, Reason, Version};
use rustc_hash::FxHashSet;
use std::collections::BTreeMap;

impl Namespace {
    /// Merges a branch into the directory that it was made from (which may have moved since). One
    /// command; what both changed is a conflict and never overwritten unless told so.
    ///
    /// After it the branch rests on the merge: it shows what the directory shows, and goes on.
    ///
    /// **Errors**: as [`Self::lookup`]; `InvalidArgument` when `source` is no branch or `target`
    /// not what it was made from; `TooLarge` for more than [`crate::MERGE_CHANGES_MAX`] changes;
    /// `Conflict` when two directories would be inside of each other. Other conflicts are listed in
    /// the answer.
    pub fn merge<'a>(
        &self,
        context: &Context,
        source: impl Into<Target<'a>>,
        target: impl Into<Target<'a>>,
        on_conflict: OnConflict,
        run: MergeRun,
    ) -> Result<Merged, Failure> {
        let (source, target) = (source.into(), target.into());
        let mut fingerprint = Fingerprint::new("merge");
        fingerprint.target(source).target(target);
        fingerprint.debug(&on_conflict).debug(&run);
        // The version that the branch will rest on is known, and pinned, only when it is there: the
        // collector waits.
        let _turn = self.inner.reclaiming.lock();
        let based = std::cell::Cell::new(None);
        let merged = self.mutate_in(Turn::Held, context, fingerprint.finish(), |plan| {
            based.set(None);
            let (mut three, id) = three_way(plan, source, target)?;
            let mut touched = Touched::default();
            let at = plan.reader.at;
            self.own_records(Layer { branch: id, at }, &mut touched)?;
            let decision = Decision::of(&mut three, touched, on_conflict)?;
            let open =
                decision.stuck || on_conflict == OnConflict::Fail && !decision.conflicts.is_empty();
            let outcome = match run {
                _ if open => MergeOutcome::Conflicts,
                MergeRun::DryRun => MergeOutcome::Tried,
                MergeRun::Merge => MergeOutcome::Merged,
            };
            let merged = Merged {
                version: Version::ZERO,
                outcome,
                changes: (decision.names.len() + decision.contents.len()) as u64,
                conflicts: decision.conflicts.iter().cloned().collect(),
            };
            if outcome == MergeOutcome::Merged {
                Merge { plan, three }.apply(&decision)?;
                self.rebase(plan, id)?;
                based.set(Some(id));
            }
            Ok(merged)
        })?;
        if let Some(id) = based.get() {
            self.inner.pins.hold(merged.version).keep();
            crate::layers::pin_base(self.shard(), id, merged.version)?;
        }
        Ok(merged)
    }

    /// Lets a branch rest on the version of the command, without records of its own.
    fn rebase(&self, plan: &mut Plan<'_>, id: BranchId) -> Result<(), Failure> {
        let (mut record, version) = plan.branch_record(id)?;
        plan.end_base(id, &record, version);
        (record.base, record.since) = (Moment::ThisRecord, Moment::ThisRecord);
        plan.write(Write::Put(branch::key(id), record.encode()));
        let changes = branch::changes_key(id);
        plan.check(match plan.reader.stored(&changes)? {
            None => Check::Absent(changes.clone()),
            Some(_) => Check::UnchangedSince(changes.clone(), plan.reader.at),
        });
        plan.write(Write::Delete(changes));
        let layer = Layer {
            branch: id,
            at: plan.reader.at,
        };
        for item in self.branch_records(NODE, layer)? {
            let (key, found) = item?;
            if is_whiteout(id, &found.value) {
                continue;
            }
            let flaw = |flaw| malformed(&Key::new(NODE, &key), &flaw);
            let (node, _) = spot_at(&key, 0).map_err(flaw)?;
            let mut record = NodeRecord::decode(&found.value).map_err(flaw)?;
            record.resolve_moments(found.version);
            plan.bury(Spot::live(node, id, plan.reader.at), &record);
        }
        for keyspace in [NODE, ENTRY, XATTR, COUNTER, NAMES, ORPHAN] {
            for range in self.branch_ranges(keyspace, layer)? {
                plan.write(range);
            }
        }
        Ok(())
    }
}

/// The three trees of a merge, and the branch.
fn three_way<'a>(
    plan: &mut Plan<'a>,
    source: Target<'_>,
    target: Target<'_>,
) -> Result<(ThreeWay<'a>, BranchId), Failure> {
    let shown = super::read::shown;
    plan.rests_on(Topology::Rests);
    let mut reader = plan.reader;
    let theirs = find_spot(&mut reader, plan.root, source, Follow::Yes)?;
    let ours = find_spot(&mut reader, plan.root, target, Follow::Yes)?;
    if theirs.is_trunk() || theirs.met == Met::Through {
        return Err(invalid(format!("{} is not a branch", shown(source))));
    }
    let chain = reader.chain(theirs)?;
    if chain.record.root != theirs.node {
        return Err(invalid(format!(
            "{} is in branch {}, but not its root; merge that",
            shown(source),
            theirs.branch
        )));
    }
    if (ours.node, ours.branch) != (theirs.node, chain.record.parent) || ours.met == Met::Through {
        return Err(invalid(format!(
            "{} was not made from {}, but from node {} of branch {}; merge into that",
            shown(source),
            shown(target),
            theirs.node,
            chain.record.parent
        )));
    }
    plan.rests_on_branch(theirs);
    plan.rests_on_branch(ours);
    let base = Spot {
        at: chain.base(),
        ..ours
    };
    let at_base = Reader {
        at: base.at,
        moves: None,
        ..reader
    };
    let three = ThreeWay {
        base: Side::new(at_base, base),
        ours: Side::new(reader, ours),
        theirs: Side::new(reader, theirs),
        ends: Ends::Never,
    };
    Ok((three, theirs.branch))
}

/// A merge on its way into a plan.
pub(super) struct Merge<'p, 'a> {
    pub(super) plan: &'p mut Plan<'a>,
    pub(super) three: ThreeWay<'a>,
}

impl Merge<'_, '_> {
    pub(super) fn apply(mut self, decision: &Decision) -> Result<(), Failure> {
        self.plan.rests_on(Topology::Moves);
        let hung = self.hung(decision)?;
        let links = decision.links(&self.three);
        let mut moved = Vec::new();
        for ((node, nested), delta) in &links {
            if nested.is_none() && !hung.contains(node) {
                self.node_with_names(*node, *delta, decision)?;
            }
        }
        for node in &decision.contents {
            self.change(*node)?;
        }
        for ((directory, name), change) in &decision.names {
            let spot = self.three.ours.spot(*directory);
            if let Some(before) = change.before.filter(|child| child.is_branch_root(&spot)) {
                self.plan.unhang(&before, BranchEnd::Empty)?;
            }
            let now = match &change.now {
                None => None,
                Some(child) if hung.contains(&child.node()) || self.is_past_branch(child)? => {
                    let new = NewBranch {
                        origin: self.plan.simplest(child.spot)?,
                        directory: spot,
                        name: name.clone(),
                    };
                    self.plan.begin_branch(new)?;
                    continue;
                }
                Some(child) => Some(self.arrives(spot, name, child, &mut moved)?),
            };
            self.plan.set_entry(spot, name, now)?;
        }
        for ((node, nested), delta) in links {
            if nested.is_none() && delta < 0 && !hung.contains(&node) {
                self.may_go(node)?;
            }
        }
        self.announce(decision, &hung)?;
        moved
            .into_iter()
            .try_for_each(|directory| self.no_cycle(directory))
    }

    /// Directories of the past that come back whole: what was in them is not among the changes.
    fn hung(&self, decision: &Decision) -> Result<FxHashSet<NodeId>, Failure> {
        let mut hung = FxHashSet::default();
        if self.three.ends == Ends::Never {
            return Ok(hung);
        }
        for change in decision.names.values() {
            let Some(child) = change.now.filter(Child::is_directory) else {
                continue;
            };
            let inside = child.spot.same_chain(&self.three.theirs.root);
            if !inside || record(&self.three.ours, child.node())?.is_some() {
                continue;
            }
            let there = self.three.theirs.reader.counter(child.spot)?;
            let told = decision.names.iter().filter(|((directory, _), change)| {
                *directory == child.node() && change.now.is_some()
            });
            if there.sum(counter::ENTRIES) > i64::try_from(told.count()).unwrap_or(i64::MAX) {
                hung.insert(child.node());
            }
        }
        Ok(hung)
    }

    /// Whether it is the root of a branch that hangs here no more.
    fn is_past_branch(&self, child: &Child) -> Result<bool, Failure> {
        let theirs = &self.three.theirs;
        if self.three.ends == Ends::Never || child.spot.same_chain(&theirs.root) {
            return Ok(false);
        }
        let (engine, at) = (self.plan.reader.engine, self.plan.reader.at);
        Ok(crate::layers::read(engine, child.spot.branch, at)?.is_none())
    }

    /// Makes a node that the target does not have, or counts its names.
    fn node_with_names(
        &mut self,
        node: NodeId,
        delta: i64,
        decision: &Decision,
    ) -> Result<(), Failure> {
        let spot = self.three.ours.spot(node);
        let links = |before: u32| {
            u32::try_from(i64::from(before).saturating_add(delta).max(0)).unwrap_or(u32::MAX)
        };
        if record(&self.three.ours, node)?.is_none() {
            let Some(mut made) = record(&self.three.theirs, node)? else {
                return Ok(());
            };
            made.links = links(0);
            made.home = None;
            made.ctime = self.plan.context.now;
            made.xattrs = 0;
            if made.body.extent_count() > 0 {
                let body = self
                    .three
                    .theirs
                    .reader
                    .body(self.three.theirs.spot(node), &made)?;
                self.plan.adopt(spot, &mut made, body)?;
            }
            made.owner = None;
            self.set_xattrs(node, &mut made)?;
            return self.plan.make_node(spot, made);
        }
        let mut changed = self.plan.checked_node(spot)?;
        if !changed.is_directory() && (delta != 0 || decision.contents.contains(&node)) {
            changed.links = links(changed.links);
            changed.ctime = self.plan.context.now;
            self.plan.put_node(spot, changed)?;
        }
        Ok(())
    }

    /// Gives a node of the target what the branch has.
    fn change(&mut self, node: NodeId) -> Result<(), Failure> {
        let spot = self.three.ours.spot(node);
        let Some(wanted) = record(&self.three.theirs, node)? else {
            return Ok(());
        };
        let mut changed = self.plan.checked_node(spot)?;
        if !super::diff::same_body(&changed, &wanted) {
            let from = self.three.theirs.spot(node);
            let body = self.three.theirs.reader.body(from, &wanted)?;
            self.plan.bury(spot, &changed);
            self.plan.adopt(spot, &mut changed, body)?;
        }
        (changed.mode, changed.uid, changed.gid) = (wanted.mode, wanted.uid, wanted.gid);
        (changed.atime, changed.mtime) = (wanted.atime, wanted.mtime);
        changed.ctime = self.plan.context.now;
        self.set_xattrs(node, &mut changed)?;
        self.plan.put_node(spot, changed)
    }

    /// Writes the extended attributes that the target's node does not have like the branch's.
    fn set_xattrs(&mut self, node: NodeId, changed: &mut NodeRecord) -> Result<(), Failure> {
        let spot = self.three.ours.spot(node);
        let wanted = xattrs(&self.three.theirs, node)?;
        let present = match record(&self.three.ours, node)? {
            None => BTreeMap::new(),
            Some(_) => xattrs(&self.three.ours, node)?,
        };
        changed.xattrs = self.plan.write_xattrs(spot, &wanted, &present)?;
        Ok(())
    }

    /// What a name of the branch leads to in the target.
    fn arrives(
        &mut self,
        directory: Spot,
        name: &Name,
        child: &Child,
        moved: &mut Vec<Spot>,
    ) -> Result<Child, Failure> {
        if hangs_in(child, &self.three.theirs) {
            self.plan.rehang(child.spot.branch, directory, name)?;
            let spot = Spot::live(child.node(), child.spot.branch, self.plan.reader.at);
            let kind = child.kind;
            return Ok(Child { kind, spot });
        }
        if !child.spot.same_chain(&self.three.theirs.root) {
            return Err(Failure::new(
                Reason::NotPermitted,
                format!(
                    "{name} is branch {} as it was when this one was made; it can't move with a \
                     merge, branch it in the target",
                    child.spot.branch
                ),
            ));
        }
        let spot = self.three.ours.spot(child.node());
        if child.is_directory() {
            let mut record = self.plan.checked_node(spot)?;
            record.place = Some(DirectoryPlace {
                parent: directory.node,
                name: name.clone(),
            });
            self.plan.put_node(spot, record)?;
            moved.push(spot);
        }
        Ok(Child {
            kind: child.kind,
            spot,
        })
    }

    /// Takes a node away that has lost its last name.
    fn may_go(&mut self, node: NodeId) -> Result<(), Failure> {
        let spot = self.three.ours.spot(node);
        let mut record = self.plan.checked_node(spot)?;
        if record.is_directory() {
            return self.plan.drop_emptied(spot);
        }
        if record.links == 0 {
            self.plan.lose_last_name(spot, &mut record)?;
        }
        Ok(())
    }

    /// A directory that came to a place does not lie in itself.
    fn no_cycle(&mut self, directory: Spot) -> Result<(), Failure> {
        let mut seen = FxHashSet::default();
        let mut current = Some(directory);
        while let Some(at) = current {
            if !seen.insert(at) {
                return Err(Failure::new(
                    Reason::Conflict,
                    format!(
                        "directory {} would be inside of itself: both sides moved directories",
                        directory.node
                    ),
                ));
            }
            current = crate::walk::Source::parent(self.plan, at)?;
        }
        Ok(())
    }

    fn announce(&mut self, decision: &Decision, hung: &FxHashSet<NodeId>) -> Result<(), Failure> {
        let mut left: BTreeMap<NodeId, Vec<(NodeId, Name)>> = BTreeMap::new();
        for (at, change) in &decision.names {
            if let Some(child) = change.before {
                left.entry(child.node()).or_default().push(at.clone());
            }
        }
        let mut told = FxHashSet::default();
        for (at, change) in &decision.names {
            let Some(child) = change.now else { continue };
            // Making a branch tells of it.
            if hung.contains(&child.node()) || self.is_past_branch(&child)? {
                continue;
            }
            let from = left.get_mut(&child.node()).and_then(Vec::pop);
            let to = Some((self.three.ours.spot(at.0), at.1.clone()));
            let kind = match (&from, hangs_in(&child, &self.three.theirs)) {
                (_, true) => EventKind::Branched,
                (Some(_), _) => EventKind::Renamed,
                (None, _) => EventKind::Created,
            };
            told.insert(child.node());
            let from = from.map(|(directory, name)| (self.three.ours.spot(directory), name));
            self.tell(kind, child.node(), from, to)?;
        }
        for (node, names) in left {
            for (directory, name) in names {
                let from = Some((self.three.ours.spot(directory), name));
                self.tell(EventKind::Removed, node, from, None)?;
            }
        }
        for node in &decision.contents {
            if !told.contains(node) {
                let to = self.name_of(*node)?;
                self.tell(EventKind::Published, *node, None, to)?;
            }
        }
        Ok(())
    }

    /// A name of a node in the target, if the branch says one.
    fn name_of(&mut self, node: NodeId) -> Result<Option<(Spot, Name)>, Failure> {
        let ours = self.three.ours.spot(node);
        let found = record(&self.three.ours, node)?;
        match found {
            Some(record) if record.is_directory() => {
                self.three.ours.reader.parent_of(ours, &record)
            }
            _ => Ok(None),
        }
    }

    fn tell(
        &mut self,
        kind: EventKind,
        node: NodeId,
        from: Option<(Spot, Name)>,
        to: Option<(Spot, Name)>,
    ) -> Result<(), Failure> {
        let spot = self.three.ours.spot(node);
        let found = match record(&self.three.theirs, node)? {
            Some(found) => Some(found),
            None => record(&self.three.ours, node)?,
        };
        if let Some(found) = found {
            self.plan.announce(kind, spot, &found, from, to);
        }
        Ok(())
    }
}
