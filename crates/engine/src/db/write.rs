//! The write path: many callers, one group at a time.
//!
//! A caller that finds nobody ahead writes its own batch. The others queue theirs
//! ([`super::intake`]), and one of them writes the whole queue with one system call, so the log is
//! written as often as it can be and never more often.
//!
//! Invariants:
//! - the order of the log is the order of the memtable;
//! - a batch is in the memtable only after its record is in the log, and visible only when all of
//!   it is.

use std::sync::{Arc, atomic::Ordering};

use nokv_types::Version;

use super::{
    core::{Core, Counters, Writing},
    intake::{LED_GROUPS_MAX, Pending, Slot, Turn},
    memory::Memory,
};
use crate::{Batch, Error, LogMode, wal::Appender};

impl Core {
    /// Writes a batch to log and memtable; the sequence of its record.
    ///
    /// # Errors
    /// `Invalid`, `Exhausted`: nothing was written. `OutcomeUnknown`, `Closed`, `ReadOnly`.
    pub(super) fn append(&self, mut batch: Batch) -> Result<u64, Error> {
        let writing = self.writing()?;
        let byte_count = batch.payload()?.len();
        self.check_index(&batch)?;
        if batch.is_empty() && batch.applied_index().is_none() {
            return Ok(writing.log.appended());
        }
        writing.log.check()?;
        self.throttle(writing, byte_count)?;
        if let Some(mut appender) = writing.commit.try_lock()
            && writing.intake.is_empty()
        {
            let batches = std::slice::from_mut(&mut batch);
            return self.commit(writing, &mut appender, batches);
        }
        self.append_grouped(writing, batch)
    }

    /// A batch says where it is in the external log exactly when there is one.
    fn check_index(&self, batch: &Batch) -> Result<(), Error> {
        let message = match (self.options.log, batch.applied_index()) {
            (LogMode::Own, None) | (LogMode::External, Some(_)) => return Ok(()),
            (LogMode::Own, Some(_)) => {
                "a batch with an applied index, for a store with a log of its own"
            }
            (LogMode::External, None) => {
                "a batch without an applied index, for a store with an external log"
            }
        };
        Err(Error::Invalid(message.to_owned()))
    }

    fn append_grouped(&self, writing: &Writing, batch: Batch) -> Result<u64, Error> {
        let slot = Arc::new(Slot::default());
        let pending = Pending {
            batch,
            slot: Arc::clone(&slot),
        };
        if !writing.intake.push(pending)
            && let Turn::Written(result) = slot.wait()
        {
            return result;
        }
        self.lead(writing);
        match slot.wait() {
            Turn::Written(result) => result,
            Turn::Lead => unreachable!("the batch of a leader is in its first group"),
        }
    }

    /// Writes the queue, group by group.
    fn lead(&self, writing: &Writing) {
        let mut appender = writing.commit.lock();
        for _ in 0..LED_GROUPS_MAX {
            let group = writing.intake.take_group();
            if group.is_empty() {
                return;
            }
            let (mut batches, slots): (Vec<Batch>, Vec<Arc<Slot>>) =
                group.into_iter().map(|own| (own.batch, own.slot)).unzip();
            let outcome = self.commit(writing, &mut appender, &mut batches);
            let before = slots.len() as u64 - 1;
            for (place, slot) in (0..).zip(&slots) {
                // With an external log there may be fewer records, of which nobody asks.
                let sequence = |last: u64| (last + place).saturating_sub(before);
                let result = outcome.clone().map(sequence);
                slot.wake(Turn::Written(result));
            }
        }
        drop(appender);
        writing.intake.hand_over();
    }

    /// Writes a group; the sequence of its last record.
    fn commit(
        &self,
        writing: &Writing,
        appender: &mut Appender,
        batches: &mut [Batch],
    ) -> Result<u64, Error> {
        self.check_open()?;
        self.stamp(batches);
        let mut is_large = false;
        let mut payloads = Vec::with_capacity(batches.len());
        let (batches, applied) = writing.not_applied(batches);
        for batch in &batches {
            is_large |= batch.value_bytes_max() >= writing.values.separation_bytes();
            payloads.push(batch.payload()?);
        }
        let user_bytes = payloads.iter().map(|payload| payload.len() as u64).sum();
        let mut memory = Arc::clone(&self.view.load().active);
        if memory.is_full(&self.options) {
            memory = self.switch_memory(writing, appender);
        }
        if self.is_log_over(writing) && self.watch_log(writing) {
            memory = self.switch_memory(writing, appender);
        }
        let separated;
        if is_large {
            separated = self.separate(writing, &memory, &payloads)?;
            payloads = separated.iter().map(|payload| &**payload).collect();
        }
        let last = writing.log.append(appender, &payloads)?;
        for (batch, payload) in batches.iter().zip(payloads) {
            if memory.apply(payload).is_err() {
                let error = Error::Invalid("a batch that does not decode".to_owned());
                return Err(writing.log.poison(&error));
            }
            self.visible
                .fetch_max(batch.version_max(), Ordering::AcqRel);
        }
        if !batches.is_empty() && applied > 0 {
            memory.note_applied(applied);
            writing.applied.store(applied, Ordering::Release);
        }
        Counters::add(&self.counters.batches, batches.len() as u64);
        Counters::add(&self.counters.user_bytes, user_bytes);
        Ok(last)
    }

    /// Gives versions to the batches that have none: after all that were written, and not before
    /// the clock.
    ///
    /// **Concurrency**: the caller holds the commit lock.
    fn stamp(&self, batches: &mut [Batch]) {
        let mut last = None;
        for batch in batches.iter_mut().filter(|batch| batch.is_unstamped()) {
            let newest = last.unwrap_or_else(|| self.visible.load(Ordering::Acquire));
            let now_millis = self.env.clock.now_millis();
            batch.stamp(Version::from_u64(newest).advance(now_millis));
            last = Some(batch.version_max());
        }
    }

    /// Seals the active memtable and starts another, with a segment of the log of its own.
    pub(super) fn switch_memory(&self, writing: &Writing, appender: &mut Appender) -> Arc<Memory> {
        writing.log.seal(appender);
        let start = writing.log.position(appender);
        let next = Arc::new(Memory::new(&self.options, start));
        self.install(|view| {
            let full = std::mem::replace(&mut view.active, Arc::clone(&next));
            view.sealed.insert(0, full);
        });
        writing.wake_workers();
        next
    }
}

impl Writing {
    /// The batches that were not written before, as the indexes of an external log tell, and the
    /// highest index with them.
    ///
    /// **Concurrency**: the caller holds the commit lock.
    fn not_applied<'a>(&self, batches: &'a [Batch]) -> (Vec<&'a Batch>, u64) {
        let mut applied = self.applied.load(Ordering::Acquire);
        let is_new = |batch: &&Batch| match batch.applied_index() {
            None => true,
            Some(index) if index <= applied => false,
            Some(index) => {
                applied = index;
                true
            }
        };
        let batches = batches.iter().filter(is_new).collect();
        (batches, applied)
    }
}
