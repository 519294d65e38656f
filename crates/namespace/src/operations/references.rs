//! Who needs which object: the list of all references, page by page, and what the counters say.
//!
//! Invariants:
//! - every reference that a counter counts is in the list once: of the newest body of each node in
//!   each branch, of each chunk, and of each body out of sight;
//! - a page costs what it reads, and nothing is remembered between pages. A list that is read while
//!   others write shows each reference that stays.

use crate::failure::{from_engine, from_shard, malformed};
use crate::records::object::{self, BlockUse};
use crate::records::{
    CHUNK, DEATH, DeadBody, DeathRecord, HELD, NODE, NodeRecord, OBJECT, StoredLayout, chunk,
    is_whiteout, spot_at, system,
};
use crate::{BodyPart, Holder, Namespace, ObjectUse, Reference, ReferenceCursor, ReferencePage};
use bytes::Bytes;
use nokv_engine::{Direction, KeyRange, Keyspace, Record};
use nokv_shard::codec::Malformed;
use nokv_shard::{Command, Counter, Durability, Key, Write};
use nokv_types::{BlockId, BranchId, Extent, Failure, Generation, NodeId, Version};

/// The families that have extents, in the order of the list.
const FAMILIES: [Keyspace; 4] = [NODE, CHUNK, DEATH, HELD];

impl Namespace {
    /// Up to `limit` objects after `after` that bodies use, in ascending order. Fewer are the last.
    pub fn objects(&self, after: Option<BlockId>, limit: usize) -> Result<Vec<ObjectUse>, Failure> {
        let range = match after {
            None => KeyRange::all(),
            Some(after) => KeyRange::all().after(object::key(after).bytes()),
        };
        let scan = self
            .engine()
            .scan(OBJECT, range, self.read_version(), Direction::Forward)
            .map_err(from_engine)?;
        let mut objects = Vec::new();
        for item in scan.take(limit) {
            let (key, found) = item.map_err(from_engine)?;
            let used = object_use(&key, &found);
            objects.push(used.map_err(|flaw| malformed(&Key::new(OBJECT, &key), &flaw))?);
        }
        Ok(objects)
    }

    /// What [`Self::remember_scrub`] wrote down.
    pub fn scrub_place(&self) -> Result<Option<Bytes>, Failure> {
        let key = system::scrub();
        let found = self
            .engine()
            .get(key.keyspace(), key.bytes(), self.read_version())
            .map_err(from_engine)?;
        Ok(found.map(|found| found.value.into_bytes()))
    }

    /// Writes down where the reading back of all bodies is, in bytes of the caller's own; `None`
    /// forgets it.
    pub fn remember_scrub(&self, place: Option<Bytes>) -> Result<(), Failure> {
        let key = system::scrub();
        let command = Command {
            writes: vec![match place {
                Some(place) => Write::Put(key, place),
                None => Write::Delete(key),
            }],
            ..Command::default()
        };
        self.shard()
            .execute(command, Durability::Buffered)
            .map_err(from_shard)?;
        Ok(())
    }

    /// The references of the next `limit` records from a place on, or from the beginning.
    pub fn references(
        &self,
        from: Option<&ReferenceCursor>,
        limit: usize,
    ) -> Result<ReferencePage, Failure> {
        let at = self.read_version();
        let (mut family, mut after) = match from.and_then(|from| from.0.split_first()) {
            None => (0, None),
            Some((family, key)) => (usize::from(*family), Some(Bytes::copy_from_slice(key))),
        };
        let mut references = Vec::new();
        let mut left = limit.max(1);
        let mut generations = Generations::default();
        while let Some(keyspace) = FAMILIES.get(family).copied() {
            let range = match &after {
                None => KeyRange::all(),
                Some(after) => KeyRange::all().after(after),
            };
            let scan = self
                .engine()
                .scan(keyspace, range, at, Direction::Forward)
                .map_err(from_engine)?;
            for item in scan {
                let (key, found) = item.map_err(from_engine)?;
                let mut found = reference(keyspace, &key, &found)
                    .map_err(|flaw| malformed(&Key::new(keyspace, &key), &flaw))?;
                if let Some(Reference { holder, .. }) = &mut found {
                    generations.tell(self, at, holder)?;
                }
                references.extend(found);
                left -= 1;
                if left == 0 {
                    let next = Some(cursor(family, &key));
                    return Ok(ReferencePage { references, next });
                }
            }
            (family, after) = (family + 1, None);
        }
        let next = None;
        Ok(ReferencePage { references, next })
    }
}

/// The newest body of the file whose chunks are being read.
#[derive(Default)]
struct Generations {
    file: Option<(NodeId, BranchId)>,
    newest: Option<Generation>,
}

impl Generations {
    /// Tells chunks of the newest body from those of bodies out of sight.
    fn tell(
        &mut self,
        namespace: &Namespace,
        at: Version,
        holder: &mut Holder,
    ) -> Result<(), Failure> {
        let BodyPart::Chunk(number) = holder.part else {
            return Ok(());
        };
        let file = (holder.node, holder.branch);
        if self.file != Some(file) {
            let key = NodeRecord::key(holder.node, holder.branch);
            let found = namespace
                .engine()
                .get(key.keyspace(), key.bytes(), at)
                .map_err(from_engine)?;
            let found = found.filter(|found| !is_whiteout(holder.branch, &found.value));
            let record = found.map(|found| NodeRecord::decode(&found.value));
            let record = record.transpose().map_err(|flaw| malformed(&key, &flaw))?;
            let own = record.filter(|record| record.owner.is_none());
            (self.file, self.newest) = (Some(file), own.map(|record| record.generation));
        }
        if self.newest != Some(holder.generation) {
            holder.part = BodyPart::DeadChunk(number);
        }
        Ok(())
    }
}

fn cursor(family: usize, key: &[u8]) -> ReferenceCursor {
    let mut bytes = Vec::with_capacity(1 + key.len());
    bytes.push(u8::try_from(family).expect("there are four families"));
    bytes.extend_from_slice(key);
    ReferenceCursor(bytes.into())
}

fn object_use(key: &[u8], found: &Record) -> Result<ObjectUse, Malformed> {
    let used = BlockUse::of(&Counter::decode(&found.value)?);
    let unsigned = |number: i64| u64::try_from(number).unwrap_or(0);
    Ok(ObjectUse {
        block: object::block(key)?,
        references: unsigned(used.references),
        bytes: unsigned(used.bytes),
        end: unsigned(used.end),
    })
}

/// What a record references; `None` for one without extents of its own.
fn reference(
    keyspace: Keyspace,
    key: &[u8],
    found: &Record,
) -> Result<Option<Reference>, Malformed> {
    let (holder, extents) = if keyspace == NODE {
        match of_node(key, found)? {
            None => return Ok(None),
            Some(found) => found,
        }
    } else if keyspace == CHUNK {
        let (node, branch) = spot_at(key, 0)?;
        let holder = Holder {
            node,
            branch,
            generation: chunk::generation(key)?,
            part: BodyPart::Chunk(chunk::number(key)?),
        };
        (holder, chunk::decode(&found.value, u64::MAX)?)
    } else {
        of_dead(keyspace, key, found)?
    };
    let is_listed = !extents.is_empty() || !holder.part.is_live();
    Ok(is_listed.then_some(Reference { holder, extents }))
}

fn of_node(key: &[u8], found: &Record) -> Result<Option<(Holder, Vec<Extent>)>, Malformed> {
    let (node, branch) = spot_at(key, 0)?;
    if is_whiteout(branch, &found.value) {
        return Ok(None);
    }
    let record = NodeRecord::decode(&found.value)?;
    match record.body.layout {
        StoredLayout::Embedded(extents) if record.owner.is_none() => {
            let holder = Holder {
                node,
                branch,
                generation: record.generation,
                part: BodyPart::Whole,
            };
            Ok(Some((holder, extents)))
        }
        _ => Ok(None),
    }
}

fn of_dead(
    keyspace: Keyspace,
    key: &[u8],
    found: &Record,
) -> Result<(Holder, Vec<Extent>), Malformed> {
    let body = DeadBody::from_key(key)?;
    let record = DeathRecord::decode(&found.value)?;
    let holder = Holder {
        node: body.node,
        branch: body.branch,
        generation: body.generation,
        part: BodyPart::Dead {
            birth: record.birth,
            death: record.death.in_record(found.version),
            pin: (keyspace == HELD).then_some(body.planned),
        },
    };
    Ok((holder, record.embedded))
}
