//! Writes that become visible together.

use std::{ops::RangeBounds, sync::Arc, time::Duration};

use nokv_types::Version;

use super::{
    bounds::{check_key, ends},
    db::Inner,
    space::Space,
};
use crate::{Batch, Error};

/// Writes over any keyspaces of one database, that become visible and durable as one. They take
/// effect in their order.
///
/// **Shape**: at most [`crate::BATCH_BYTES_MAX`] bytes of keys, values and some bytes for each
/// write. What is wrong with a write (its key or value is over a limit) is told when the batch is
/// written, and then nothing of it is.
#[derive(Debug)]
pub struct WriteBatch {
    batch: Batch,
    /// The version of the next write, counted from that of the first. A range that is deleted
    /// takes a new one, so that it hides what the batch wrote before.
    step: Version,
    /// Whether something was written at this step that a range would not hide.
    is_step_used: bool,
    owner: Option<Arc<Inner>>,
}

impl Default for WriteBatch {
    fn default() -> Self {
        Self::new()
    }
}

impl WriteBatch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self {
            batch: Batch::unstamped(),
            step: Version::ZERO,
            is_step_used: false,
            owner: None,
        }
    }

    /// As [`Space::set`]. A [`super::Db`] passes for its own keyspace.
    pub fn set(&mut self, space: &Space, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let key = key.as_ref();
        if self.admits(space, key) {
            self.is_step_used = true;
            self.batch
                .put(space.keyspace, key, value.as_ref(), self.step);
        }
    }

    /// As [`Space::set_with_ttl`]; the time counts from this call.
    pub fn set_with_ttl(
        &mut self,
        space: &Space,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        ttl: Duration,
    ) {
        let key = key.as_ref();
        if self.admits(space, key) {
            self.is_step_used = true;
            let ttl_millis = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
            let present_millis = space.inner.engine.present().millis();
            let expires_at = Version::from_millis(present_millis.saturating_add(ttl_millis));
            self.batch
                .put_expiring(space.keyspace, key, value.as_ref(), self.step, expires_at);
        }
    }

    /// As [`Space::delete`].
    pub fn delete(&mut self, space: &Space, key: impl AsRef<[u8]>) {
        let key = key.as_ref();
        if self.admits(space, key) {
            self.batch.delete(space.keyspace, key, self.step);
        }
    }

    /// As [`Space::delete_range`].
    pub fn delete_range<K: AsRef<[u8]>>(&mut self, space: &Space, range: impl RangeBounds<K>) {
        self.own(space);
        if self.is_step_used {
            self.step = self.step.next();
            self.is_step_used = false;
        }
        match ends(&range) {
            (start, Some(end)) => {
                self.batch
                    .delete_range(space.keyspace, &start, &end, self.step);
            }
            (start, None) => self.batch.delete_from(space.keyspace, &start, self.step),
        }
    }

    /// The number of writes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batch.len()
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// Its size, bytes; at most [`crate::BATCH_BYTES_MAX`] can be written.
    #[must_use]
    pub fn byte_count(&self) -> usize {
        self.batch.byte_count()
    }

    /// The batch for the engine of this database.
    pub(super) fn into_batch(self, inner: &Arc<Inner>) -> Result<Batch, Error> {
        match &self.owner {
            Some(owner) if !Arc::ptr_eq(owner, inner) => {
                let message = "a batch with a keyspace of another database";
                Err(Error::Invalid(message.to_owned()))
            }
            _ => Ok(self.batch),
        }
    }

    fn admits(&mut self, space: &Space, key: &[u8]) -> bool {
        self.own(space);
        match check_key(key) {
            Ok(()) => true,
            Err(Error::Invalid(message)) => {
                self.batch.refuse_with(&message);
                false
            }
            Err(_) => false,
        }
    }

    fn own(&mut self, space: &Space) {
        match &self.owner {
            None => self.owner = Some(Arc::clone(&space.inner)),
            Some(owner) if Arc::ptr_eq(owner, &space.inner) => {}
            Some(_) => self
                .batch
                .refuse_with("a batch with keyspaces of two databases"),
        }
    }
}
