//! Deleting objects: in batches, at a rate, around those that can't be deleted.
//!
//! Invariants:
//! - one object that can't be deleted keeps no other from it: a batch that is refused is halved
//!   until it is found;
//! - an object store that is down or refuses everything is not asked again and again within a
//!   round.

use super::collector::Round;
use crate::{BlockEntry, Error};
use nokv_types::BlockId;
use std::time::Duration;

/// Objects of one call: what one S3 request can name.
pub(super) const BATCH_OBJECTS_MAX: usize = 1_000;
/// Calls in a row that find the object store unavailable, after which the round asks no more of it.
/// Each has been repeated with patience already.
const OUTAGES_MAX: u32 = 3;
/// Refused calls of a round: to find one object among a batch takes about twenty.
const REFUSALS_MAX: u32 = 256;

/// Whether all that should be deleted is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Deleted {
    All,
    Some,
}

impl Round<'_> {
    /// Whether the round should ask nothing more of the object store.
    pub(super) fn is_over(&self) -> bool {
        self.objects_left == 0 || self.refusals >= REFUSALS_MAX || self.outages >= OUTAGES_MAX
    }

    pub(super) fn refused(&mut self, error: Error) {
        self.refusals += 1;
        self.outages = if error.is_retryable() {
            self.outages + 1
        } else {
            0
        };
        self.report.first_error.get_or_insert(error);
    }

    /// Deletes as many as the round may; returns those that are gone. `blocks` must be garbage on
    /// disk.
    pub(super) async fn delete(&mut self, blocks: &[BlockId]) -> Vec<BlockId> {
        let (within, beyond) = blocks.split_at(blocks.len().min(self.objects_left));
        self.report.more |= !beyond.is_empty();
        self.objects_left -= within.len();
        let mut gone = Vec::with_capacity(within.len());
        let mut waiting: Vec<&[BlockId]> = within.chunks(self.batch_objects()).rev().collect();
        while let Some(batch) = waiting.pop() {
            if self.refusals >= REFUSALS_MAX || self.outages >= OUTAGES_MAX {
                self.failed(batch);
                continue;
            }
            self.pace(batch.len()).await;
            match self.inner.blocks.delete_many(batch).await {
                Ok(()) => {
                    self.outages = 0;
                    gone.extend_from_slice(batch);
                }
                Err(error) => {
                    let halve = batch.len() > 1 && !error.is_retryable();
                    self.refused(error);
                    if halve {
                        let (first, second) = batch.split_at(batch.len() / 2);
                        waiting.extend([second, first]);
                    } else {
                        self.failed(batch);
                    }
                }
            }
        }
        self.report.deleted_objects += gone.len() as u64;
        gone
    }

    /// Deletes those of some objects that nothing references. Their session must be closed or
    /// finished.
    pub(super) async fn delete_unreferenced(
        &mut self,
        entries: &[BlockEntry],
    ) -> Result<Deleted, Error> {
        let mut deleted = Deleted::All;
        for page in entries.chunks(BATCH_OBJECTS_MAX) {
            if self.is_over() {
                return Ok(Deleted::Some);
            }
            let garbage = self.unreferenced(page).await?;
            self.report.referenced_objects += (page.len() - garbage.len()) as u64;
            if self.delete_entries(&garbage).await? == Deleted::Some {
                deleted = Deleted::Some;
            }
        }
        Ok(deleted)
    }

    /// Those that nothing references.
    pub(super) async fn unreferenced(&self, page: &[BlockEntry]) -> Result<Vec<BlockEntry>, Error> {
        let blocks: Vec<_> = page.iter().map(|entry| entry.block).collect();
        let referenced = self
            .inner
            .ask(move |ledger| ledger.is_referenced(&blocks))
            .await?;
        let pairs = page.iter().zip(referenced);
        Ok(pairs
            .filter(|(_, referenced)| !referenced)
            .map(|(entry, _)| *entry)
            .collect())
    }

    /// Deletes listed objects that nothing references.
    pub(super) async fn delete_entries(
        &mut self,
        garbage: &[BlockEntry],
    ) -> Result<Deleted, Error> {
        if garbage.is_empty() {
            return Ok(Deleted::All);
        }
        // That the last reference is gone may be known only in memory yet. A power cut would bring
        // it back, and with it the right of any session to publish the block.
        self.inner.ask(|ledger| ledger.sync()).await?;
        let blocks: Vec<_> = garbage.iter().map(|entry| entry.block).collect();
        let mut gone = self.delete(&blocks).await;
        gone.sort_unstable();
        let is_gone = |entry: &&BlockEntry| gone.binary_search(&entry.block).is_ok();
        self.report.deleted_bytes += garbage
            .iter()
            .filter(is_gone)
            .map(|entry| entry.bytes)
            .sum::<u64>();
        Ok(if gone.len() == garbage.len() {
            Deleted::All
        } else {
            Deleted::Some
        })
    }

    fn failed(&mut self, batch: &[BlockId]) {
        self.report.failed_objects += batch.len() as u64;
        self.report.more = true;
    }

    /// Objects of one call: at most a second's worth.
    fn batch_objects(&self) -> usize {
        let rate = self.inner.options.objects_per_second;
        let second = rate.and_then(|rate| usize::try_from(rate.get()).ok());
        second.unwrap_or(BATCH_OBJECTS_MAX).min(BATCH_OBJECTS_MAX)
    }

    async fn pace(&self, objects: usize) {
        if let Some(rate) = self.inner.options.objects_per_second {
            let objects = u32::try_from(objects).unwrap_or(u32::MAX);
            tokio::time::sleep(Duration::from_secs(1) * objects / rate.get()).await;
        }
    }
}
