//! The queue of batches, and who writes it.
//!
//! Of those who queue a batch one *leads*: it takes the commit lock and writes the whole queue,
//! again and again, while the others sleep until their own batch is written. Waiting for the commit
//! lock itself would wake them one after another, each only to see that its batch is long written:
//! on a busy machine, where each has to wait for a processor first, the last of sixteen waited for
//! seconds.
//!
//! A group is written in a few microseconds, which is less than falling asleep and being woken
//! costs both sides: so a waiter looks a while for its turn first, then lets others run, and only
//! then sleeps (RocksDB's `WriteThread::AwaitState` does the same).
//!
//! Invariants: while the queue is not empty there is a leader; a leader's own batch is the first of
//! the queue when it begins; nobody who finds a queue writes past it, so order is the order of
//! arrival.

use std::{
    hint::spin_loop,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::yield_now,
};

use parking_lot::{Condvar, Mutex};

use crate::{Batch, Error};

/// Batches written with one system call; more only makes the first of them wait.
const GROUP_BATCHES_MAX: usize = 256;

/// Bytes of a group after which no other batch joins it.
const GROUP_BYTES_MAX: usize = 1 << 20;

/// Groups that one caller writes before another leads: its own batch is in the first.
pub(super) const LED_GROUPS_MAX: usize = 32;

/// Looks for one's turn before others are let run: about a microsecond.
const SPINS_MAX: usize = 100;

/// Times that others are let run before one sleeps: some dozens of microseconds, what a sleep
/// costs.
const YIELDS_MAX: usize = 32;

/// A batch in the queue.
pub(super) struct Pending {
    pub(super) batch: Batch,
    pub(super) slot: Arc<Slot>,
}

/// What a caller that sleeps is woken for.
pub(super) enum Turn {
    /// Its batch was written, or not: the sequence of its record.
    Written(Result<u64, Error>),
    /// It leads from now on; its batch is the first of the queue.
    Lead,
}

/// Where a caller waits.
#[derive(Default)]
pub(super) struct Slot {
    /// Set after `turn`, so that whoever looks need not lock.
    is_turned: AtomicBool,
    turn: Mutex<Waiting>,
    turned: Condvar,
}

#[derive(Default)]
struct Waiting {
    turn: Option<Turn>,
    is_asleep: bool,
}

impl Slot {
    pub(super) fn wake(&self, turn: Turn) {
        let mut waiting = self.turn.lock();
        waiting.turn = Some(turn);
        self.is_turned.store(true, Ordering::Release);
        let is_asleep = waiting.is_asleep;
        drop(waiting);
        if is_asleep {
            self.turned.notify_one();
        }
    }

    pub(super) fn wait(&self) -> Turn {
        self.look();
        let mut waiting = self.turn.lock();
        loop {
            if let Some(turn) = waiting.turn.take() {
                self.is_turned.store(false, Ordering::Relaxed);
                return turn;
            }
            waiting.is_asleep = true;
            self.turned.wait(&mut waiting);
            waiting.is_asleep = false;
        }
    }

    /// Waits awake for a while.
    fn look(&self) {
        for round in 0..SPINS_MAX + YIELDS_MAX {
            if self.is_turned.load(Ordering::Acquire) {
                return;
            }
            if round < SPINS_MAX {
                spin_loop();
            } else {
                yield_now();
            }
        }
    }
}

/// The queue.
#[derive(Default)]
pub(super) struct Intake(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    pending: Vec<Pending>,
    is_led: bool,
}

impl Intake {
    pub(super) fn is_empty(&self) -> bool {
        !self.0.lock().is_led
    }

    /// Queues a batch; whether the caller leads.
    pub(super) fn push(&self, pending: Pending) -> bool {
        let mut queue = self.0.lock();
        queue.pending.push(pending);
        !std::mem::replace(&mut queue.is_led, true)
    }

    /// The oldest of the queue, within the limits of a group. When there is none, nobody leads any
    /// more.
    pub(super) fn take_group(&self) -> Vec<Pending> {
        let mut queue = self.0.lock();
        let mut byte_count = 0;
        let mut count = 0;
        for pending in queue.pending.iter().take(GROUP_BATCHES_MAX) {
            if count > 0 && byte_count + pending.batch.byte_count() > GROUP_BYTES_MAX {
                break;
            }
            byte_count += pending.batch.byte_count();
            count += 1;
        }
        queue.is_led = count > 0;
        queue.pending.drain(..count).collect()
    }

    /// Ends leading: the first of the queue goes on, if there is one.
    pub(super) fn hand_over(&self) {
        let mut queue = self.0.lock();
        match queue.pending.first() {
            Some(first) => first.slot.wake(Turn::Lead),
            None => queue.is_led = false,
        }
    }
}
