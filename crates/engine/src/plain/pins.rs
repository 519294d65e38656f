//! Which versions living snapshots see: the retention of the store.

use std::collections::BTreeMap;

use nokv_types::Version;
use parking_lot::Mutex;

use crate::{Engine, Retention};

/// How many snapshots see each version.
#[derive(Debug, Default)]
pub(super) struct Pins(Mutex<BTreeMap<Version, usize>>);

impl Pins {
    /// Keeps of the past only what is pinned: nothing yet.
    pub(super) fn install(&self, engine: &Engine) {
        retain(engine, &self.0.lock(), Version::MAX);
    }

    /// Pins the newest version.
    ///
    /// A compaction that began before may drop what newer versions hide that were there when it
    /// began. So everything from now on is retained first, and the version is read after: it is not
    /// below any of those.
    pub(super) fn pin(&self, engine: &Engine) -> Version {
        let mut pins = self.0.lock();
        retain(engine, &pins, engine.last_version());
        let version = engine.last_version();
        *pins.entry(version).or_default() += 1;
        retain(engine, &pins, Version::MAX);
        version
    }

    pub(super) fn unpin(&self, engine: &Engine, version: Version) {
        let mut pins = self.0.lock();
        let Some(count) = pins.get_mut(&version) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            pins.remove(&version);
            retain(engine, &pins, Version::MAX);
        }
    }
}

fn retain(engine: &Engine, pins: &BTreeMap<Version, usize>, horizon: Version) {
    engine.set_retention(Retention {
        horizon,
        pins: pins.keys().copied().collect(),
    });
}
