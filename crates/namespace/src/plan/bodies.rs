//! Verbs on bodies: taking one in, putting one to death, and the references of its blocks.
//!
//! Invariant: a body, live or dead, holds one reference on each distinct block of its node record
//! and of each of its chunk records. References are taken by the command that publishes and dropped
//! by the one that reclaims: death itself changes none, since retained versions still read the
//! body.

use super::state::Plan;
use crate::failure::invalid;
use crate::records::{
    CHUNK_EXTENTS, DeadBody, DeathRecord, EMBEDDED_EXTENTS_MAX, Moment, NodeRecord, SessionRecord,
    StoredBody, StoredLayout, chunk, object,
};
use crate::spot::Spot;
use nokv_shard::{Check, Write};
use nokv_types::{Body, Extent, Failure, Generation, Layout, Reason, SessionId, Version};

/// A chunk of a body as it is.
pub(crate) struct ChunkPart<'a> {
    pub(crate) spot: Spot,
    pub(crate) generation: Generation,
    pub(crate) number: u32,
    /// The version that wrote it.
    pub(crate) birth: Version,
    pub(crate) extents: &'a [Extent],
}

/// Most extents of a body: 4 TiB of 4 MiB blocks. Its references are counted inside one command,
/// about a second of it.
pub(crate) const EXTENTS_MAX: usize = 1 << 20;

impl Plan<'_> {
    /// Publishes in the name of a session: it must be open when the command is applied.
    pub(crate) fn in_session(
        &mut self,
        session: SessionId,
        now_millis: u64,
    ) -> Result<(), Failure> {
        let key = SessionRecord::open_key(session);
        let expired = || {
            Failure::new(
                Reason::SessionExpired,
                format!("upload session {session} is over; open a new one and upload again"),
            )
        };
        let engine = self.reader.engine;
        let found = engine
            .get(key.keyspace(), key.bytes(), self.reader.at)
            .map_err(crate::failure::from_engine)?
            .ok_or_else(expired)?;
        let record = SessionRecord::decode(&found.value)
            .map_err(|flaw| crate::failure::malformed(&key, &flaw))?;
        if record.millis < now_millis {
            return Err(expired());
        }
        self.checks.push(Check::Present(key));
        self.sessions.push(session);
        Ok(())
    }

    /// The body of a record that was read checked. New bodies of the same command may share its
    /// blocks: as long as the record is the same, the body lives and holds them.
    pub(crate) fn held_body(&mut self, spot: Spot, record: &NodeRecord) -> Result<Body, Failure> {
        let body = self.reader.body(spot, record)?;
        // One that belongs to another branch is held there; its blocks are looked up one by one.
        if record.owner.is_none_or(|owner| owner == spot.branch)
            && let Layout::Extents(extents) = body.layout()
        {
            self.held.extend(extents.iter().map(Extent::block));
        }
        Ok(body)
    }

    /// Makes `body` the body of `node`: a new generation of `record`, which the caller puts.
    pub(crate) fn adopt(
        &mut self,
        spot: Spot,
        record: &mut NodeRecord,
        body: Body,
    ) -> Result<(), Failure> {
        record.generation = record.generation.next();
        record.birth = Moment::ThisRecord;
        record.laid_out = None;
        record.owner = None;
        let (size, digest) = (body.size(), body.digest());
        let layout = match body.layout() {
            Layout::Inline(bytes) => StoredLayout::Inline(bytes.clone()),
            Layout::Extents(extents) if extents.len() <= EMBEDDED_EXTENTS_MAX => {
                self.reference(extents)?;
                StoredLayout::Embedded(extents.clone())
            }
            Layout::Extents(extents) => self.write_chunks(spot, record, extents)?,
        };
        record.body = StoredBody {
            size,
            digest,
            layout,
        };
        Ok(())
    }

    fn write_chunks(
        &mut self,
        spot: Spot,
        record: &mut NodeRecord,
        extents: &[Extent],
    ) -> Result<StoredLayout, Failure> {
        // A node that was brought back may have had later generations, whose chunks are still
        // there.
        loop {
            let first = chunk::key(spot.node, spot.branch, record.generation, 0);
            if self.reader.stored(&first)?.is_none() {
                break;
            }
            record.generation = record.generation.next();
        }
        let count = u32::try_from(extents.len())
            .ok()
            .filter(|_| extents.len() <= EXTENTS_MAX);
        let Some(count) = count else {
            return Err(Failure::new(
                Reason::TooLarge,
                format!(
                    "{} extents are more than {EXTENTS_MAX}; use larger blocks",
                    extents.len()
                ),
            ));
        };
        for (number, part) in (0_u32..).zip(extents.chunks(CHUNK_EXTENTS)) {
            self.reference(part)?;
            let key = chunk::key(spot.node, spot.branch, record.generation, number);
            self.writes.push(Write::Put(key, chunk::encode(part)));
        }
        Ok(StoredLayout::Chunked(count))
    }

    /// One reference on each distinct block of these extents.
    fn reference(&mut self, extents: &[Extent]) -> Result<(), Failure> {
        for (block, used) in object::uses_of(extents) {
            let before = self.references.get(&block).copied().unwrap_or_default();
            self.references.insert(block, before.and(used));
            let is_new = before.references == 0;
            if is_new && !self.sessions.contains(&block.session) && !self.held.contains(&block) {
                let key = object::key(block);
                let found = self
                    .reader
                    .engine
                    .get(key.keyspace(), key.bytes(), self.reader.at)
                    .map_err(crate::failure::from_engine)?;
                if found.is_none() {
                    return Err(unreferenced(block.session, &self.sessions));
                }
                self.checks.push(Check::Present(key));
            }
        }
        Ok(())
    }

    /// Has the bytes of a body lie elsewhere: the same body, so neither its generation nor its age
    /// changes. Retained versions read them where they were.
    pub(crate) fn lay_out(
        &mut self,
        spot: Spot,
        record: &mut NodeRecord,
        extents: &[Extent],
    ) -> Result<(), Failure> {
        self.bury(spot, record);
        self.reference(extents)?;
        record.laid_out = Some(Moment::ThisRecord);
        record.body.layout = StoredLayout::Embedded(extents.to_vec());
        Ok(())
    }

    /// The same for a chunk of a body, which lay where it did since `birth`.
    pub(crate) fn lay_out_chunk(
        &mut self,
        part: &ChunkPart<'_>,
        extents: &[Extent],
    ) -> Result<(), Failure> {
        let death = DeathRecord {
            birth: part.birth,
            death: Moment::ThisRecord,
            size: u64::MAX,
            embedded: part.extents.to_vec(),
            chunks: 0,
        };
        let body = DeadBody {
            planned: self.reader.at,
            node: part.spot.node,
            branch: part.spot.branch,
            generation: part.generation,
        };
        self.writes.push(Write::Put(body.key(), death.encode()));
        self.reference(extents)?;
        let key = chunk::key(
            part.spot.node,
            part.spot.branch,
            part.generation,
            part.number,
        );
        self.writes.push(Write::Put(key, chunk::encode(extents)));
        Ok(())
    }

    /// Puts the body of a record to death: it is reclaimed when no retained version sees it any
    /// more. A body that belongs to another branch lives on there.
    pub(crate) fn bury(&mut self, spot: Spot, record: &NodeRecord) {
        if record.owner.is_some_and(|owner| owner != spot.branch) {
            return;
        }
        let since = match record.body.layout {
            StoredLayout::Embedded(_) => record.laid_out.unwrap_or(record.birth),
            // Its chunks were laid out at several times.
            StoredLayout::Chunked(_) | StoredLayout::Inline(_) => record.birth,
        };
        let birth = match since {
            Moment::At(version) => version,
            // Made and replaced by the same plan: nobody ever sees it.
            Moment::ThisRecord => Version::MAX,
        };
        if let Some(death) = DeathRecord::of(&record.body, birth) {
            let body = DeadBody {
                planned: self.reader.at,
                node: spot.node,
                branch: spot.branch,
                generation: record.generation,
            };
            self.writes.push(Write::Put(body.key(), death.encode()));
        }
    }
}

fn unreferenced(owner: SessionId, sessions: &[SessionId]) -> Failure {
    match sessions.last() {
        None => invalid("a body with new blocks is published without its upload session"),
        Some(session) => Failure::new(
            Reason::MissingBlock,
            format!(
                "a block of upload session {owner} is published by session {session}, and no body \
                 holds it; upload it again"
            ),
        ),
    }
}
