//! What a branch sees: its own records over those of its parent at the base, and so on down.
//!
//! The chain of `(branch, version)` is a function of the branch records *as of those versions*, so
//! a branch whose base moved (after a merge) is seen by its own branches, by snapshots and by reads
//! of the past as it was then.
//!
//! Invariants:
//! - versions go down along a chain, so a chain ends at the trunk;
//! - what a chain is never changes for a version that has been applied: [`Chains`] may keep it.

use crate::failure::{contradiction, from_engine, from_shard, malformed};
use crate::records::branch::{self, BranchRecord, FormerBase};
use crate::records::pin::{self, PinOwner};
use bytes::Bytes;
use nokv_engine::{Direction, Engine, KeyRange};
use nokv_shard::{Command, Durability, Key, Shards, Write};
use nokv_types::{BranchId, Failure, Reason, Version};
use quick_cache::sync::Cache;
use smallvec::SmallVec;
use std::sync::Arc;

/// Most layers of a chain, the trunk included: a read may look at each.
pub(crate) const LAYERS_MAX: usize = 16;
/// Chains that are kept: a few for each branch in use.
const CHAINS_MAX: usize = 1024;

/// One layer of a chain: a branch as of a version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Layer {
    pub(crate) branch: BranchId,
    pub(crate) at: Version,
}

/// The layers that a branch sees at a version, its own first, and the branch itself.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) layers: SmallVec<[Layer; 4]>,
    pub(crate) record: BranchRecord,
    /// The version that wrote the record.
    pub(crate) version: Version,
}

impl Chain {
    /// The version of the parent that the branch rests on.
    pub(crate) fn base(&self) -> Version {
        self.record.base.in_record(self.version)
    }
}

/// Chains that were resolved.
pub(crate) struct Chains {
    known: Cache<(BranchId, Version), Arc<Chain>>,
}

impl Chains {
    pub(crate) fn new() -> Self {
        Self {
            known: Cache::new(CHAINS_MAX),
        }
    }

    /// The chain of a branch (not the trunk) at a version that has been applied.
    ///
    /// **Errors**: `NotFound` when there was no such branch then.
    pub(crate) fn find(
        &self,
        engine: &Engine,
        branch: BranchId,
        at: Version,
    ) -> Result<Arc<Chain>, Failure> {
        if let Some(known) = self.known.get(&(branch, at)) {
            return Ok(known);
        }
        let chain = Arc::new(resolve(engine, branch, at)?);
        self.known.insert((branch, at), Arc::clone(&chain));
        Ok(chain)
    }
}

fn resolve(engine: &Engine, branch: BranchId, at: Version) -> Result<Chain, Failure> {
    let (record, version) = read(engine, branch, at)?.ok_or_else(|| missing(branch))?;
    let mut chain = Chain {
        layers: smallvec::smallvec![Layer { branch, at }],
        record,
        version,
    };
    let mut below = Layer {
        branch: chain.record.parent,
        at: chain.base().min(at),
    };
    while below.branch != BranchId::TRUNK {
        chain.layers.push(below);
        if chain.layers.len() >= LAYERS_MAX {
            return Err(contradiction(format!("branch {branch} has no end")));
        }
        let (record, version) = read(engine, below.branch, below.at)?.ok_or_else(|| {
            contradiction(format!(
                "branch {branch} rests on branch {}, which does not exist",
                below.branch
            ))
        })?;
        below = Layer {
            branch: record.parent,
            at: record.base.in_record(version).min(below.at),
        };
    }
    chain.layers.push(below);
    Ok(chain)
}

/// A branch record, and the version that wrote it.
pub(crate) fn read(
    engine: &Engine,
    branch: BranchId,
    at: Version,
) -> Result<Option<(BranchRecord, Version)>, Failure> {
    let key = branch::key(branch);
    let found = engine
        .get(key.keyspace(), key.bytes(), at)
        .map_err(from_engine)?;
    found
        .map(|found| {
            let record = BranchRecord::decode(&found.value);
            let record = record.map_err(|flaw| malformed(&key, &flaw))?;
            Ok((record, found.version))
        })
        .transpose()
}

pub(crate) fn missing(branch: BranchId) -> Failure {
    Failure::new(Reason::NotFound, format!("branch {branch} does not exist"))
}

/// Pins every base that has no pin: a merge learns the version that it pins only when it is done.
pub(crate) fn pin_bases(shards: &Shards) -> Result<(), Failure> {
    let at = shards.read_version();
    let mut writes = Vec::new();
    for prefix in [branch::LIVE, branch::FORMER] {
        let range = KeyRange::prefix(prefix);
        let scan = shards
            .engine()
            .scan(branch::KEYSPACE, range, at, Direction::Forward)
            .map_err(from_engine)?;
        for item in scan {
            let (key, found) = item.map_err(from_engine)?;
            let flaw = |flaw| malformed(&Key::new(branch::KEYSPACE, &key), &flaw);
            let id = branch::id(&key).map_err(flaw)?;
            let base = match prefix == branch::LIVE {
                true => {
                    let record = BranchRecord::decode(&found.value).map_err(flaw)?;
                    record.base.in_record(found.version)
                }
                false => FormerBase::decode(&found.value).map_err(flaw)?.base,
            };
            let pin = pin::key(base, PinOwner::Branch(id));
            let engine = shards.engine();
            let pinned = engine.get(pin.keyspace(), pin.bytes(), at);
            if pinned.map_err(from_engine)?.is_none() {
                writes.push(Write::Put(pin, Bytes::new()));
            }
        }
    }
    if writes.is_empty() {
        return Ok(());
    }
    let command = Command {
        writes,
        ..Command::default()
    };
    let applied = shards.execute(command, Durability::Synced);
    applied.map(drop).map_err(from_shard)
}

/// Pins the base that a merge gave a branch.
pub(crate) fn pin_base(shards: &Shards, id: BranchId, base: Version) -> Result<(), Failure> {
    let pin = pin::key(base, PinOwner::Branch(id));
    let command = Command {
        writes: vec![Write::Put(pin, Bytes::new())],
        ..Command::default()
    };
    let applied = shards.execute(command, Durability::Buffered);
    applied.map(drop).map_err(from_shard)
}
