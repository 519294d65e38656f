//! A consistent view of the past.

use std::{ops::Deref, sync::Arc};

use nokv_types::Version;

use super::{db::Inner, reader::Reader, space::Space};
use crate::moment::Asked;

/// Keeps a version from being forgotten while it lives.
#[derive(Debug)]
pub(super) struct Pin {
    inner: Arc<Inner>,
    version: Version,
    /// What expires at or below it had expired.
    expired: u64,
}

impl Pin {
    pub(super) fn new(inner: &Arc<Inner>) -> Self {
        let version = inner.pins.pin(&inner.engine);
        Self {
            inner: Arc::clone(inner),
            version,
            expired: inner.engine.present().as_u64(),
        }
    }

    pub(super) fn asked(&self) -> Asked {
        Asked::Snapshot {
            version: self.version,
            expired: self.expired,
        }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.inner.pins.unpin(&self.inner.engine, self.version);
    }
}

/// The database as it was at one moment, all keyspaces alike: a [`Reader`] of its own keyspace, and
/// through [`Snapshot::of`] of the others.
///
/// **Guarantees**: what it shows never changes, also as to what has expired. While it or one of its
/// readers or iterators lives, the store keeps what it sees; it does not survive closing.
#[derive(Clone, Debug)]
pub struct Snapshot(Reader);

impl Snapshot {
    pub(super) fn new(space: &Space) -> Self {
        let pin = Arc::new(Pin::new(&space.inner));
        Self(Reader {
            pin: Some(pin),
            ..Reader::clone(space)
        })
    }

    /// A keyspace of the same database as it was then.
    #[must_use]
    pub fn of(&self, space: &Space) -> Reader {
        Reader {
            keyspace: space.keyspace,
            ..self.0.clone()
        }
    }

    /// The version that it sees.
    #[must_use]
    pub fn version(&self) -> Version {
        self.0.pin.as_ref().map_or(Version::MAX, |pin| pin.version)
    }
}

impl Deref for Snapshot {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        &self.0
    }
}
