//! One keyspace: reading, and writing single entries.

use std::{
    ops::{Deref, RangeBounds},
    time::Duration,
};

use super::{batch::WriteBatch, reader::Reader};
use crate::{Durability, Error};

/// One keyspace of a database: a [`Reader`] of what is in it now, and a writer.
///
/// Each of its writes is a batch by itself, as durable as [`Space::with_durability`] said:
/// [`Durability::Synced`] when it said nothing.
///
/// **Concurrency**: cheap to clone, usable from any thread; writers share log writes and syncs.
#[derive(Clone, Debug)]
pub struct Space {
    reader: Reader,
    durability: Durability,
}

impl Space {
    pub(super) fn new(reader: Reader) -> Self {
        Self {
            reader,
            durability: Durability::default(),
        }
    }

    /// The same keyspace, for writes of this durability.
    #[must_use]
    pub fn with_durability(&self, durability: Durability) -> Self {
        Self {
            reader: self.reader.clone(),
            durability,
        }
    }

    /// Writes a value, instead of one that is there.
    ///
    /// # Errors
    /// `Invalid` for a key that is empty or longer than [`crate::KEY_BYTES_MAX`], or a value longer
    /// than [`crate::VALUE_BYTES_MAX`]; `Exhausted` (nothing written); `OutcomeUnknown` (open
    /// again); `Closed`, `ReadOnly`.
    pub fn set(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), Error> {
        let mut batch = WriteBatch::new();
        batch.set(self, key, value);
        self.set_batch(batch)
    }

    /// Writes a value that is gone after `ttl`, to the millisecond.
    ///
    /// # Errors
    /// As [`Space::set`].
    pub fn set_with_ttl(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        ttl: Duration,
    ) -> Result<(), Error> {
        let mut batch = WriteBatch::new();
        batch.set_with_ttl(self, key, value, ttl);
        self.set_batch(batch)
    }

    /// Removes a key; one that is not there is no error.
    ///
    /// # Errors
    /// As [`Space::set`].
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<(), Error> {
        let mut batch = WriteBatch::new();
        batch.delete(self, key);
        self.set_batch(batch)
    }

    /// Removes all keys in `range`, at the cost of one write.
    ///
    /// # Errors
    /// As [`Space::set`].
    pub fn delete_range<K: AsRef<[u8]>>(&self, range: impl RangeBounds<K>) -> Result<(), Error> {
        let mut batch = WriteBatch::new();
        batch.delete_range(self, range);
        self.set_batch(batch)
    }

    /// Writes a batch, over any keyspaces of the database.
    ///
    /// **Guarantees**: all of it becomes visible at once and survives a crash whole or not at all.
    ///
    /// # Errors
    /// As [`Space::set`]; `Invalid` for a batch over [`crate::BATCH_BYTES_MAX`], or with a keyspace
    /// of another database.
    pub fn set_batch(&self, batch: WriteBatch) -> Result<(), Error> {
        let inner = &self.reader.inner;
        inner
            .engine
            .write(batch.into_batch(inner)?, self.durability)
    }
}

impl Deref for Space {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        &self.reader
    }
}
