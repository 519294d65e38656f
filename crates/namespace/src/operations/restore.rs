//! Putting the past in place, and taking commands back.
//!
//! A directory of the past comes back as a branch of it, in a few records whatever it holds; a file
//! gets its body and attributes of then. What was there goes as if removed, so it can be brought
//! back the same way.
//!
//! Undo is a merge: of the state before the command, seen as changes from the state after it, into
//! the present ([`super::merge_plan`]). So what changed since is a conflict and never overwritten.

use super::merge::Merge;
use super::merge_plan::{Decision, Ends, ThreeWay};
use super::read::{find_spot, shown};
use super::side::Side;
use super::touched::Touched;
use super::watch::decode_events;
use crate::failure::{from_shard, invalid};
use crate::fingerprint::Fingerprint;
use crate::plan::{NewBranch, Plan, Topology};
use crate::reader::Reader;
use crate::records::NodeRecord;
use crate::records::event::{EventKind, Events};
use crate::spot::{Child, Spot};
use crate::walk::missing;
use crate::{Context, Follow, Namespace, OnConflict, Place, Restored, Undone};
use nokv_shard::LogRecord;
use nokv_types::{Failure, MountId, Name, Reason, Version};

impl Namespace {
    /// Puts what a place held at a version in place of what it holds now. A directory comes back as
    /// a branch of then, in one step; a file keeps its node where it is the same.
    ///
    /// **Errors**: as [`Self::remove`]; `NotFound` when there was nothing then; `Compacted` when
    /// the version is no longer retained; `NotPermitted` for a root.
    pub fn restore<'a>(
        &self,
        context: &Context,
        place: impl Into<Place<'a>>,
        at: Version,
    ) -> Result<Restored, Failure> {
        let place = place.into();
        self.admit_version(at, self.read_version())?;
        let _hold = self.inner.pins.hold(at);
        let mut fingerprint = Fingerprint::new("restore");
        fingerprint.place(place).debug(&at);
        let restored = self.mutate(context, fingerprint.finish(), |plan| {
            let (directory, name) = plan.place(place)?;
            let past = Reader {
                at,
                moves: None,
                ..plan.reader
            };
            let root = Spot { at, ..plan.root };
            let mut walker = past;
            let then = find_spot(&mut walker, root, place.into(), Follow::No);
            let then = then.map_err(|failure| failure.context(format_args!("at {at}")))?;
            let record = past.node_record(then)?;
            let record = record.ok_or_else(|| missing(&shown(place.into())))?.record;
            put_back(plan, (directory, &name), (past, then, &record))
        });
        self.still_retained(at)?;
        restored
    }

    /// Takes back what the command of a version did, whatever happened elsewhere since.
    ///
    /// Afterwards all is as before the command, but for generations, which only grow, times of
    /// change of directories, and a removed tree, which comes back as a branch of what it was.
    ///
    /// **Errors**: `NotFound` when no command of the mount has this version or it changed nothing
    /// that has a name; `Compacted` when it is no longer retained; `Conflict`, naming the first
    /// thing that changed since; `Unsupported` for a command that changed several branches.
    pub fn undo(&self, context: &Context, version: Version) -> Result<Undone, Failure> {
        let before = version.previous();
        self.admit_version(before, self.read_version())?;
        let _hold = self.inner.pins.hold(before);
        let _after = self.inner.pins.hold(version);
        let events = self.events_of(context.mount, version)?;
        let mut fingerprint = Fingerprint::new("undo");
        fingerprint.debug(&version);
        let undone = self.mutate(context, fingerprint.finish(), |plan| {
            let (branch, touched) = touched(&events, version)?;
            let spot = match branch == context.branch {
                true => plan.root,
                false => self.root_spot(&plan.reader, context.mount, branch)?,
            };
            plan.rests_on(Topology::Rests);
            plan.rests_on_branch(spot);
            let side = |at| {
                let reader = Reader {
                    at,
                    moves: None,
                    ..plan.reader
                };
                Side::new(reader, Spot { at, ..spot })
            };
            let mut three = ThreeWay {
                base: side(version),
                ours: side(plan.reader.at),
                theirs: side(before),
                ends: Ends::Unchanged,
            };
            let decision = Decision::of(&mut three, touched, OnConflict::Fail)?;
            if let Some(conflict) = decision.conflicts.first() {
                return Err(Failure::new(
                    Reason::Conflict,
                    format!(
                        "{} changed since version {version} ({:?}); undo that first, or restore",
                        conflict.path, conflict.kind
                    ),
                ));
            }
            let changes = (decision.names.len() + decision.contents.len()) as u64;
            Merge { plan, three }.apply(&decision)?;
            Ok(Undone {
                version: Version::ZERO,
                changes,
            })
        });
        self.still_retained(before)?;
        undone
    }

    /// The events of the command of a version.
    fn events_of(&self, mount: MountId, version: Version) -> Result<Events, Failure> {
        let page = self
            .shard()
            .log_after(version.previous(), 1)
            .map_err(from_shard)?;
        let page = page.ok_or_else(|| {
            Failure::new(
                Reason::Compacted,
                format!("the command of version {version} is no longer retained"),
            )
        })?;
        let nothing = || {
            Failure::new(
                Reason::NotFound,
                format!("no command with a name to take back has version {version}"),
            )
        };
        let record: &LogRecord = page
            .records
            .iter()
            .find(|record| record.version == version)
            .ok_or_else(nothing)?;
        let events = decode_events(&record.events)?.ok_or_else(nothing)?;
        match events.mount == mount {
            true => Ok(events),
            false => Err(nothing()),
        }
    }
}

/// What a command touched, and in which branch.
fn touched(events: &Events, version: Version) -> Result<(nokv_types::BranchId, Touched), Failure> {
    let mut touched = Touched::default();
    let mut branch = None;
    for event in &events.events {
        if matches!(
            event.kind,
            EventKind::Snapshot | EventKind::SnapshotRenewed | EventKind::SnapshotRemoved
        ) {
            continue;
        }
        if *branch.get_or_insert(event.branch) != event.branch {
            return Err(Failure::new(
                Reason::Unsupported,
                format!("version {version} changed several branches; restore their parts"),
            ));
        }
        touched.nodes.insert(event.node);
        touched.nodes.extend(event.displaced);
        for (directory, name) in [&event.from, &event.to].into_iter().flatten() {
            touched.entry(*directory, name)?;
        }
    }
    let branch = branch.ok_or_else(|| invalid(format!("version {version} changed no name")))?;
    Ok((branch, touched))
}

/// Puts a node of the past under a name.
fn put_back(
    plan: &mut Plan<'_>,
    (directory, name): (Spot, &Name),
    (past, then, record): (Reader<'_>, Spot, &NodeRecord),
) -> Result<Restored, Failure> {
    let now = plan.checked_entry(directory, name)?;
    let displaced = now.map(|child| child.node());
    let mut restored = Restored {
        version: Version::ZERO,
        node: then.node,
        branch: None,
        displaced,
    };
    let same = now.is_some_and(|child| !child.is_directory() && child.node() == then.node);
    if same && !record.is_directory() {
        let child = now.expect("it is the same node");
        content_of_then(plan, child.spot, (past, then, record))?;
        let to = Some((directory, name.clone()));
        plan.announce(EventKind::Published, child.spot, record, None, to);
        return Ok(restored);
    }
    if let Some(child) = &now {
        if child.is_directory() {
            plan.rests_on(Topology::Moves);
            plan.release_tree(directory, child)?;
        } else {
            plan.release(directory, child)?;
        }
    }
    if record.is_directory() {
        let new = NewBranch {
            origin: plan.simplest(then)?,
            directory,
            name: name.clone(),
        };
        let (id, _) = plan.begin_branch(new)?;
        restored.branch = Some(id);
    } else {
        restored.node = file_of_then(plan, (directory, name), (past, then, record))?.node;
    }
    if let Some(event) = plan.last_event() {
        event.displaced = displaced;
    }
    Ok(restored)
}

/// Makes a file of the past anew; under its own id, unless that lives elsewhere.
fn file_of_then(
    plan: &mut Plan<'_>,
    (directory, name): (Spot, &Name),
    (past, then, record): (Reader<'_>, Spot, &NodeRecord),
) -> Result<Spot, Failure> {
    let own = directory.with_node(then.node);
    let lives = plan.peek_node(own)?.is_some() || plan.is_planned(own);
    let spot = match lives {
        true => directory.with_node(plan.fresh_id(directory)?),
        false => own,
    };
    let mut made = NodeRecord {
        links: 1,
        home: None,
        xattrs: 0,
        owner: None,
        ctime: plan.context.now,
        ..record.clone()
    };
    if record.body.extent_count() > 0 {
        plan.adopt(spot, &mut made, past.body(then, record)?)?;
    }
    made.xattrs = plan.write_xattrs(spot, &past.xattrs(then)?, &[].into())?;
    plan.make_node(spot, made.clone())?;
    let child = Child {
        kind: made.kind,
        spot,
    };
    plan.set_entry(directory, name, Some(child))?;
    let to = Some((directory, name.clone()));
    plan.announce(EventKind::Created, spot, &made, None, to);
    Ok(spot)
}

/// Gives a file the body and the attributes that it had.
fn content_of_then(
    plan: &mut Plan<'_>,
    spot: Spot,
    (past, then, record): (Reader<'_>, Spot, &NodeRecord),
) -> Result<(), Failure> {
    let mut changed = plan.checked_node(spot)?;
    if !super::diff::same_body(&changed, record) {
        plan.bury(spot, &changed);
        plan.adopt(spot, &mut changed, past.body(then, record)?)?;
    }
    (changed.mode, changed.uid, changed.gid) = (record.mode, record.uid, record.gid);
    (changed.atime, changed.mtime) = (record.atime, record.mtime);
    changed.ctime = plan.context.now;
    let present = plan.reader.xattrs(spot)?;
    changed.xattrs = plan.write_xattrs(spot, &past.xattrs(then)?, &present)?;
    plan.put_node(spot, changed)
}
