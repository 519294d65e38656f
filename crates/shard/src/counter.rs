//! Counters: records that commands change without reading them.
//!
//! A counter has up to eight slots. A [`Change`] of a slot needs no check, so any number of writers
//! may change the same counter (a busy directory, a shared object) and none conflicts.
//!
//! **Shape** of a stored counter: format byte 1, a byte with one bit per slot that was ever
//! changed, then for each of those a signed varint.

use crate::codec::{Decoder, Encoder, Malformed};
use bytes::Bytes;

const FORMAT: u8 = 1;
/// Slots of a counter: as many as the presence byte has bits.
pub const SLOT_COUNT: usize = 8;

/// A slot of a counter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Slot(u8);

impl Slot {
    /// Slot `index`, below [`SLOT_COUNT`].
    ///
    /// **Panics**: at compile time when used in a constant with a larger index.
    #[must_use]
    pub const fn new(index: u8) -> Self {
        assert!((index as usize) < SLOT_COUNT, "a counter has eight slots");
        Self(index)
    }
}

/// A change of one slot. All are total: sums saturate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Add; commutes with other sums.
    Sum(i64),
    /// Raise to at least this; commutes with other maxima.
    Max(i64),
    /// Replace, in log order.
    Set(i64),
}

/// The value of a counter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counter {
    slots: [Option<i64>; SLOT_COUNT],
}

impl Counter {
    /// The value of a slot; `None` when never changed.
    #[must_use]
    pub fn get(&self, slot: Slot) -> Option<i64> {
        self.slots.get(usize::from(slot.0)).copied().flatten()
    }

    /// The value of a slot that counts; 0 when never changed.
    #[must_use]
    pub fn sum(&self, slot: Slot) -> i64 {
        self.get(slot).unwrap_or(0)
    }

    /// Applies a change.
    pub fn change(&mut self, slot: Slot, change: Change) {
        if let Some(value) = self.slots.get_mut(usize::from(slot.0)) {
            *value = Some(match (change, *value) {
                (Change::Sum(delta), present) => present.unwrap_or(0).saturating_add(delta),
                (Change::Max(floor), Some(present)) => present.max(floor),
                (Change::Max(value), None) | (Change::Set(value), _) => value,
            });
        }
    }

    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut encoder = Encoder::new(FORMAT);
        let present = self
            .slots
            .iter()
            .rev()
            .fold(0, |bits, slot| bits << 1 | u8::from(slot.is_some()));
        encoder.u8(present);
        for value in self.slots.iter().flatten() {
            encoder.signed(*value);
        }
        encoder.finish()
    }

    /// Reads the stored form.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut decoder = Decoder::new(bytes, FORMAT)?;
        let present = decoder.u8("slots of a counter")?;
        let mut counter = Self::default();
        for (index, slot) in counter.slots.iter_mut().enumerate() {
            if present >> index & 1 == 1 {
                *slot = Some(decoder.signed("slot of a counter")?);
            }
        }
        Ok(counter)
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, Counter, Slot};
    use proptest::prelude::*;

    fn changes() -> impl Strategy<Value = Vec<(u8, u8, i64)>> {
        proptest::collection::vec((0..8_u8, 0..3_u8, -1000..1000_i64), 0..20)
    }

    fn apply(changes: &[(u8, u8, i64)]) -> Counter {
        let mut counter = Counter::default();
        for (slot, kind, value) in changes {
            let change = [
                Change::Sum(*value),
                Change::Max(*value),
                Change::Set(*value),
            ];
            counter.change(Slot::new(*slot), change[usize::from(*kind)]);
        }
        counter
    }

    proptest! {
        #[test]
        fn a_counter_survives_storage(changes in changes()) {
            let counter = apply(&changes);
            prop_assert_eq!(Counter::decode(&counter.encode()), Ok(counter));
        }

        #[test]
        fn sums_and_maxima_commute(mut changes in changes()) {
            changes.retain(|(slot, kind, _)| *kind == slot % 2);
            let forward = apply(&changes);
            changes.reverse();
            prop_assert_eq!(forward, apply(&changes));
        }

        #[test]
        fn damage_is_an_error_or_another_counter_never_a_panic(bytes: Vec<u8>) {
            let _outcome = Counter::decode(&bytes);
        }
    }
}
