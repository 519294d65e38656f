//! Explanations: who needs an object or a body, and until when.
//!
//! One scan of all references, beside readers and writers: it is for a person who asks.

use crate::failure::{from_engine, malformed};
use crate::records::{SessionRecord, object, pin, pin::OwnerOfPin, snapshot};
use crate::spot::Spot;
use crate::{
    About, BodyPart, EXPLAINED_MAX, Explained, Explanation, Holder, Keeper, Lease, Namespace,
    Outlook, Reference, SessionLife,
};
use nokv_engine::{Direction, KeyRange};
use nokv_shard::Key;
use nokv_types::{
    BlockId, BranchId, Extent, Failure, Generation, NodeId, NsPath, SessionId, Version,
};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;

/// Records read at a time.
const PAGE_RECORDS: usize = 4_096;
/// Entries of a directory gone through to find a name.
const ENTRIES_LOOKED_AT_MAX: usize = 65_536;
/// Pins named for one body: beyond it nobody reads on.
const PINS_NAMED_MAX: usize = 20;

/// The pins of a store, and what else keeps bodies.
struct Keepers<'a> {
    namespace: &'a Namespace,
    floor: Version,
    now: u64,
    /// Ascending by version.
    pins: Vec<(Version, Keeper)>,
}

impl Namespace {
    /// Says why an object, or each body of a file, stays or goes.
    ///
    /// **Errors**: `Corrupt` when a record can't be decoded.
    pub fn explain(&self, about: About) -> Result<Explanation, Failure> {
        let keepers = Keepers {
            namespace: self,
            floor: self.floor(),
            now: self.now_millis(),
            pins: self.named_pins()?,
        };
        let mut explanation = Explanation {
            version: self.read_version(),
            used: None,
            session: None,
            is_doomed: false,
            bodies: Vec::new(),
            more: false,
        };
        if let About::Object(block) = about {
            let first = self.objects(previous(block), 1)?;
            explanation.used = first.into_iter().find(|found| found.block == block);
            explanation.session = Some(self.session_life(block.session)?);
            explanation.is_doomed = self.has(&object::doomed_key(block))?;
        }
        let mut bodies: Vec<Reference> = Vec::new();
        let mut deaths: FxHashMap<(NodeId, BranchId, Generation), BodyPart> = FxHashMap::default();
        let mut from = None;
        loop {
            let page = self.references(from.as_ref(), PAGE_RECORDS)?;
            for reference in page.references {
                let holder = reference.holder;
                if let BodyPart::Dead { .. } = holder.part
                    && reference.extents.is_empty()
                {
                    let body = (holder.node, holder.branch, holder.generation);
                    deaths.insert(body, holder.part);
                }
                if !concerns(about, &reference) {
                    continue;
                }
                if bodies.len() == EXPLAINED_MAX {
                    explanation.more = true;
                    break;
                }
                bodies.push(reference);
            }
            match page.next {
                Some(next) => from = Some(next),
                None => break,
            }
        }
        for reference in bodies {
            explanation
                .bodies
                .push(keepers.explained(&reference, &deaths)?);
        }
        Ok(explanation)
    }

    /// Where a file of the trunk is, if it has one name, in a directory that is not too large to be
    /// gone through.
    pub fn path_of_file(&self, node: NodeId) -> Result<Option<NsPath>, Failure> {
        let reader = self.newest_reader();
        let trunk = |node| Spot::trunk(node, reader.at);
        let Some(found) = reader.node_record(trunk(node))? else {
            return Ok(None);
        };
        let Some(home) = found.record.home else {
            return Ok(None);
        };
        for mount in self.mounts() {
            let Some(directory) = reader.path_of(trunk(mount.root), trunk(home))? else {
                continue;
            };
            let entries = reader.entries(trunk(home), None, ENTRIES_LOOKED_AT_MAX)?;
            let entry = entries.iter().find(|(_, child)| child.node() == node);
            return Ok(entry.and_then(|(name, _)| directory.join(name).ok()));
        }
        Ok(None)
    }

    fn has(&self, key: &Key) -> Result<bool, Failure> {
        let found = self
            .engine()
            .get(key.keyspace(), key.bytes(), self.read_version())
            .map_err(from_engine)?;
        Ok(found.is_some())
    }

    fn session_life(&self, session: SessionId) -> Result<SessionLife, Failure> {
        let read = |key: Key| -> Result<Option<u64>, Failure> {
            let found = self
                .engine()
                .get(key.keyspace(), key.bytes(), self.read_version())
                .map_err(from_engine)?;
            let record = found.map(|found| SessionRecord::decode(&found.value));
            let record = record.transpose().map_err(|flaw| malformed(&key, &flaw))?;
            Ok(record.map(|record| record.millis))
        };
        if let Some(until) = read(SessionRecord::open_key(session))? {
            return Ok(SessionLife::Open(until));
        }
        if let Some(due) = read(SessionRecord::closed_key(session))? {
            return Ok(SessionLife::Closed(due));
        }
        Ok(match self.session_was_given(session)? {
            true => SessionLife::Finished,
            false => SessionLife::Unknown,
        })
    }

    /// Each pinned version with who pins it.
    fn named_pins(&self) -> Result<Vec<(Version, Keeper)>, Failure> {
        let at = self.read_version();
        let scan = self
            .engine()
            .scan(pin::KEYSPACE, KeyRange::all(), at, Direction::Forward)
            .map_err(from_engine)?;
        let mut pins = Vec::new();
        for item in scan {
            let (key, _) = item.map_err(from_engine)?;
            let flaw = |flaw| malformed(&Key::new(pin::KEYSPACE, &key), &flaw);
            let version = pin::version(&key).map_err(flaw)?;
            let keeper = match pin::owner(&key).map_err(flaw)? {
                OwnerOfPin::Branch(branch) => Keeper::Branch(branch),
                OwnerOfPin::Snapshot(of) => self.snapshot_keeper(&of)?,
            };
            pins.push((version, keeper));
        }
        Ok(pins)
    }

    fn snapshot_keeper(&self, key: &Key) -> Result<Keeper, Failure> {
        let flaw = |flaw| malformed(key, &flaw);
        let name = snapshot::name(key.bytes()).map_err(flaw)?;
        let found = self
            .engine()
            .get(key.keyspace(), key.bytes(), self.read_version())
            .map_err(from_engine)?;
        let until = match found {
            None => None,
            Some(found) => match snapshot::decode(name.clone(), &found.value)
                .map_err(flaw)?
                .lease
            {
                Lease::Permanent => None,
                Lease::Until(millis) => Some(millis),
            },
        };
        Ok(Keeper::Snapshot(name, until))
    }
}

impl Keepers<'_> {
    fn explained(
        &self,
        reference: &Reference,
        deaths: &FxHashMap<(NodeId, BranchId, Generation), BodyPart>,
    ) -> Result<Explained, Failure> {
        let holder = reference.holder;
        let part = match holder.part {
            BodyPart::DeadChunk(_) => deaths
                .get(&(holder.node, holder.branch, holder.generation))
                .copied()
                .unwrap_or(holder.part),
            part => part,
        };
        let keepers = match part {
            BodyPart::Whole | BodyPart::Chunk(_) => vec![Keeper::Newest],
            BodyPart::DeadChunk(_) => vec![Keeper::Nothing],
            BodyPart::Dead { birth, death, .. } => self.of_dead(birth, death),
        };
        let blocks: BTreeSet<BlockId> = reference.extents.iter().map(Extent::block).collect();
        Ok(Explained {
            holder,
            path: self.path(holder)?,
            keepers,
            blocks: blocks.into_iter().collect(),
        })
    }

    fn of_dead(&self, birth: Version, death: Version) -> Vec<Keeper> {
        let mut keepers = Vec::new();
        if death > self.floor {
            let retention = self.namespace.inner.options.retention_ms;
            keepers.push(Keeper::Retention(death.millis().saturating_add(retention)));
        }
        let leases = &self.namespace.inner.leases;
        keepers.extend(leases.until(death, self.now).map(Keeper::Reads));
        let sees = |at: &Version| birth <= *at && *at < death;
        let pins = self.pins.iter().filter(|(at, _)| sees(at));
        let pins = pins.map(|(_, keeper)| keeper.clone());
        keepers.extend(pins.take(PINS_NAMED_MAX));
        let leased = self.namespace.inner.pins.versions();
        let leased = leased.into_iter().filter(sees);
        let leased = leased.filter_map(|at| leases.version_until(at));
        keepers.extend(leased.max().map(Keeper::Reads));
        if keepers.is_empty() {
            keepers.push(Keeper::Nothing);
        }
        keepers
    }

    /// Where the file of a body is now, in the trunk.
    fn path(&self, holder: Holder) -> Result<Option<NsPath>, Failure> {
        match holder.branch == BranchId::TRUNK {
            true => self.namespace.path_of_file(holder.node),
            false => Ok(None),
        }
    }
}

/// The block before, if there is one: what a scan from a block begins after.
fn previous(block: BlockId) -> Option<BlockId> {
    match block.sequence.checked_sub(1) {
        Some(sequence) => Some(BlockId { sequence, ..block }),
        None => {
            let session = block.session.get().checked_sub(1)?;
            Some(BlockId {
                session: SessionId::new(session),
                sequence: u32::MAX,
            })
        }
    }
}

fn concerns(about: About, reference: &Reference) -> bool {
    match about {
        About::File(node) => reference.holder.node == node,
        About::Object(block) => {
            let mut extents = reference.extents.iter();
            extents.any(|extent| extent.block() == block)
        }
    }
}

impl Namespace {
    /// What a collection with this retention (`None`: the store's) would take now.
    ///
    /// **Errors**: `Corrupt` when a record can't be decoded.
    pub fn outlook(&self, retention_ms: Option<u64>) -> Result<Outlook, Failure> {
        let now = self.now_millis();
        let retention_ms = retention_ms.unwrap_or(self.inner.options.retention_ms);
        let reach = Version::from_millis(now.saturating_sub(retention_ms));
        let reach = if retention_ms == 0 {
            self.read_version()
        } else {
            reach
        };
        let keepers = Keepers {
            namespace: self,
            floor: self.floor().max(reach),
            now,
            pins: self.named_pins()?,
        };
        let mut outlook = Outlook::default();
        let mut from = None;
        loop {
            let page = self.references(from.as_ref(), PAGE_RECORDS)?;
            for reference in &page.references {
                let BodyPart::Dead { birth, death, .. } = reference.holder.part else {
                    continue;
                };
                let tally = match keepers.of_dead(birth, death).first() {
                    Some(Keeper::Retention(_)) => &mut outlook.retained,
                    Some(Keeper::Reads(_)) => &mut outlook.leased,
                    Some(Keeper::Snapshot(..) | Keeper::Branch(_)) => &mut outlook.pinned,
                    _ => &mut outlook.due,
                };
                let extents = reference.extents.iter();
                tally.bodies += 1;
                tally.bytes += extents
                    .map(|extent| u64::from(extent.unit.stored_bytes))
                    .sum::<u64>();
            }
            match page.next {
                Some(next) => from = Some(next),
                None => break,
            }
        }
        outlook.doomed_objects = self.doomed_count()?;
        outlook.due_sessions = self.due_session_count()?;
        Ok(outlook)
    }

    fn doomed_count(&self) -> Result<u64, Failure> {
        let at = self.read_version();
        let scan = self
            .engine()
            .scan(
                object::DOOMED_KEYSPACE,
                KeyRange::all(),
                at,
                Direction::Forward,
            )
            .map_err(from_engine)?;
        let mut count = 0;
        for item in scan {
            item.map_err(from_engine)?;
            count += 1;
        }
        Ok(count)
    }
}
