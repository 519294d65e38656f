//! Units as they are stored: fetched with few GETs, verified, not decoded.
//!
//! For whoever moves or checks bytes without wanting to read a body. Invariant: bytes are given out
//! only after their checksum was right.

use super::options::{FETCH_BYTES_MAX, GAP_BYTES_MAX, VERIFY_ATTEMPTS_MAX};
use crate::{BlockStore, Error, Mismatch, checksum};
use bytes::Bytes;
use nokv_types::{BlockId, Unit};
use std::ops::Range;

/// One GET of several units of an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct UnitFetch {
    pub(crate) block: BlockId,
    pub(crate) range: Range<u32>,
    /// Ascending by offset.
    pub(crate) units: Vec<Unit>,
}

/// The GETs that bring these units, each once: neighbours in an object share one.
pub(crate) fn plan_units(mut units: Vec<Unit>) -> Vec<UnitFetch> {
    units.sort_unstable_by_key(|unit| (unit.block, unit.object_offset, unit.stored_bytes));
    units.dedup();
    let mut fetches: Vec<UnitFetch> = Vec::new();
    for unit in units {
        let Range { start, end } = unit.object_range();
        if let Some(last) = fetches.last_mut()
            && last.block == unit.block
            && start.saturating_sub(last.range.end) <= GAP_BYTES_MAX
            && end.saturating_sub(last.range.start) <= FETCH_BYTES_MAX
        {
            last.range.end = end.max(last.range.end);
            last.units.push(unit);
            continue;
        }
        fetches.push(UnitFetch {
            block: unit.block,
            range: start..end,
            units: vec![unit],
        });
    }
    fetches
}

impl UnitFetch {
    /// Bytes that the GET brings.
    pub(crate) fn bytes(&self) -> u32 {
        self.range.end.saturating_sub(self.range.start)
    }

    /// Each unit with its stored bytes, verified, or with what is wrong with it.
    ///
    /// **Errors** of a unit: [`Error::MissingBlock`], [`Error::DigestMismatch`], those of the
    /// object store.
    pub(crate) async fn run(&self, store: &dyn BlockStore) -> Vec<(Unit, Result<Bytes, Error>)> {
        let whole = store.get_range(self.block, self.range.clone()).await;
        let mut found = Vec::with_capacity(self.units.len());
        for unit in &self.units {
            let stored = match &whole {
                Ok(bytes) => {
                    let start = unit.object_offset.saturating_sub(self.range.start) as usize;
                    let end = start.saturating_add(unit.stored_bytes as usize);
                    let start = start.min(bytes.len());
                    Ok(bytes.slice(start..end.min(bytes.len())))
                }
                Err(error) => Err(error.clone()),
            };
            let verified = match stored {
                Ok(stored) => verified(store, unit, stored).await,
                Err(error) => Err(error),
            };
            found.push((*unit, verified));
        }
        found
    }
}

/// The bytes of a unit once they are right; what is damaged is fetched again.
async fn verified(store: &dyn BlockStore, unit: &Unit, mut stored: Bytes) -> Result<Bytes, Error> {
    for attempt in 1.. {
        let got = checksum::crc32c(&stored);
        let is_whole = stored.len() == unit.stored_bytes as usize;
        if is_whole && got == unit.crc32c {
            return Ok(stored);
        }
        if attempt >= VERIFY_ATTEMPTS_MAX {
            let (expected, got) = match is_whole {
                true => (
                    format!("crc32c {:08x}", unit.crc32c),
                    format!("crc32c {got:08x}"),
                ),
                false => (
                    format!("{} bytes", unit.stored_bytes),
                    format!("{} bytes", stored.len()),
                ),
            };
            return Err(Error::DigestMismatch(Box::new(Mismatch {
                body: "a body".to_owned(),
                block: Some(unit.block),
                place: store.place(unit.block),
                expected,
                got,
            })));
        }
        stored = store.get_range(unit.block, unit.object_range()).await?;
    }
    unreachable!("the loop has no bound but its attempts")
}

#[cfg(test)]
mod tests {
    use super::*;
    use nokv_types::SessionId;

    fn unit(sequence: u32, start: u32, bytes: u32) -> Unit {
        let block = BlockId {
            session: SessionId::new(1),
            sequence,
        };
        Unit::plain(block, start..start + bytes, 0)
    }

    #[test]
    fn neighbours_share_a_get_and_a_unit_comes_once() {
        // One byte more than may lie between.
        let far = GAP_BYTES_MAX + 102;
        let fetches = plan_units(vec![
            unit(1, 0, 10),
            unit(0, far, 5),
            unit(0, 100, 1),
            unit(0, 0, 10),
            unit(0, 100, 1),
        ]);
        let shape: Vec<_> = fetches
            .iter()
            .map(|fetch| (fetch.block.sequence, fetch.range.clone(), fetch.units.len()))
            .collect();
        assert_eq!(shape, [(0, 0..101, 2), (0, far..far + 5, 1), (1, 0..10, 1)]);
    }
}
