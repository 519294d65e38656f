//! What a plan changes for quotas, and the names of nodes.
//!
//! Every entry that a plan sets or erases is noted; [`Plan::settle`] compares, for each node, the
//! names and the size that it had with those that it will have. The difference, directory by
//! directory, is what the quotas above are charged. So no operation counts for itself.
//!
//! Decisions, for each directory whose content changes:
//!
//! | | | |
//! |---|---|---|
//! | a | a quota above gets more, and is in force | the command checks the limit after its own additions, which it makes in the same step: never overshot |
//! | b | a quota above gets less, or is still being counted | it is only added to: room can always be made |
//! | c | a directory moves between quotas and has a counted quota itself | its usage moves, if it did not change since it was read |
//! | d | the same, and it has none | it is counted first ([`Plan::needs_tally`]), beside its writers, then (c) |
//! | e | a tree is removed | its name goes at once; what is in it counts until it is taken apart, against the quotas that its record then names |

use super::state::{Plan, Topology};
use crate::failure::{contradiction, from_engine, malformed};
use crate::plant::{Plant, is_planted};
use crate::quotas::{QuotaAt, QuotaList};
use crate::reader::Reader;
use crate::records::names;
use crate::records::orphan::{self, OrphanRecord};
use crate::records::quota::{self, BYTES, INODES, Phase, Purpose};
use crate::records::{NodeRecord, node_and_branch};
use crate::spot::{Child, Spot};
use crate::{Left, QuotaUsage};
use nokv_engine::{Direction, KeyRange};
use nokv_shard::{Add, Change, Check, Counter, Key, Slot, Write};
use nokv_types::{BranchId, Failure, NodeId, Reason};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// Quotas are of the trunk.
const TRUNK: BranchId = BranchId::TRUNK;

/// A change of what is held.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Charge {
    bytes: i64,
    inodes: i64,
}

/// What a node was before the plan, as far as charges go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    size: u64,
    links: u32,
    home: Option<NodeId>,
}

/// How many names of a node each directory holds.
type Names = BTreeMap<NodeId, i64>;

/// What a plan has noted for its settlement.
#[derive(Default)]
pub(super) struct Noted {
    /// Names that came (1) and went (-1): of what, in which directory.
    names: Vec<(Child, Spot, i64)>,
    /// Trees that are removed, with the directory that they were in.
    orphans: Vec<(Spot, Spot)>,
    /// A directory that must be counted before the plan can be made.
    needs_tally: Option<NodeId>,
}

impl Before {
    pub(super) fn of(record: &NodeRecord) -> Self {
        let place = record.place.as_ref().map(|place| place.parent);
        Self {
            size: size_of(record),
            links: if record.is_directory() {
                1
            } else {
                record.links
            },
            home: if record.is_directory() {
                place
            } else {
                record.home
            },
        }
    }
}

impl Plan<'_> {
    /// Notes that a name of a node came or went.
    pub(super) fn note_name(&mut self, child: Child, directory: Spot, change: i64) {
        self.noted.names.push((child, directory, change));
    }

    /// Notes that a directory of `parent` is removed with all that is in it, to be taken apart
    /// later.
    pub(crate) fn leave_orphan(&mut self, directory: Spot, parent: Spot) {
        self.noted.orphans.push((directory, parent));
    }

    /// The directory that must be counted before the plan can be made again.
    pub(crate) fn needs_tally(&self) -> Option<NodeId> {
        self.noted.needs_tally
    }

    /// Works out what changes for quotas and names, and has the command do it. Called once, when
    /// the operation is planned.
    ///
    /// **Errors**: `QuotaExceeded`, naming directory, limit and usage; any, when
    /// [`Self::needs_tally`] says that a directory must be counted first.
    pub(crate) fn settle(&mut self) -> Result<(), Failure> {
        let mut charges = FxHashMap::default();
        let moved = self.settle_names(&mut charges)?;
        charges.retain(|_, charge: &mut Charge| *charge != Charge::default());
        let orphans = std::mem::take(&mut self.noted.orphans);
        if charges.is_empty() && moved.is_empty() && orphans.is_empty() {
            return Ok(());
        }
        if orphans.iter().any(|(top, _)| top.is_trunk()) || !charges.is_empty() {
            // No quota may come between the version that is read here and the command.
            self.rests_on(Topology::Rests);
        }
        let counts = self.reader.paths.quotas.any();
        for (top, parent) in orphans {
            let quotas = match counts && top.is_trunk() {
                true => self.quotas_above(parent.node)?,
                false => QuotaList::from([]),
            };
            let record = OrphanRecord {
                mount: self.context.mount,
                quotas: quotas
                    .iter()
                    .map(|quota| (quota.directory, quota.record.id))
                    .collect(),
            };
            let key = orphan::key(top.node, top.branch);
            self.writes.push(Write::Put(key, record.encode()));
        }
        if !counts {
            return Ok(());
        }
        self.drop_quotas_of_removed()?;
        let mut totals = Totals::default();
        for (directory, charge) in charges {
            for quota in self.quotas_above(directory)?.iter() {
                totals.add(*quota, charge, 1);
            }
        }
        for (directory, from, to) in moved {
            self.settle_move(directory, (from, to), &mut totals)?;
        }
        for (quota, charge) in totals.0.into_values() {
            self.reader.paths.counts.quota_charges.add();
            self.charge(&quota, charge)?;
        }
        Ok(())
    }

    /// The charges of directories of the trunk; writes which directories hold the names of nodes.
    /// Returns directories that move, with where from and where to.
    fn settle_names(
        &mut self,
        charges: &mut FxHashMap<NodeId, Charge>,
    ) -> Result<Vec<(NodeId, NodeId, NodeId)>, Failure> {
        let mut changes: FxHashMap<Spot, Vec<(NodeId, i64)>> = FxHashMap::default();
        for (child, directory, change) in std::mem::take(&mut self.noted.names) {
            if child.is_branch_root(&directory) {
                // A name; what is in the branch counts where it is merged.
                if directory.is_trunk() {
                    let name = Charge {
                        bytes: 0,
                        inodes: 1,
                    };
                    charges.entry(directory.node).or_default().add(name, change);
                }
                continue;
            }
            let changes = changes.entry(child.spot).or_default();
            changes.push((directory.node, change));
        }
        for (spot, planned) in &self.nodes {
            let resized = match (&planned.before, &planned.record) {
                (Some(before), Some(record)) => before.size != size_of(record),
                _ => false,
            };
            if planned.dirty && resized {
                changes.entry(*spot).or_default();
            }
        }
        let mut moved = Vec::new();
        for (spot, changes) in changes {
            moved.extend(self.settle_node(spot, changes, charges)?);
        }
        Ok(moved)
    }

    /// The same for one node.
    fn settle_node(
        &mut self,
        spot: Spot,
        changes: Vec<(NodeId, i64)>,
        charges: &mut FxHashMap<NodeId, Charge>,
    ) -> Result<Option<(NodeId, NodeId, NodeId)>, Failure> {
        let Some(planned) = self.nodes.get(&spot) else {
            return Err(contradiction(format!(
                "an entry of node {} changes unseen",
                spot.node
            )));
        };
        let (before, is_directory) = (planned.before, planned.is_directory);
        let stays = planned.record.is_some();
        let size = planned.record.as_ref().map_or(0, size_of);
        let (size_before, was) = match before {
            None => (0, Names::new()),
            Some(before) => (before.size, self.names_before(spot, before)?),
        };
        let mut is = was.clone();
        for (directory, change) in changes {
            *is.entry(directory).or_default() += change;
        }
        is.retain(|_, count| *count > 0);
        if spot.is_trunk() {
            for (names, size, sign) in [(&was, size_before, -1), (&is, size, 1)] {
                let bytes = i64::try_from(size).unwrap_or(i64::MAX);
                for (directory, count) in names {
                    let charge = Charge { bytes, inodes: 1 };
                    let charged = charges.entry(*directory).or_default();
                    charged.add(charge, sign * count);
                }
            }
        }
        if !is_directory {
            self.write_names(spot, before, &was, &is);
            return Ok(None);
        }
        let ends = (was.first_key_value(), is.first_key_value());
        Ok(match ends {
            (Some((from, _)), Some((to, _))) if stays && from != to && spot.is_trunk() => {
                Some((spot.node, *from, *to))
            }
            _ => None,
        })
    }

    /// Writes which directories hold the names of a node that is no directory.
    fn write_names(&mut self, spot: Spot, before: Option<Before>, was: &Names, is: &Names) {
        let key = |directory: &NodeId| names::key(spot.node, spot.branch, *directory);
        let had_rows = before.is_some_and(|before| before.links > 1);
        let has_rows = is.values().sum::<i64>() > 1;
        if had_rows {
            for directory in was.keys().filter(|at| !has_rows || !is.contains_key(at)) {
                // A branch must say that there is none, over what its parent has.
                self.writes.push(match spot.is_trunk() {
                    true => Write::Delete(key(directory)),
                    false => Write::Put(key(directory), names::encode(0)),
                });
            }
        }
        if has_rows {
            for (directory, count) in is {
                if !had_rows || was.get(directory) != Some(count) {
                    let count = u32::try_from(*count).unwrap_or(u32::MAX);
                    self.writes
                        .push(Write::Put(key(directory), names::encode(count)));
                }
            }
        }
        let home = match (has_rows, is.first_key_value()) {
            (false, Some((directory, _))) => Some(*directory),
            _ => None,
        };
        if let Some(planned) = self.nodes.get_mut(&spot)
            && let Some(record) = &mut planned.record
        {
            planned.dirty |= record.home != home;
            record.home = home;
        }
    }

    /// Which directories held names of a node before the plan.
    fn names_before(&self, spot: Spot, before: Before) -> Result<Names, Failure> {
        if before.links <= 1 {
            return Ok(before.home.into_iter().map(|home| (home, 1)).collect());
        }
        self.reader.names_of(spot)
    }

    /// The quotas that a directory of the trunk counts against, also one that the plan makes.
    fn quotas_above(&self, directory: NodeId) -> Result<QuotaList, Failure> {
        self.reader.paths.counts.quota_checks.add();
        let mut current = Spot::trunk(directory, self.reader.at);
        while let Some(planned) = self.nodes.get(&current)
            && planned.before.is_none()
        {
            let record = planned.record.as_ref();
            match record.and_then(|record| record.place.as_ref()) {
                Some(place) => current = current.with_node(place.parent),
                None => return Ok(QuotaList::from([])),
            }
        }
        self.reader.quotas_of(current.node)
    }

    /// Removes the quotas of directories that go.
    fn drop_quotas_of_removed(&mut self) -> Result<(), Failure> {
        let mut gone = Vec::new();
        for (spot, planned) in &self.nodes {
            let went = planned.dirty && planned.record.is_none() && planned.before.is_some();
            let counted = went && planned.is_directory && spot.is_trunk();
            if counted && self.reader.quota(spot.node)?.is_some() {
                gone.push(spot.node);
            }
        }
        for node in gone {
            self.writes.push(Write::Delete(quota::key(node, TRUNK)));
            self.writes
                .push(Write::Delete(quota::usage_key(node, TRUNK)));
        }
        Ok(())
    }

    /// Moves the usage of a directory between the quotas that it leaves and those that it enters.
    fn settle_move(
        &mut self,
        directory: NodeId,
        (from, to): (NodeId, NodeId),
        totals: &mut Totals,
    ) -> Result<(), Failure> {
        let (from, to) = (self.quotas_above(from)?, self.quotas_above(to)?);
        let has = |list: &QuotaList, at: NodeId| list.iter().any(|quota| quota.directory == at);
        let left = from.iter().filter(|quota| !has(&to, quota.directory));
        let entered = to.iter().filter(|quota| !has(&from, quota.directory));
        let signed = left
            .map(|quota| (*quota, -1))
            .chain(entered.map(|quota| (*quota, 1)));
        let signed: Vec<_> = signed.collect();
        if signed.is_empty() {
            return Ok(());
        }
        let own = self.reader.quota(directory)?;
        let Some(own) = own.filter(|own| own.phase == Phase::Counted) else {
            self.noted.needs_tally = Some(directory);
            return Err(Failure::new(
                Reason::Conflict,
                format!("directory {directory} must be counted before it moves"),
            ));
        };
        let key = quota::usage_key(directory, TRUNK);
        let usage = self.quota_counter(&key)?;
        self.check(match usage {
            None => Check::Absent(key.clone()),
            Some(_) => Check::UnchangedSince(key.clone(), self.reader.at),
        });
        let usage = usage.unwrap_or_default();
        let charge = Charge {
            bytes: usage.sum(BYTES),
            inodes: usage.sum(INODES),
        };
        for (quota, sign) in signed {
            totals.add(quota, charge, sign);
        }
        if own.purpose == Purpose::Tally {
            self.writes
                .push(Write::Delete(quota::key(directory, TRUNK)));
            self.writes.push(Write::Delete(key));
        }
        Ok(())
    }

    /// Has the command add to a quota, and check what it may hold.
    fn charge(&mut self, quota: &QuotaAt, charge: Charge) -> Result<(), Failure> {
        if charge == Charge::default() {
            return Ok(());
        }
        let key = quota::usage_key(quota.directory, TRUNK);
        if quota.record.phase == Phase::Counted {
            let limits = quota.record.limits;
            for (slot, limit, change) in [
                (BYTES, limits.bytes, charge.bytes),
                (INODES, limits.inodes, charge.inodes),
            ] {
                if let Some(limit) = limit.filter(|_| change > 0) {
                    self.admit(quota, &key, (slot, limit, change))?;
                }
            }
        }
        let mut add = Add::one(key, BYTES, Change::Sum(charge.bytes));
        add.changes.push((INODES, Change::Sum(charge.inodes)));
        self.quota_adds.push(add);
        Ok(())
    }

    fn admit(
        &mut self,
        quota: &QuotaAt,
        key: &Key,
        (slot, limit, change): (Slot, u64, i64),
    ) -> Result<(), Failure> {
        let usage = self.quota_counter(key)?.unwrap_or_default();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let limit = limit.saturating_add(i64::from(is_planted(Plant::OvershootQuota)));
        if usage.sum(slot).saturating_add(change) <= limit {
            self.check(Check::AtMost(key.clone(), slot, limit));
            return Ok(());
        }
        let directory = Spot::trunk(quota.directory, self.reader.at);
        let path = self.reader.path_of(self.root, directory)?;
        let shown = path.map_or_else(
            || format!("directory {}", quota.directory),
            |path| path.to_string(),
        );
        self.reader.paths.counts.quota_rejects.add();
        let (used, what) = (
            usage.sum(slot),
            if slot == BYTES { "bytes" } else { "names" },
        );
        Err(Failure::new(
            Reason::QuotaExceeded,
            format!(
                "the quota of {shown} is {limit} {what}, {used} are used, {change} more don't fit; \
                 remove something, or raise it"
            ),
        ))
    }

    fn quota_counter(&self, key: &Key) -> Result<Option<Counter>, Failure> {
        match self.reader.stored(key)? {
            None => Ok(None),
            Some(found) => Counter::decode(&found.value)
                .map(Some)
                .map_err(|flaw| malformed(key, &flaw)),
        }
    }
}

impl Reader<'_> {
    /// Which directories hold the names of a node that has several.
    pub(crate) fn names_of(&self, spot: Spot) -> Result<BTreeMap<NodeId, i64>, Failure> {
        let mut found = BTreeMap::new();
        for layer in self.layers(spot)?.iter().rev() {
            let range = KeyRange::prefix(node_and_branch(spot.node, layer.branch));
            let scan = self
                .engine
                .scan(names::KEYSPACE, range, layer.at, Direction::Forward)
                .map_err(from_engine)?;
            for item in scan {
                let (key, record) = item.map_err(from_engine)?;
                let flaw = |flaw| malformed(&Key::new(names::KEYSPACE, &key), &flaw);
                let directory = names::directory(&key).map_err(flaw)?;
                let count = names::decode(&record.value).map_err(flaw)?;
                found.insert(directory, i64::from(count));
            }
        }
        found.retain(|_, count| *count > 0);
        Ok(found)
    }
}

/// Charges by quota.
#[derive(Default)]
struct Totals(FxHashMap<NodeId, (QuotaAt, Charge)>);

impl Totals {
    fn add(&mut self, quota: QuotaAt, charge: Charge, times: i64) {
        let total = self.0.entry(quota.directory);
        let total = total.or_insert((quota, Charge::default()));
        total.1.add(charge, times);
    }
}

impl Charge {
    fn add(&mut self, other: Self, times: i64) {
        let more = other.bytes.saturating_mul(times);
        self.bytes = self.bytes.saturating_add(more);
        self.inodes = self
            .inodes
            .saturating_add(other.inodes.saturating_mul(times));
    }
}

impl QuotaUsage {
    /// What a counter says.
    pub(crate) fn of(counter: &Counter) -> Self {
        let slot = |slot| u64::try_from(counter.sum(slot)).unwrap_or(0);
        Self {
            bytes: slot(BYTES),
            inodes: slot(INODES),
        }
    }
}

impl Left {
    /// What is left of a limit.
    pub(crate) const fn of(limit: u64, used: u64) -> Self {
        Self {
            limit,
            free: limit.saturating_sub(used),
        }
    }
}

/// Bytes that a name of the node counts.
pub(crate) fn size_of(record: &NodeRecord) -> u64 {
    if record.is_directory() {
        0
    } else {
        record.body.size
    }
}
