//! Moving the bytes of live bodies to other objects, so that objects that are mostly dead can go.
//!
//! A body that moves stays the same body: same generation, same age, nothing is announced. What is
//! new is the record that says where its bytes are; the places before are put to death like a body,
//! so whatever reads an earlier version still finds them.
//!
//! Invariants:
//! - a part moves only if it is exactly as its mover saw it, decided in log order;
//! - what it moves to belongs to a session that is open, or is referenced already;
//! - the node's record is written with every move, so two moves of one body, or a move and a
//!   replacement, never share a death.

use crate::failure::{from_shard, invalid, malformed};
use crate::namespace::ATTEMPTS_MAX;
use crate::plan::{ChunkPart, Plan};
use crate::plant::Plant;
use crate::records::{DEATH, Moment, StoredLayout, chunk};
use crate::spot::Spot;
use crate::{BodyPart, Context, Namespace, Relocation};
use bytes::Bytes;
use nokv_shard::{Check, Durability, Error, Write};
use nokv_types::{BranchId, Extent, Failure, NodeId, Reason, SessionId, TimeNanos};
use rustc_hash::FxHashSet;

/// Parts moved by one command: some milliseconds of the log.
const MOVES_PER_COMMAND: usize = 256;

impl Namespace {
    /// Moves parts of bodies to where `session` has copied their bytes. Returns how many moved:
    /// what has changed since its mover saw it stays as it is.
    ///
    /// **Guarantees**: readers see the same bytes before and after; any order of commands.
    /// **Errors**: `SessionExpired`; `InvalidArgument` when the bytes would not be the same ones;
    /// `MissingBlock`; `Conflict` when others keep changing the same files.
    pub fn relocate(&self, session: SessionId, moves: &[Relocation]) -> Result<u64, Failure> {
        for part in moves {
            check(part)?;
        }
        let mut moved = 0;
        let mut left: Vec<&Relocation> = moves.iter().collect();
        while !left.is_empty() {
            let mut files = FxHashSet::default();
            // A command moves one part of a file at most.
            let (now, later): (Vec<_>, Vec<_>) = left.into_iter().partition(|part| {
                let file = (part.holder.node, part.holder.branch);
                files.len() < MOVES_PER_COMMAND && files.insert(file)
            });
            moved += self.relocate_some(session, &now)?;
            left = later;
        }
        Ok(moved)
    }

    fn relocate_some(&self, session: SessionId, moves: &[&Relocation]) -> Result<u64, Failure> {
        let now = TimeNanos::new(self.inner.clock.now_nanos());
        let context = Context::new(self.default_mount(), now);
        for _ in 0..ATTEMPTS_MAX {
            let reader = self.newest_reader();
            let root = Spot::live(NodeId::default(), BranchId::TRUNK, reader.at);
            let mut plan = self.plan(reader, &context, root);
            plan.in_session(session, self.now_millis())?;
            let mut moved = 0;
            for part in moves {
                moved += u64::from(relocate_one(&mut plan, part)?);
            }
            if moved == 0 {
                return Ok(0);
            }
            plan.settle()?;
            let mut command = plan.compile(None, Bytes::new())?;
            if self.inner.planted.is(Plant::ForgetPlaces) {
                let is_death =
                    |write: &Write| matches!(write, Write::Put(key, _) if key.keyspace() == DEATH);
                command.writes.retain(|write| !is_death(write));
            }
            match self.shard().execute(command, Durability::Buffered) {
                Ok(_) => return Ok(moved),
                Err(Error::CheckFailed { .. }) => {}
                Err(error) => return Err(from_shard(error)),
            }
        }
        Err(Failure::new(
            Reason::Conflict,
            format!("others changed the same files {ATTEMPTS_MAX} times in a row; try again later"),
        ))
    }
}

/// Whether the part is as its mover saw it, and moves.
fn relocate_one(plan: &mut Plan<'_>, part: &Relocation) -> Result<bool, Failure> {
    let holder = part.holder;
    let spot = Spot::live(holder.node, holder.branch, plan.reader.at);
    let looked = match plan.reader.look_node(spot) {
        Ok(looked) => looked,
        // The branch is gone.
        Err(failure) if failure.reason() == Reason::NotFound => return Ok(false),
        Err(failure) => return Err(failure),
    };
    let Some(found) = looked.found.filter(|_| looked.own) else {
        return Ok(false);
    };
    let is_same = found.record.generation == holder.generation && found.record.owner.is_none();
    if !is_same {
        return Ok(false);
    }
    match (holder.part, &found.record.body.layout) {
        (BodyPart::Whole, StoredLayout::Embedded(extents)) if *extents == part.from => {
            let mut record = plan.checked_node(spot)?;
            plan.lay_out(spot, &mut record, &part.to)?;
            plan.put_node(spot, record)?;
            Ok(true)
        }
        (BodyPart::Chunk(number), StoredLayout::Chunked(_)) => {
            relocate_chunk(plan, spot, number, part)
        }
        _ => Ok(false),
    }
}

fn relocate_chunk(
    plan: &mut Plan<'_>,
    spot: Spot,
    number: u32,
    part: &Relocation,
) -> Result<bool, Failure> {
    let generation = part.holder.generation;
    let key = chunk::key(spot.node, spot.branch, generation, number);
    let Some(found) = plan.reader.stored(&key)? else {
        return Ok(false);
    };
    let extents = chunk::decode(&found.value, u64::MAX).map_err(|flaw| malformed(&key, &flaw))?;
    if extents != part.from {
        return Ok(false);
    }
    let mut record = plan.checked_node(spot)?;
    plan.check(Check::UnchangedSince(key, plan.reader.at));
    let chunk = ChunkPart {
        spot,
        generation,
        number,
        birth: found.version,
        extents: &extents,
    };
    plan.lay_out_chunk(&chunk, &part.to)?;
    record.laid_out = Some(Moment::ThisRecord);
    plan.put_node(spot, record)?;
    Ok(true)
}

/// Demands that the same bytes are meant.
fn check(part: &Relocation) -> Result<(), Failure> {
    let bytes = |extent: &Extent| {
        let unit = &extent.unit;
        let shown = (extent.body_offset, extent.length, extent.skip);
        let stored = (unit.stored_bytes, unit.plain_bytes, unit.encoding);
        (shown, stored, unit.crc32c)
    };
    let is_same = part.from.iter().map(bytes).eq(part.to.iter().map(bytes));
    if is_same && part.holder.part.is_live() {
        return Ok(());
    }
    Err(invalid(format!(
        "the bytes of node {} would not be the same in the other place",
        part.holder.node
    )))
}
