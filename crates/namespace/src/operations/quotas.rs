//! Quotas: setting, reading, checking and removing them; counting what is there beside writers.
//!
//! How a populated directory gets a quota, exactly, while others write into it:
//!
//! 1. One command begins it at version *V*: the usage is nothing, the record says *counting*, and
//!    the mount's topology moves. From *V* on every change below adds to the usage, because no
//!    command that was planned before *V* passes its check of the topology.
//! 2. What was there at *V* is counted by reading *V*, which is held readable meanwhile.
//! 3. One command adds that and says *counted*. Now the usage is what is there, and the limits
//!    hold.
//!
//! Interrupted between, the quota stays *counting* and limits nothing; setting it again begins
//! anew.

use super::read::{existing, find_spot};
use crate::failure::{from_engine, malformed};
use crate::fingerprint::Fingerprint;
use crate::plan::Plan;
use crate::reader::Reader;
use crate::records::NodeRecord;
use crate::records::event::EventKind;
use crate::records::orphan::{self, OrphanRecord};
use crate::records::quota::{self, BYTES, INODES, Phase, Purpose, QuotaRecord};
use crate::spot::{Child, Spot};
use crate::walk::{missing, not_directory};
use crate::{
    Context, Follow, Left, Namespace, Quota, QuotaCheck, QuotaLimits, QuotaState, QuotaUsage, Room,
    Target, Topology, View,
};
use nokv_engine::{Direction, KeyRange};
use nokv_shard::{Add, Change, Check, Counter, Key, Write};
use nokv_types::{BranchId, Failure, MountId, NodeId, NodeKind, Reason, Version};

/// Quotas are of the trunk.
const TRUNK: BranchId = BranchId::TRUNK;
/// Entries read at a time: bounds memory, not the answer.
const STEP_ENTRIES: usize = 4096;
/// Most times that a directory is counted anew because what was read was given up meanwhile.
const COUNTS_MAX: usize = 4;
/// How long a tally that nobody used is kept: the rename that wanted it has long failed.
const TALLY_MS_MAX: u64 = 3_600_000;

impl Namespace {
    /// Limits what a directory may hold; for the root, what the mount may. What is there counts,
    /// also if it is more. Takes time in proportion to what is there, unless the directory has a
    /// quota already; nobody else waits.
    ///
    /// **Errors**: `NotFound`, `NotDirectory`; `Unsupported` in a branch.
    pub fn set_quota<'a>(
        &self,
        context: &Context,
        directory: impl Into<Target<'a>>,
        limits: QuotaLimits,
    ) -> Result<Quota, Failure> {
        context.expects_nothing()?;
        let target = directory.into();
        let mut fingerprint = Fingerprint::new("set_quota");
        fingerprint.target(target).debug(&limits);
        let fingerprint = fingerprint.finish();
        if let Some(answer) = self.answered(context, fingerprint)? {
            return Ok(answer);
        }
        let purpose = Purpose::Limit;
        for _ in 0..COUNTS_MAX {
            let begun = self.begin_count(context, target, (purpose, limits))?;
            let counted = match begun.phase {
                Phase::Counted => QuotaUsage::default(),
                Phase::Counting => match self.count_held(&begun) {
                    Ok(counted) => counted,
                    Err(failure) if failure.reason() == Reason::Compacted => continue,
                    Err(failure) => return Err(failure),
                },
            };
            let set = self.mutate(context, fingerprint, |plan| {
                finish_count(plan, &begun, (purpose, limits), counted)
            });
            match set {
                Err(failure) if failure.reason() == Reason::Conflict => {}
                set => return set,
            }
        }
        Err(Failure::new(
            Reason::Conflict,
            "the directory could not be counted in peace; try again later",
        ))
    }

    /// The quota of a directory itself. **Errors**: as [`Self::lookup`]; `NotFound` when it has
    /// none.
    pub fn quota<'a>(
        &self,
        mount: MountId,
        directory: impl Into<Target<'a>>,
    ) -> Result<Quota, Failure> {
        let target = directory.into();
        self.read(&View::latest(mount), |mut reader, root| {
            let node = trunk_node(find_spot(&mut reader, root, target, Follow::Yes)?)?;
            let record = reader.quota(node)?;
            match record.filter(|record| record.purpose == Purpose::Limit) {
                Some(record) => described(&reader, root, node, &record),
                None => Err(none(&super::read::shown(target))),
            }
        })
    }

    /// The quotas of a mount, in order of their directories' nodes.
    pub fn quotas(&self, mount: MountId) -> Result<Vec<Quota>, Failure> {
        self.read(&View::latest(mount), |reader, root| {
            let mut quotas = Vec::new();
            for (directory, record) in all(&reader)? {
                if record.mount == mount && record.purpose == Purpose::Limit {
                    quotas.push(described(&reader, root, directory, &record)?);
                }
            }
            Ok(quotas)
        })
    }

    /// Removes the quota of a directory. **Errors**: as [`Self::quota`].
    pub fn remove_quota<'a>(
        &self,
        context: &Context,
        directory: impl Into<Target<'a>>,
    ) -> Result<Quota, Failure> {
        let target = directory.into();
        let mut fingerprint = Fingerprint::new("remove_quota");
        fingerprint.target(target);
        self.mutate(context, fingerprint.finish(), |plan| {
            let node = directory_of(plan, target)?;
            let record = plan.reader.quota(node)?;
            let record = record.filter(|record| record.purpose == Purpose::Limit);
            let record = record.ok_or_else(|| none(&super::read::shown(target)))?;
            let quota = described(&plan.reader, plan.root, node, &record)?;
            let key = quota::key(node, TRUNK);
            plan.check(Check::UnchangedSince(key.clone(), plan.reader.at));
            plan.rests_on(Topology::Moves);
            plan.write(Write::Delete(key));
            plan.write(Write::Delete(quota::usage_key(node, TRUNK)));
            announce(plan, node)?;
            Ok(quota)
        })
    }

    /// Counts again what a quota has counted, at one version. **Errors**: as [`Self::quota`];
    /// `Conflict` while it is being counted the first time.
    pub fn check_quota<'a>(
        &self,
        mount: MountId,
        directory: impl Into<Target<'a>>,
    ) -> Result<QuotaCheck, Failure> {
        let target = directory.into();
        let hold = self.hold(self.read_version())?;
        let view = View::latest(mount).at(hold.version());
        self.read(&view, |mut reader, root| {
            let node = trunk_node(find_spot(&mut reader, root, target, Follow::Yes)?)?;
            let record = reader.quota(node)?;
            let record = record.ok_or_else(|| none(&super::read::shown(target)))?;
            if record.phase == Phase::Counting {
                return Err(Failure::new(
                    Reason::Conflict,
                    "the quota is being counted; if nobody does, set it again",
                ));
            }
            let mut recounted = count(&reader, node)?;
            for (top, charged) in orphans(&reader)? {
                if charged.quotas.contains(&(node, record.id)) {
                    let more = count(&reader, top)?;
                    recounted.bytes = recounted.bytes.saturating_add(more.bytes);
                    recounted.inodes += more.inodes;
                }
            }
            Ok(QuotaCheck {
                version: reader.at,
                counted: usage(&reader, node)?,
                recounted,
            })
        })
    }

    /// The room that is left below a directory, or where a file is: the tightest of the quotas
    /// above.
    pub fn room<'a>(&self, view: &View, target: impl Into<Target<'a>>) -> Result<Room, Failure> {
        let target = target.into();
        self.read(view, |mut reader, root| {
            let spot = find_spot(&mut reader, root, target, Follow::Yes)?;
            let node = existing(&reader, spot)?;
            let directories = match node.attributes.kind {
                // What a branch holds counts nowhere until it is merged.
                _ if !spot.is_trunk() => Vec::new(),
                NodeKind::Directory => vec![node.id],
                _ => reader.directories_of(spot)?,
            };
            let mut room = Room::default();
            for directory in directories {
                for quota in reader.quotas_of(directory)?.iter() {
                    if quota.record.phase == Phase::Counted {
                        let used = usage(&reader, quota.directory)?;
                        let limits = quota.record.limits;
                        tighten(&mut room.bytes, limits.bytes, used.bytes);
                        tighten(&mut room.inodes, limits.inodes, used.inodes);
                    }
                }
            }
            Ok(room)
        })
    }

    /// Whether the store has any quota.
    pub(crate) fn has_quotas(&self) -> Result<bool, Failure> {
        let mut scan = self
            .engine()
            .scan(
                quota::KEYSPACE,
                KeyRange::all(),
                self.read_version(),
                Direction::Forward,
            )
            .map_err(from_engine)?;
        Ok(scan.next().transpose().map_err(from_engine)?.is_some())
    }

    /// Counts a directory that is about to move between quotas, so that its usage can move with it.
    pub(crate) fn tally(&self, context: &Context, directory: NodeId) -> Result<(), Failure> {
        let purpose = (Purpose::Tally, QuotaLimits::default());
        for _ in 0..COUNTS_MAX {
            let begun = self.begin_count(context, directory.into(), purpose)?;
            if begun.phase == Phase::Counted {
                return Ok(());
            }
            let counted = match self.count_held(&begun) {
                Err(failure) if failure.reason() == Reason::Compacted => continue,
                counted => counted?,
            };
            let context = without_request(context);
            let finished = self.mutate(&context, 0, |plan| {
                finish_count(plan, &begun, purpose, counted)
            });
            match finished {
                Err(failure) if failure.reason() == Reason::Conflict => {}
                finished => return finished.map(drop),
            }
        }
        Err(Failure::new(
            Reason::Conflict,
            "a directory that moves between quotas could not be counted in peace; try again later",
        ))
    }

    /// Forgets tallies that no rename used.
    pub(super) fn expire_tallies(&self) -> Result<(), Failure> {
        if !self.inner.paths.quotas.any() {
            return Ok(());
        }
        let before = self.now_millis().saturating_sub(TALLY_MS_MAX);
        for (directory, record) in all(&self.newest_reader())? {
            // Those of a retired mount go with their directories.
            let lives = self.is_mounted(record.mount);
            if lives && record.purpose == Purpose::Tally && record.set_millis < before {
                let now = nokv_types::TimeNanos::new(self.inner.clock.now_nanos());
                let context = Context::new(record.mount, now);
                let key = quota::key(directory, TRUNK);
                let usage_key = quota::usage_key(directory, TRUNK);
                let dropped = self.mutate(&context, 0, |plan| {
                    let found = plan.reader.quota(directory)?;
                    if found == Some(record) {
                        plan.rests_on(Topology::Moves);
                        plan.check(Check::UnchangedSince(key.clone(), plan.reader.at));
                        plan.write(Write::Delete(key.clone()));
                        plan.write(Write::Delete(usage_key.clone()));
                    }
                    Ok(())
                });
                dropped?;
            }
        }
        Ok(())
    }

    /// Begins to count a directory, unless it is counted already.
    fn begin_count(
        &self,
        context: &Context,
        target: Target<'_>,
        (purpose, limits): (Purpose, QuotaLimits),
    ) -> Result<Begun, Failure> {
        // Before the command: whoever plans after it looks for quotas.
        self.inner.paths.quotas.begin();
        self.inner.paths.counts.quota_begins.add();
        let now = self.now_millis();
        let mut begun = self.mutate(&without_request(context), 0, |plan| {
            let directory = directory_of(plan, target)?;
            let key = quota::key(directory, TRUNK);
            let found = plan.reader.quota(directory)?;
            plan.check(match found {
                None => Check::Absent(key.clone()),
                Some(_) => Check::UnchangedSince(key.clone(), plan.reader.at),
            });
            let begun = Begun {
                version: Version::ZERO,
                directory,
                mount: plan.context.mount,
                id: plan.reader.at.as_u64(),
                phase: Phase::Counting,
            };
            if let Some(found) = found.filter(|found| found.phase == Phase::Counted) {
                return Ok(Begun {
                    id: found.id,
                    phase: Phase::Counted,
                    ..begun
                });
            }
            let record = QuotaRecord {
                // What somebody limits is not made less of by a rename that only counts.
                purpose: found.map_or(purpose, |found| match found.purpose {
                    Purpose::Limit => Purpose::Limit,
                    Purpose::Tally => purpose,
                }),
                phase: Phase::Counting,
                id: begun.id,
                mount: begun.mount,
                limits: match purpose {
                    Purpose::Limit => limits,
                    Purpose::Tally => found.map_or(limits, |found| found.limits),
                },
                set_millis: now,
            };
            plan.rests_on(Topology::Moves);
            plan.write(Write::Put(key, record.encode()));
            let usage = Add {
                key: quota::usage_key(directory, TRUNK),
                changes: [(BYTES, Change::Set(0)), (INODES, Change::Set(0))]
                    .into_iter()
                    .collect(),
                at_zero: None,
            };
            plan.add(usage);
            Ok(begun)
        })?;
        if begun.phase == Phase::Counted {
            begun.version = self.read_version();
        }
        Ok(begun)
    }

    /// What was in a directory when its count began.
    fn count_held(&self, begun: &Begun) -> Result<QuotaUsage, Failure> {
        let hold = self.hold(begun.version)?;
        let reader = Reader {
            at: hold.version(),
            moves: None,
            ..self.newest_reader()
        };
        count(&reader, begun.directory)
    }
}

/// A count that has begun.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    /// The version of the command: what was there then is to be counted.
    pub(crate) version: Version,
    pub(crate) directory: NodeId,
    pub(crate) mount: MountId,
    pub(crate) id: u64,
    pub(crate) phase: Phase,
}

/// Ends a count: the usage is complete.
fn finish_count(
    plan: &mut Plan<'_>,
    begun: &Begun,
    (purpose, limits): (Purpose, QuotaLimits),
    counted: QuotaUsage,
) -> Result<Quota, Failure> {
    let key = quota::key(begun.directory, TRUNK);
    let found = plan.reader.quota(begun.directory)?;
    let Some(found) = found.filter(|found| (found.id, found.phase) == (begun.id, begun.phase))
    else {
        return Err(Failure::new(
            Reason::Conflict,
            "somebody else set or removed the quota meanwhile; try again",
        ));
    };
    plan.check(Check::UnchangedSince(key.clone(), plan.reader.at));
    let record = QuotaRecord {
        purpose: if purpose == Purpose::Limit {
            purpose
        } else {
            found.purpose
        },
        phase: Phase::Counted,
        limits: if purpose == Purpose::Limit {
            limits
        } else {
            found.limits
        },
        ..found
    };
    plan.rests_on(Topology::Moves);
    plan.write(Write::Put(key, record.encode()));
    let more = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    if begun.phase == Phase::Counting {
        let mut usage = Add::one(
            quota::usage_key(begun.directory, TRUNK),
            BYTES,
            Change::Sum(more(counted.bytes)),
        );
        let inodes = Change::Sum(more(counted.inodes));
        usage.changes.push((INODES, inodes));
        plan.add(usage);
    }
    if record.purpose == Purpose::Limit {
        announce(plan, begun.directory)?;
    }
    let mut quota = described(&plan.reader, plan.root, begun.directory, &record)?;
    quota.usage.bytes = quota.usage.bytes.saturating_add(counted.bytes);
    quota.usage.inodes += counted.inodes;
    Ok(quota)
}

/// The live directory of a target; the command fails if it goes before.
fn directory_of(plan: &mut Plan<'_>, target: Target<'_>) -> Result<NodeId, Failure> {
    let mut reader = plan.reader;
    let spot = find_spot(&mut reader, plan.root, target, Follow::Yes)?;
    let node = existing(&reader, spot)?;
    if node.attributes.kind != NodeKind::Directory {
        return Err(not_directory(&super::read::shown(target)));
    }
    trunk_node(spot)?;
    if reader.path_of(plan.root, spot)?.is_none() {
        return Err(missing(&super::read::shown(target)));
    }
    plan.rests_on(Topology::Rests);
    plan.live_directory(spot)?;
    Ok(spot.node)
}

fn announce(plan: &mut Plan<'_>, directory: NodeId) -> Result<(), Failure> {
    let spot = Spot::trunk(directory, plan.reader.at);
    if let Some(found) = plan.reader.node_record(spot)? {
        let at = plan.reader.parent_of(spot, &found.record)?;
        plan.announce(EventKind::Quota, spot, &found.record, None, at);
    }
    Ok(())
}

fn described(
    reader: &Reader<'_>,
    root: Spot,
    directory: NodeId,
    record: &QuotaRecord,
) -> Result<Quota, Failure> {
    Ok(Quota {
        directory,
        path: reader.path_of(root, Spot::trunk(directory, root.at))?,
        limits: record.limits,
        usage: usage(reader, directory)?,
        state: match record.phase {
            Phase::Counting => QuotaState::Counting,
            Phase::Counted => QuotaState::Active,
        },
    })
}

/// What the counters of a quota say.
fn usage(reader: &Reader<'_>, directory: NodeId) -> Result<QuotaUsage, Failure> {
    let key = quota::usage_key(directory, TRUNK);
    match reader.stored(&key)? {
        None => Ok(QuotaUsage::default()),
        Some(found) => {
            let counter = Counter::decode(&found.value).map_err(|flaw| malformed(&key, &flaw))?;
            Ok(QuotaUsage::of(&counter))
        }
    }
}

/// What is below a directory of the trunk, by reading all of it. The root of a branch is a name;
/// what is in the branch counts nowhere until it is merged.
fn count(reader: &Reader<'_>, top: NodeId) -> Result<QuotaUsage, Failure> {
    let mut usage = QuotaUsage::default();
    let mut pending = vec![Spot::trunk(top, reader.at)];
    while let Some(directory) = pending.pop() {
        let mut after = None;
        loop {
            let found = reader.entries(directory, after.as_ref(), STEP_ENTRIES)?;
            let full = found.len() == STEP_ENTRIES;
            after = found.last().map(|(name, _)| name.clone());
            usage.inodes += found.len() as u64;
            let (directories, files): (Vec<_>, Vec<_>) = found
                .into_iter()
                .map(|(_, child)| child)
                .filter(|child| !child.is_branch_root(&directory))
                .partition(Child::is_directory);
            pending.extend(directories.into_iter().map(|child| child.spot));
            for node in reader.children(directory, &files)? {
                usage.bytes = usage.bytes.saturating_add(node.attributes.size);
            }
            if !full {
                break;
            }
        }
    }
    Ok(usage)
}

/// Every quota of the store.
fn all(reader: &Reader<'_>) -> Result<Vec<(NodeId, QuotaRecord)>, Failure> {
    let keyspace = quota::KEYSPACE;
    let scan = reader
        .engine
        .scan(keyspace, KeyRange::all(), reader.at, Direction::Forward)
        .map_err(from_engine)?;
    let mut quotas = Vec::new();
    for item in scan {
        let (key, found) = item.map_err(from_engine)?;
        let flaw = |flaw| malformed(&Key::new(keyspace, &key), &flaw);
        let (directory, _) = orphan::directory(&key).map_err(flaw)?;
        quotas.push((directory, QuotaRecord::decode(&found.value).map_err(flaw)?));
    }
    Ok(quotas)
}

/// Removed trees, with what they count against.
fn orphans(reader: &Reader<'_>) -> Result<Vec<(NodeId, OrphanRecord)>, Failure> {
    let keyspace = orphan::KEYSPACE;
    let scan = reader
        .engine
        .scan(keyspace, KeyRange::all(), reader.at, Direction::Forward)
        .map_err(from_engine)?;
    let mut orphans = Vec::new();
    for item in scan {
        let (key, found) = item.map_err(from_engine)?;
        let flaw = |flaw| malformed(&Key::new(keyspace, &key), &flaw);
        let (directory, _) = orphan::directory(&key).map_err(flaw)?;
        let record = OrphanRecord::decode(&found.value).map_err(flaw)?;
        orphans.push((directory, record));
    }
    Ok(orphans)
}

impl Reader<'_> {
    /// The directories that hold names of a node that is no directory.
    pub(super) fn directories_of(&self, spot: Spot) -> Result<Vec<NodeId>, Failure> {
        let found = self.node_record(spot)?;
        Ok(match found.map(|found| found.record) {
            Some(NodeRecord {
                home: Some(home), ..
            }) => vec![home],
            Some(_) => self.names_of(spot)?.into_keys().collect(),
            None => Vec::new(),
        })
    }
}

fn tighten(tightest: &mut Option<Left>, limit: Option<u64>, used: u64) {
    if let Some(limit) = limit {
        let left = Left::of(limit, used);
        if tightest.is_none_or(|tightest| left.free <= tightest.free) {
            *tightest = Some(left);
        }
    }
}

const fn without_request(context: &Context) -> Context {
    Context {
        request: None,
        expect: None,
        ..*context
    }
}

/// The node of a directory that can have a quota.
fn trunk_node(spot: Spot) -> Result<NodeId, Failure> {
    if spot.is_trunk() {
        return Ok(spot.node);
    }
    Err(Failure::new(
        Reason::Unsupported,
        "this is in a branch, which counts where it is merged; set the quota there",
    ))
}

fn none(shown: &str) -> Failure {
    Failure::new(Reason::NotFound, format!("{shown} has no quota"))
}
