//! Some objects, with all bodies that need them; and the extents of all bodies.

use super::Findings;
use crate::records::{
    CHUNK, DEATH, DeadBody, DeathRecord, HELD, NODE, NodeRecord, OBJECT, StoredLayout, chunk,
    is_whiteout, object, object::BlockUse, spot_at,
};
use crate::{CheckCursor, Namespace, ProblemKind, RepairAction};
use nokv_engine::{KeyRange, Record};
use nokv_shard::Counter;
use nokv_shard::codec::Malformed;
use nokv_types::{BlockId, BranchId, Extent, Failure, Generation, NodeId};
use rustc_hash::FxHashMap;

/// Chunks that a body must have: of how many bytes, and how many chunks.
struct Chunks {
    size: u64,
    left: u32,
}

/// Which body.
type Of = (NodeId, BranchId, Generation);

/// What a step counts.
struct Bodies {
    after: Option<BlockId>,
    /// The last object of the step; `None`: all that follow.
    through: Option<BlockId>,
    stored: FxHashMap<BlockId, BlockUse>,
    counted: FxHashMap<BlockId, BlockUse>,
    chunks: FxHashMap<Of, Chunks>,
    /// Whether this step looks at chunks too: the first does.
    first: bool,
}

impl Namespace {
    pub(super) fn check_bodies(
        &self,
        after: Option<BlockId>,
        limit: usize,
        findings: &mut Findings,
    ) -> Result<Option<CheckCursor>, Failure> {
        let mut bodies = Bodies {
            after,
            through: None,
            stored: FxHashMap::default(),
            counted: FxHashMap::default(),
            chunks: FxHashMap::default(),
            first: after.is_none(),
        };
        let range = match after {
            None => KeyRange::all(),
            Some(after) => KeyRange::all().after(object::key(after).bytes()),
        };
        let mut last = None;
        self.each_in((OBJECT, range), findings.at, |key, found| {
            let block = object::block(key)?;
            if bodies.stored.len() < limit {
                let stored = BlockUse::of(&Counter::decode(&found.value)?);
                bodies.stored.insert(block, stored);
                last = Some(block);
            } else {
                bodies.through = last;
            }
            Ok(())
        })?;
        findings.report.blocks += bodies.stored.len() as u64;
        self.each(NODE, findings.at, |key, found| bodies.node(key, found))?;
        for keyspace in [DEATH, HELD] {
            self.each(keyspace, findings.at, |key, found| {
                findings.report.dead_bodies += u64::from(bodies.first);
                bodies.death(key, found)
            })?;
        }
        self.each(CHUNK, findings.at, |key, found| {
            bodies.chunk(key, found, findings)
        })?;
        bodies.judge(findings);
        Ok(Some(match bodies.through {
            Some(through) => CheckCursor::Objects(through),
            None => CheckCursor::Quotas,
        }))
    }
}

impl Bodies {
    fn covers(&self, block: BlockId) -> bool {
        self.after.is_none_or(|after| block > after)
            && self.through.is_none_or(|through| block <= through)
    }

    fn count(&mut self, extents: &[Extent]) {
        for (block, used) in object::uses_of(extents) {
            if self.covers(block) {
                let before = self.counted.entry(block).or_default();
                *before = before.and(used);
            }
        }
    }

    fn node(&mut self, key: &[u8], found: &Record) -> Result<(), Malformed> {
        let (node, branch) = spot_at(key, 0)?;
        if is_whiteout(branch, &found.value) {
            return Ok(());
        }
        let record = NodeRecord::decode(&found.value)?;
        if record.owner.is_some() {
            return Ok(());
        }
        match &record.body.layout {
            StoredLayout::Embedded(extents) => self.count(extents),
            StoredLayout::Chunked(_) => {
                let chunks = Chunks {
                    size: record.body.size,
                    left: record.body.chunk_count(),
                };
                self.chunks
                    .insert((node, branch, record.generation), chunks);
            }
            StoredLayout::Inline(_) => {}
        }
        Ok(())
    }

    fn death(&mut self, key: &[u8], found: &Record) -> Result<(), Malformed> {
        let body = DeadBody::from_key(key)?;
        let record = DeathRecord::decode(&found.value)?;
        self.count(&record.embedded);
        if record.chunks > 0 {
            let chunks = Chunks {
                size: record.size,
                left: record.chunks,
            };
            self.chunks
                .insert((body.node, body.branch, body.generation), chunks);
        }
        Ok(())
    }

    fn chunk(
        &mut self,
        key: &[u8],
        found: &Record,
        findings: &mut Findings,
    ) -> Result<(), Malformed> {
        let (node, branch) = spot_at(key.get(..12).unwrap_or_default(), 0)?;
        let generation = chunk::generation(key)?;
        let Some(chunks) = self.chunks.get_mut(&(node, branch, generation)) else {
            if self.first {
                let message = format!("generation {generation} of node {node} has no body");
                let action = RepairAction::DropChunks {
                    node,
                    branch,
                    generation,
                };
                let known = findings.report.problems.last();
                if known.is_none_or(|problem| problem.message != message) {
                    findings.problem(ProblemKind::WrongChunks, message, Some(action));
                }
            }
            return Ok(());
        };
        chunks.left = chunks.left.saturating_sub(1);
        let extents = chunk::decode(&found.value, chunks.size)?;
        self.count(&extents);
        Ok(())
    }

    fn judge(&mut self, findings: &mut Findings) {
        for (block, stored) in std::mem::take(&mut self.stored) {
            let counted = self.counted.remove(&block).unwrap_or_default();
            // Where it ends is remembered of bodies that are gone, too.
            if (stored.references, stored.bytes) != (counted.references, counted.bytes)
                || stored.end < counted.end
            {
                let message = format!(
                    "block {block} counts {} references to {} of {} bytes, has {} to {} of {}",
                    stored.references,
                    stored.bytes,
                    stored.end,
                    counted.references,
                    counted.bytes,
                    counted.end
                );
                references(block, counted, message, findings);
            }
        }
        for (block, counted) in std::mem::take(&mut self.counted) {
            let message = format!(
                "block {block} has {} references and counts none",
                counted.references
            );
            references(block, counted, message, findings);
        }
        for ((node, _, generation), chunks) in std::mem::take(&mut self.chunks) {
            if chunks.left > 0 && self.first {
                let message = format!("generation {generation} of node {node} lacks chunks");
                findings.problem(ProblemKind::WrongChunks, message, None);
            }
        }
    }
}

fn references(block: BlockId, counted: BlockUse, message: String, findings: &mut Findings) {
    let action = RepairAction::References {
        block,
        references: counted.references,
        bytes: counted.bytes,
        end: counted.end,
    };
    findings.problem(ProblemKind::WrongReferences, message, Some(action));
}
