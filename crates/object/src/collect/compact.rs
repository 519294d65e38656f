//! Compaction: what is still needed of objects that are mostly dead moves to new ones, and they
//! die.
//!
//! An object goes when the last body in it goes, so a pack of a thousand files of which one is left
//! costs what a thousand cost. The counters of the namespace say how much of each object is needed;
//! when all that is not needed together is more than [`CompactOptions::waste_percent_max`] of what
//! is, the emptiest objects are emptied, just as many as it takes.
//!
//! Invariants:
//! - bytes are copied only after their checksum was right, and a body is moved only after its new
//!   object is durable, by a command that fails if the body changed: at every moment all that a
//!   reader can know is there;
//! - an object is emptied only if all that is in it is live: what the past still sees would keep
//!   it, and moving the rest would cost space, not bring it;
//! - a crash at any point leaves a session that expires;
//! - bounded: by objects and bytes for a round, and paced. [`super::moving`] does it.

use super::{collector::Round, lap::Lap};
use crate::Error;
use nokv_namespace::{ObjectUse, Reference};
use nokv_types::{BlockId, Extent, SessionId};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    num::NonZeroU64,
};

/// Records of counters and of references read at once: some milliseconds.
const PAGE_RECORDS: usize = 4_096;
/// Parts of bodies whose places are remembered in a round: 100 MiB.
const PARTS_MAX: usize = 1 << 20;

/// What compaction may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CompactOptions {
    /// Bytes that nobody needs, in hundredths of those that somebody does, that are left alone:
    /// 100 and above turns compaction off. Each byte less is paid with copying.
    pub waste_percent_max: u32,
    /// Bytes that nobody needs, of the whole store, that are left alone.
    pub waste_bytes_min: u64,
    /// From the end of one look at all counters to the next, milliseconds.
    pub interval_ms: u64,
    /// Objects emptied in a round.
    pub objects_max: usize,
    /// Bytes copied in a round.
    pub bytes_max: u64,
    /// Bytes copied in a second; `None` for as many as the object store takes.
    pub bytes_per_second: Option<NonZeroU64>,
}

impl Default for CompactOptions {
    fn default() -> Self {
        Self {
            waste_percent_max: 8,
            waste_bytes_min: 1 << 20,
            interval_ms: 600_000,
            objects_max: 256,
            bytes_max: 256 << 20,
            bytes_per_second: None,
        }
    }
}

/// What later rounds go on with.
#[derive(Default)]
pub(super) struct Compaction {
    /// When the next look at all counters begins, milliseconds since 1970; the first at once.
    due_millis: u64,
    /// The last object of a lap that was broken off.
    after: Option<BlockId>,
}

/// Objects that can be emptied, and the parts of bodies that are in them.
#[derive(Default)]
pub(super) struct Movable {
    pub(super) blocks: BTreeSet<BlockId>,
    pub(super) parts: Vec<Reference>,
}

/// Whether a round compacts before it is time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Urgency {
    /// It waits for its time.
    Routine,
    /// Somebody asked for it.
    Asked,
}

/// How full objects are: bytes that nobody needs, by hundredths of the object that are needed.
struct Survey {
    live_bytes: u64,
    waste_bytes: [u64; 101],
}

impl Survey {
    fn add(&mut self, object: &ObjectUse) {
        let live = object.bytes.min(object.end);
        self.live_bytes += live;
        if let Some(waste) = self.waste_bytes.get_mut(fill(object)) {
            *waste += object.end - live;
        }
    }

    /// Objects up to this fill must be emptied; `None` when none must.
    fn fill_max(&self, options: &CompactOptions) -> Option<usize> {
        let mut waste: u64 = self.waste_bytes.iter().sum();
        let allowed = (self.live_bytes / 100).saturating_mul(options.waste_percent_max.into());
        let allowed = allowed.max(options.waste_bytes_min);
        let mut fill_max = None;
        for (fill, bytes) in self.waste_bytes.iter().enumerate() {
            if waste <= allowed {
                break;
            }
            waste -= bytes;
            fill_max = Some(fill);
        }
        fill_max
    }
}

/// Hundredths of an object that are needed.
fn fill(object: &ObjectUse) -> usize {
    let live = object.bytes.min(object.end);
    let hundredths = live.saturating_mul(100).checked_div(object.end);
    usize::try_from(hundredths.unwrap_or(100)).unwrap_or(100)
}

impl Round<'_> {
    /// Empties objects that are mostly dead, if that is due.
    pub(super) async fn compact(&mut self, urgency: Urgency) -> Result<(), Error> {
        let options = self.inner.options.compact;
        let now_millis = self.inner.clock.now_millis();
        let is_due = urgency == Urgency::Asked || now_millis >= self.state.compaction.due_millis;
        if options.waste_percent_max >= 100 || !is_due || self.is_over() {
            return Ok(());
        }
        let survey = self.survey().await?;
        let Some(fill_max) = survey.fill_max(&options) else {
            self.state.compaction.due_millis = now_millis.saturating_add(options.interval_ms);
            return Ok(());
        };
        let (sparse, lap) = self.sparse_objects(fill_max).await?;
        let movable = self.movable(&sparse).await?;
        let outcome = match movable.parts.is_empty() {
            true => Ok(()),
            false => self.move_parts(movable).await,
        };
        self.state.compaction.after = lap.place();
        if lap.is_over() {
            self.state.compaction.due_millis = now_millis.saturating_add(options.interval_ms);
        }
        outcome
    }

    async fn survey(&self) -> Result<Survey, Error> {
        let mut survey = Survey {
            live_bytes: 0,
            waste_bytes: [0; 101],
        };
        let mut after = None;
        loop {
            let page = self.objects(after).await?;
            page.iter().for_each(|object| survey.add(object));
            after = page.last().map(|object| object.block);
            if page.len() < PAGE_RECORDS {
                return Ok(survey);
            }
        }
    }

    async fn objects(&self, after: Option<BlockId>) -> Result<Vec<ObjectUse>, Error> {
        self.inner
            .ask(move |ledger| ledger.objects(after, PAGE_RECORDS))
            .await
    }

    /// Objects that are no fuller, of sessions that are over, as many as a round may empty.
    async fn sparse_objects(
        &self,
        fill_max: usize,
    ) -> Result<(BTreeMap<BlockId, ObjectUse>, Lap<BlockId>), Error> {
        let mut sparse = BTreeMap::new();
        let mut lap = Lap::from(self.state.compaction.after);
        let mut finished: Option<(SessionId, bool)> = None;
        while !lap.is_over() && sparse.len() < self.inner.options.compact.objects_max {
            let page = self.objects(lap.after()).await?;
            let uses: HashMap<_, _> = page.iter().map(|object| (object.block, *object)).collect();
            let mut blocks: Vec<_> = page.into_iter().map(|object| object.block).collect();
            lap.note(&mut blocks, PAGE_RECORDS);
            for block in blocks {
                let Some(object) = uses.get(&block).filter(|object| fill(object) <= fill_max)
                else {
                    continue;
                };
                let session = block.session;
                let is_over = match finished {
                    Some((known, is_over)) if known == session => is_over,
                    _ => {
                        let known = self
                            .inner
                            .ask(move |ledger| ledger.session_is_known(session));
                        !known.await?
                    }
                };
                finished = Some((session, is_over));
                if is_over && sparse.len() < self.inner.options.compact.objects_max {
                    sparse.insert(block, *object);
                }
            }
        }
        Ok((sparse, lap))
    }

    /// The parts of live bodies in these objects, but for objects that hold something else too.
    async fn movable(&self, sparse: &BTreeMap<BlockId, ObjectUse>) -> Result<Movable, Error> {
        if sparse.is_empty() {
            return Ok(Movable::default());
        }
        let mut parts: Vec<Reference> = Vec::new();
        let mut found: HashMap<BlockId, u64> = HashMap::new();
        let mut dead: HashSet<BlockId> = HashSet::new();
        let mut from = None;
        loop {
            let page = self
                .inner
                .ask(move |ledger| ledger.references(from.as_ref(), PAGE_RECORDS));
            let page = page.await?;
            for reference in page.references {
                let blocks: HashSet<BlockId> = reference
                    .extents
                    .iter()
                    .map(Extent::block)
                    .filter(|block| sparse.contains_key(block))
                    .collect();
                if blocks.is_empty() {
                    continue;
                }
                for block in &blocks {
                    *found.entry(*block).or_default() += 1;
                }
                if !reference.holder.part.is_live() {
                    dead.extend(blocks);
                } else if parts.len() < PARTS_MAX {
                    parts.push(reference);
                }
            }
            match page.next {
                Some(next) => from = Some(next),
                None => break,
            }
        }
        let is_movable = |block: &BlockId| {
            let counted = sparse.get(block).map(|object| object.references);
            !dead.contains(block) && counted == found.get(block).copied()
        };
        let blocks: BTreeSet<_> = sparse.keys().copied().filter(is_movable).collect();
        parts.retain(|part| {
            let mut extents = part.extents.iter();
            extents.any(|extent| blocks.contains(&extent.block()))
        });
        Ok(Movable { blocks, parts })
    }
}
