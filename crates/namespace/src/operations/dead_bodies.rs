//! Bodies out of sight: dropping their references once no retained version can see them.
//!
//! Invariants:
//! - a body is reclaimed only when its death is at or below the floor, the floor is on disk, no
//!   pinned version lies between its birth and its death, and no read is leased since a version
//!   before its death: no read that is admitted, or under way with a lease, can need it;
//! - references are dropped once: the command checks that the death record is as it was read;
//! - no round looks again at a body that waits: one that a pin still sees is moved to be held under
//!   that pin, and comes up again when the pin is gone. So a snapshot that lives for years costs
//!   the collector nothing;
//! - every command here is bounded, whatever the size of the body.

use crate::failure::{contradiction, from_engine, from_shard, malformed};
use crate::pins::newest_within;
use crate::plant::Plant;
use crate::records::object::{self, BlockUse};
use crate::records::{DeadBody, DeathRecord, Moment, chunk};
use crate::{Namespace, Reclaimed};
use nokv_engine::{Direction, KeyRange};
use nokv_shard::{Check, Command, Durability, Key, Write};
use nokv_types::{BlockId, Extent, Failure, Version};
use rustc_hash::FxHashMap;
use std::sync::atomic::Ordering;

/// Chunk records of dead bodies dropped by one command: each has up to 1,024 extents.
const CHUNKS_PER_COMMAND: u32 = 4;
/// Dead bodies dropped by one command.
const DEATHS_PER_COMMAND: usize = 256;

impl Namespace {
    /// Drops the references of bodies that nothing retained can see.
    pub(super) fn drop_dead(&self, limit: usize, reclaimed: &mut Reclaimed) -> Result<(), Failure> {
        let floor = self.floor();
        let floor = self.unleased(floor);
        // Asked before the pins: what is released after is looked at in the next round.
        let released = self.inner.pins.released();
        let mut round = Round {
            namespace: self,
            floor,
            // Asked after the floor: see `crate::pins`.
            pins: match self.inner.planted.is(Plant::ForgetPins) {
                false => self.inner.pins.versions(),
                true => Vec::new(),
            },
            left: limit,
            reclaimed,
        };
        while round.deaths()? {}
        if self.inner.held_looked_at.load(Ordering::Acquire) != released && round.held()? {
            self.inner.held_looked_at.store(released, Ordering::Release);
        }
        Ok(())
    }
}

/// One round over dead bodies.
struct Round<'a> {
    namespace: &'a Namespace,
    /// What died after it is retained or leased.
    floor: Version,
    /// Ascending.
    pins: Vec<Version>,
    left: usize,
    reclaimed: &'a mut Reclaimed,
}

impl Round<'_> {
    /// One command's worth of deaths that the floor has passed; whether to go on.
    fn deaths(&mut self) -> Result<bool, Failure> {
        let at = self.namespace.read_version();
        let keyspace = DeadBody::KEYSPACE;
        let scan = self
            .namespace
            .engine()
            .scan(keyspace, KeyRange::all(), at, Direction::Forward)
            .map_err(from_engine)?;
        let mut drop = Drop::new(self.namespace, at);
        for item in scan {
            let (key, found) = item.map_err(from_engine)?;
            let key = Key::new(keyspace, &key);
            let (body, record) = read(&key, &found.value)?;
            if body.planned > self.floor {
                break;
            }
            let death = record.death.in_record(found.version);
            if death > self.floor {
                self.reclaimed.retained += 1;
                continue;
            }
            if !self.admit() {
                break;
            }
            self.settle(&mut drop, key, &body, record, death)?;
            if drop.is_full() {
                break;
            }
        }
        let full = drop.is_full();
        self.reclaimed.bodies += drop.execute()?;
        Ok(full)
    }

    /// Looks at the bodies held under pins that are gone; whether at all of them.
    fn held(&mut self) -> Result<bool, Failure> {
        let keyspace = DeadBody::HELD_KEYSPACE;
        let mut range = KeyRange::all();
        let mut is_done = true;
        'gone: loop {
            let at = self.namespace.read_version();
            let scan = self
                .namespace
                .engine()
                .scan(keyspace, range, at, Direction::Forward)
                .map_err(from_engine)?;
            let mut drop = Drop::new(self.namespace, at);
            for item in scan {
                let (key, found) = item.map_err(from_engine)?;
                let key = Key::new(keyspace, &key);
                let (body, record) = read(&key, &found.value)?;
                let pin = body.planned;
                if self.pins.binary_search(&pin).is_ok() {
                    self.reclaimed.bodies += drop.execute()?;
                    let next = pin.next().as_u64().to_be_bytes();
                    range = KeyRange::between(next, [u8::MAX; 32]);
                    continue 'gone;
                }
                if !self.admit() {
                    self.reclaimed.bodies += drop.execute()?;
                    return Ok(false);
                }
                let death = record.death.in_record(found.version);
                if death > self.floor {
                    // Leased.
                    self.reclaimed.retained += 1;
                    is_done = false;
                    continue;
                }
                self.settle(&mut drop, key, &body, record, death)?;
                if drop.is_full() {
                    self.reclaimed.bodies += drop.execute()?;
                    range = KeyRange::between(pin.as_u64().to_be_bytes(), [u8::MAX; 32]);
                    continue 'gone;
                }
            }
            self.reclaimed.bodies += drop.execute()?;
            return Ok(is_done);
        }
    }

    /// Whether the round may look at one more body.
    fn admit(&mut self) -> bool {
        self.reclaimed.more |= self.left == 0;
        self.left = match self.left.checked_sub(1) {
            Some(left) => left,
            None => return false,
        };
        true
    }

    /// Drops a body, or has it held under the pin that still sees it.
    fn settle(
        &mut self,
        drop: &mut Drop<'_>,
        key: Key,
        body: &DeadBody,
        record: DeathRecord,
        death: Version,
    ) -> Result<(), Failure> {
        match newest_within(&self.pins, record.birth, death) {
            None => drop.take(key, body, record, death),
            Some(pin) => {
                self.reclaimed.retained += 1;
                drop.hold(key, body, record, death, pin);
                Ok(())
            }
        }
    }
}

fn read(key: &Key, value: &[u8]) -> Result<(DeadBody, DeathRecord), Failure> {
    let flaw = |flaw| malformed(key, &flaw);
    let body = DeadBody::from_key(key.bytes()).map_err(flaw)?;
    Ok((body, DeathRecord::decode(value).map_err(flaw)?))
}

/// One command that drops references of dead bodies.
struct Drop<'a> {
    namespace: &'a Namespace,
    at: Version,
    references: FxHashMap<BlockId, BlockUse>,
    command: Command,
    chunks: u32,
    bodies: usize,
    done: u64,
}

impl<'a> Drop<'a> {
    fn new(namespace: &'a Namespace, at: Version) -> Self {
        Self {
            namespace,
            at,
            references: FxHashMap::default(),
            command: Command::default(),
            chunks: 0,
            bodies: 0,
            done: 0,
        }
    }

    fn is_full(&self) -> bool {
        self.chunks >= CHUNKS_PER_COMMAND || self.bodies >= DEATHS_PER_COMMAND
    }

    fn check(&mut self, key: &Key) {
        self.bodies += 1;
        self.command
            .checks
            .push(Check::UnchangedSince(key.clone(), self.at));
    }

    /// Moves a body under a pin.
    fn hold(
        &mut self,
        key: Key,
        body: &DeadBody,
        mut record: DeathRecord,
        death: Version,
        pin: Version,
    ) {
        self.check(&key);
        record.death = Moment::At(death);
        self.command.writes.push(Write::Delete(key));
        self.command
            .writes
            .push(Write::Put(body.held_key(pin, death), record.encode()));
    }

    /// Takes in a body, or as many of its chunks as fit.
    fn take(
        &mut self,
        key: Key,
        body: &DeadBody,
        mut record: DeathRecord,
        death: Version,
    ) -> Result<(), Failure> {
        self.check(&key);
        let embedded = std::mem::take(&mut record.embedded);
        self.unreference(&embedded);
        while record.chunks > 0 && self.chunks < CHUNKS_PER_COMMAND {
            record.chunks -= 1;
            self.chunks += 1;
            let key = chunk::key(body.node, body.branch, body.generation, record.chunks);
            let extents = self.extents(&key, record.size)?;
            self.unreference(&extents);
            self.command.writes.push(Write::Delete(key));
        }
        if record.chunks == 0 {
            self.done += 1;
            self.command.writes.push(Write::Delete(key));
        } else {
            record.death = Moment::At(death);
            self.command.writes.push(Write::Put(key, record.encode()));
        }
        Ok(())
    }

    fn extents(&self, key: &Key, size: u64) -> Result<Vec<Extent>, Failure> {
        let engine = self.namespace.engine();
        let found = engine
            .get(key.keyspace(), key.bytes(), self.at)
            .map_err(from_engine)?;
        let found = found
            .ok_or_else(|| contradiction(format!("chunk {key:?} of a dead body is missing")))?;
        chunk::decode(&found.value, size).map_err(|flaw| malformed(key, &flaw))
    }

    fn unreference(&mut self, extents: &[Extent]) {
        for (block, used) in object::uses_of(extents) {
            let before = self.references.entry(block).or_default();
            *before = before.and(used);
        }
    }

    /// Returns how many bodies are gone.
    fn execute(mut self) -> Result<u64, Failure> {
        if self.bodies == 0 {
            return Ok(0);
        }
        let references = self.references.into_iter();
        self.command
            .adds
            .extend(references.map(|(block, used)| used.take(block)));
        match self
            .namespace
            .shard()
            .execute(self.command, Durability::Buffered)
        {
            Ok(_) => Ok(self.done),
            Err(error) => Err(from_shard(error)),
        }
    }
}
