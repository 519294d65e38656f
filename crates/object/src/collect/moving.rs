//! Moving parts of bodies: units are copied into new packs, packs are put, then parts are moved.
//!
//! Invariants: see [`super::compact`]. A unit that several parts share is copied once, and they
//! share the copy. Memory: one pack and what one GET brings.

use super::{collector::Round, compact::Movable};
use crate::{
    Error, PACK_BYTES_MAX,
    read::{UnitFetch, plan_units},
};
use bytes::Bytes;
use nokv_namespace::{Reference, Relocation};
use nokv_types::{BlockId, SessionId, Unit};
use std::{collections::HashMap, time::Duration};

/// Life of the session that new packs are written in: longer than any round.
const SESSION_TTL_MS: u64 = 3_600_000;
/// Parts moved by one call of the namespace.
const MOVES_PER_CALL: usize = 256;

/// Packs being filled.
struct Packs {
    session: SessionId,
    /// The number of the pack that is open.
    sequence: u32,
    open: Vec<u8>,
    /// What is in it: from where, to where.
    pending: Vec<(Unit, Unit)>,
    /// What is durable in its new place.
    moved: HashMap<Unit, Unit>,
    bytes: u64,
}

impl Packs {
    fn is_full(&self, more: usize) -> bool {
        !self.open.is_empty() && self.open.len() + more > PACK_BYTES_MAX as usize
    }

    fn add(&mut self, unit: Unit, stored: &Bytes) {
        let place = Unit {
            block: BlockId {
                session: self.session,
                sequence: self.sequence,
            },
            object_offset: u32::try_from(self.open.len()).expect("a pack is small"),
            ..unit
        };
        self.open.extend_from_slice(stored);
        self.pending.push((unit, place));
    }
}

impl Round<'_> {
    /// Copies what is in movable objects, and moves what could be copied whole.
    pub(super) async fn move_parts(&mut self, movable: Movable) -> Result<(), Error> {
        let session = self
            .inner
            .ask(|ledger| ledger.open_session(SESSION_TTL_MS))
            .await?;
        let mut packs = Packs {
            session,
            sequence: 0,
            open: Vec::new(),
            pending: Vec::new(),
            moved: HashMap::new(),
            bytes: 0,
        };
        self.copy(&movable, &mut packs).await;
        let moved = self.relocate(&movable, &packs).await;
        // What was copied and not moved goes with the session.
        self.inner
            .ask(move |ledger| ledger.close_session(session))
            .await?;
        moved
    }

    /// Copies as much as the round may, object by object.
    async fn copy(&mut self, movable: &Movable, packs: &mut Packs) {
        let units = movable.parts.iter().flat_map(|part| &part.extents);
        let units = units.map(|extent| extent.unit);
        let units = units.filter(|unit| movable.blocks.contains(&unit.block));
        for fetch in plan_units(units.collect()) {
            if self.is_over() || packs.bytes >= self.inner.options.compact.bytes_max {
                self.report.more = true;
                break;
            }
            if !self.copy_some(&fetch, packs).await {
                return;
            }
        }
        self.put(packs).await;
    }

    /// Copies what one GET brings; whether to go on.
    async fn copy_some(&mut self, fetch: &UnitFetch, packs: &mut Packs) -> bool {
        self.pace_bytes(fetch.bytes()).await;
        for (unit, stored) in fetch.run(&*self.inner.blocks).await {
            match stored {
                Ok(stored) => {
                    if packs.is_full(stored.len()) && !self.put(packs).await {
                        return false;
                    }
                    packs.bytes += stored.len() as u64;
                    packs.add(unit, &stored);
                }
                Err(error) => {
                    let is_damage =
                        matches!(error, Error::DigestMismatch(_) | Error::MissingBlock { .. });
                    self.report.damaged_units += u64::from(is_damage);
                    self.refused(error);
                }
            }
        }
        true
    }

    /// Puts the open pack; whether that went well.
    async fn put(&mut self, packs: &mut Packs) -> bool {
        if packs.open.is_empty() {
            return true;
        }
        let block = BlockId {
            session: packs.session,
            sequence: packs.sequence,
        };
        packs.sequence += 1;
        let pending = std::mem::take(&mut packs.pending);
        let bytes = Bytes::from(std::mem::take(&mut packs.open));
        match self.inner.blocks.put(block, bytes).await {
            Ok(()) => {
                self.outages = 0;
                packs.moved.extend(pending);
                true
            }
            Err(error) => {
                self.refused(error);
                false
            }
        }
    }

    /// Moves the parts whose units in movable objects are all copied.
    async fn relocate(&mut self, movable: &Movable, packs: &Packs) -> Result<(), Error> {
        let place = |unit: &Unit| match movable.blocks.contains(&unit.block) {
            true => packs.moved.get(unit).copied(),
            false => Some(*unit),
        };
        let relocation = |part: &Reference| {
            let mut to = part.extents.clone();
            for extent in &mut to {
                extent.unit = place(&extent.unit)?;
            }
            Some(Relocation {
                holder: part.holder,
                from: part.extents.clone(),
                to,
            })
        };
        let session = packs.session;
        for parts in movable.parts.chunks(MOVES_PER_CALL) {
            let moves: Vec<_> = parts.iter().filter_map(relocation).collect();
            let moved = self
                .inner
                .ask(move |ledger| ledger.relocate(session, &moves));
            let moved = moved.await?;
            self.report.moved_parts += moved;
            // What they leave can go.
            self.report.more |= moved > 0;
        }
        self.report.copied_bytes += packs.bytes;
        Ok(())
    }

    async fn pace_bytes(&self, bytes: u32) {
        if let Some(rate) = self.inner.options.compact.bytes_per_second {
            let millis = u64::from(bytes).saturating_mul(1_000) / rate.get();
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
    }
}
