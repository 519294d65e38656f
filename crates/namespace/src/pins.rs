//! The versions that must stay exactly readable, however old: those of snapshots and branches, and
//! of long reads that are under way.
//!
//! Durable pins are records ([`crate::records::pin`]); this is their image in memory, which the
//! collector and every read of the past ask.
//!
//! Invariants:
//! - a version is here *before* the command that pins it is applied, and leaves only after the
//!   command that unpins it is on disk. So whoever raises the floor and asks afterwards sees every
//!   pin that was valid when the floor passed it, and no crash brings back a pin whose versions
//!   were forgotten;
//! - a version below the floor gets another pin only while it has one: what was given up once is
//!   never promised again.
//!
//! **Shape**: a sorted array: 16 bytes for each version, binary search for each question.

use nokv_types::Version;
use parking_lot::Mutex;

/// Most pinned versions of a store: every compaction takes a copy of 8 bytes for each.
pub(crate) const PINS_MAX: usize = 100_000;

/// Pinned versions, each as often as it is pinned.
#[derive(Default)]
pub(crate) struct Pins {
    set: Mutex<Set>,
}

#[derive(Default)]
struct Set {
    sorted: Vec<(Version, u32)>,
    /// How many versions have left.
    released: u64,
}

/// Keeps a version pinned while it lives.
#[must_use]
pub(crate) struct Hold<'a> {
    pins: &'a Pins,
    version: Version,
    kept: bool,
}

impl Pins {
    pub(crate) fn new(mut pins: Vec<Version>) -> Self {
        pins.sort_unstable();
        let mut set = Set::default();
        for version in pins {
            set.add(version);
        }
        Self {
            set: Mutex::new(set),
        }
    }

    /// Pins a version as long as the answer lives, or for good if it is told to.
    pub(crate) fn hold(&self, version: Version) -> Hold<'_> {
        self.set.lock().add(version);
        Hold {
            pins: self,
            version,
            kept: false,
        }
    }

    /// Takes one pin of a version away.
    pub(crate) fn release(&self, version: Version) {
        self.set.lock().remove(version);
    }

    pub(crate) fn contains(&self, version: Version) -> bool {
        self.set.lock().find(version).is_ok()
    }

    /// How often a version is pinned.
    pub(crate) fn count(&self, version: Version) -> u32 {
        let set = self.set.lock();
        let found = set.find(version).ok();
        found
            .and_then(|index| set.sorted.get(index))
            .map_or(0, |(_, count)| *count)
    }

    /// How many versions are pinned.
    pub(crate) fn len(&self) -> usize {
        self.set.lock().sorted.len()
    }

    /// How many versions have lost their last pin since the store was opened.
    pub(crate) fn released(&self) -> u64 {
        self.set.lock().released
    }

    /// The pinned versions, ascending.
    pub(crate) fn versions(&self) -> Vec<Version> {
        let set = self.set.lock();
        set.sorted.iter().map(|(version, _)| *version).collect()
    }
}

impl Set {
    fn find(&self, version: Version) -> Result<usize, usize> {
        self.sorted.binary_search_by_key(&version, |(at, _)| *at)
    }

    fn add(&mut self, version: Version) {
        match self.find(version) {
            Ok(index) => {
                if let Some((_, count)) = self.sorted.get_mut(index) {
                    *count += 1;
                }
            }
            Err(index) => self.sorted.insert(index, (version, 1)),
        }
    }

    fn remove(&mut self, version: Version) {
        let Ok(index) = self.find(version) else {
            return;
        };
        match self.sorted.get_mut(index) {
            Some((_, count)) if *count > 1 => *count -= 1,
            _ => {
                self.sorted.remove(index);
                self.released += 1;
            }
        }
    }
}

impl Hold<'_> {
    /// The version.
    pub(crate) const fn version(&self) -> Version {
        self.version
    }

    /// Leaves the version pinned.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        if !self.kept {
            self.pins.release(self.version);
        }
    }
}

/// The newest of some pinned versions (ascending) in `birth..death`: the one that, under snapshots
/// that go in order of age, goes last.
pub(crate) fn newest_within(pins: &[Version], birth: Version, death: Version) -> Option<Version> {
    let end = pins.partition_point(|pin| *pin < death);
    let newest = pins.get(end.checked_sub(1)?)?;
    (*newest >= birth).then_some(*newest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn version(number: u8) -> Version {
        Version::from_u64(u64::from(number))
    }

    proptest! {
        #[test]
        fn pins_count(steps in proptest::collection::vec((0..20_u8, 0..3_u8), 0..100)) {
            let pins = Pins::default();
            let mut model = BTreeMap::<Version, u32>::new();
            for (number, step) in steps {
                let at = version(number);
                match step {
                    0 => drop(pins.hold(at)),
                    1 => {
                        pins.hold(at).keep();
                        *model.entry(at).or_default() += 1;
                    }
                    _ => {
                        pins.release(at);
                        if let Some(count) = model.get_mut(&at) {
                            *count -= 1;
                        }
                        model.retain(|_, count| *count > 0);
                    }
                }
                prop_assert_eq!(pins.versions(), model.keys().copied().collect::<Vec<_>>());
                prop_assert_eq!(pins.contains(at), model.contains_key(&at));
            }
        }

        #[test]
        fn the_newest_pin_of_a_life_is_found(
            pins in proptest::collection::btree_set(0..30_u8, 0..8),
            birth in 0..30_u8,
            life in 0..30_u8,
        ) {
            let pins: Vec<_> = pins.into_iter().map(version).collect();
            let (birth, death) = (version(birth), version(birth + life));
            let wanted = pins.iter().copied().rfind(|pin| (birth..death).contains(pin));
            prop_assert_eq!(newest_within(&pins, birth, death), wanted);
        }
    }
}
