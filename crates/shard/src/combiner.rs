//! Flat combining: many callers, one worker at a time, no thread of its own.
//!
//! A caller puts its work in a bounded queue. If nobody is working it becomes the *leader*: it
//! takes what is queued, does it as one group, and hands out the results; callers that arrive
//! meanwhile wait and form the next group. So a single caller never waits for another thread, and
//! under load groups grow by themselves.
//!
//! Invariants:
//! - work is done in the order of arrival, by one leader at a time;
//! - a leader that leaves with work in the queue hands leadership to the first waiter: nobody waits
//!   for ever;
//! - a leader that panics marks the combiner broken: waiters get `None` instead of hanging.

use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;

/// Most weight that waits: callers above it wait for room (back-pressure). One work heavier than
/// that is admitted when it is alone.
const QUEUE_WEIGHT_MAX: usize = 64 << 20;
/// Most weight of one group: bounds how long the first of a group waits for the last.
const GROUP_WEIGHT_MAX: usize = 8 << 20;
/// Most works of one group, for the same reason.
const GROUP_WORKS_MAX: usize = 1024;

enum Fate<R> {
    Waiting,
    Lead,
    Done(R),
    Broken,
}

struct Ticket<R> {
    fate: Mutex<Fate<R>>,
    changed: Condvar,
}

struct Waiting<C, R> {
    work: C,
    weight: usize,
    ticket: Arc<Ticket<R>>,
}

struct Queue<C, R> {
    waiting: VecDeque<Waiting<C, R>>,
    weight: usize,
    led: bool,
    broken: bool,
}

/// A queue of works `C` with results `R`.
pub(crate) struct Combiner<C, R> {
    queue: Mutex<Queue<C, R>>,
    room: Condvar,
}

impl<C, R> Combiner<C, R> {
    pub(crate) fn new() -> Self {
        let queue = Queue {
            waiting: VecDeque::new(),
            weight: 0,
            led: false,
            broken: false,
        };
        Self {
            queue: Mutex::new(queue),
            room: Condvar::new(),
        }
    }

    /// Does `work`, alone or in a group: `run` gets works in order and answers each, in the same
    /// order. `weight` is about its bytes. `None`: a leader panicked, whether the work was done
    /// is unknown.
    pub(crate) fn submit(
        &self,
        work: C,
        weight: usize,
        run: impl Fn(Vec<C>) -> Vec<R>,
    ) -> Option<R> {
        let ticket = Arc::new(Ticket {
            fate: Mutex::new(Fate::Waiting),
            changed: Condvar::new(),
        });
        if self.enqueue(work, weight, &ticket)? {
            return self.lead(&ticket, run);
        }
        let mut fate = ticket.fate.lock();
        while matches!(*fate, Fate::Waiting) {
            ticket.changed.wait(&mut fate);
        }
        match std::mem::replace(&mut *fate, Fate::Waiting) {
            Fate::Done(result) => Some(result),
            Fate::Lead => {
                drop(fate);
                self.lead(&ticket, run)
            }
            Fate::Waiting | Fate::Broken => None,
        }
    }

    /// Whether the caller is the leader now; `None` when broken.
    fn enqueue(&self, work: C, weight: usize, ticket: &Arc<Ticket<R>>) -> Option<bool> {
        let mut queue = self.queue.lock();
        while !queue.broken && queue.weight > 0 && queue.weight + weight > QUEUE_WEIGHT_MAX {
            self.room.wait(&mut queue);
        }
        if queue.broken {
            return None;
        }
        queue.weight += weight;
        queue.waiting.push_back(Waiting {
            work,
            weight,
            ticket: Arc::clone(ticket),
        });
        Some(!std::mem::replace(&mut queue.led, true))
    }

    fn lead(&self, own: &Arc<Ticket<R>>, run: impl Fn(Vec<C>) -> Vec<R>) -> Option<R> {
        let guard = Leadership { combiner: self };
        loop {
            let (works, mut group) = self.take_group();
            let results = run(works);
            debug_assert_eq!(results.len(), group.0.len(), "one result for each work");
            let mut mine = None;
            for (ticket, result) in group.0.drain(..).zip(results) {
                if Arc::ptr_eq(&ticket, own) {
                    mine = Some(result);
                } else {
                    ticket.decide(Fate::Done(result));
                }
            }
            if mine.is_some() {
                std::mem::forget(guard);
                self.hand_over();
                return mine;
            }
        }
    }

    fn take_group(&self) -> (Vec<C>, Group<R>) {
        let mut queue = self.queue.lock();
        let (mut works, mut group, mut weight) = (Vec::new(), Group(Vec::new()), 0);
        while works.len() < GROUP_WORKS_MAX && weight < GROUP_WEIGHT_MAX {
            let Some(next) = queue.waiting.pop_front() else {
                break;
            };
            weight += next.weight;
            works.push(next.work);
            group.0.push(next.ticket);
        }
        queue.weight -= weight;
        drop(queue);
        self.room.notify_all();
        (works, group)
    }

    fn hand_over(&self) {
        let mut queue = self.queue.lock();
        match queue.waiting.front() {
            None => queue.led = false,
            Some(next) => next.ticket.decide(Fate::Lead),
        }
    }

    fn break_up(&self) {
        let mut queue = self.queue.lock();
        queue.broken = true;
        for waiting in queue.waiting.drain(..) {
            waiting.ticket.decide(Fate::Broken);
        }
        drop(queue);
        self.room.notify_all();
    }
}

impl<R> Ticket<R> {
    fn decide(&self, fate: Fate<R>) {
        *self.fate.lock() = fate;
        self.changed.notify_one();
    }
}

/// The callers of the works being run; those that get no result, because the leader unwinds, learn
/// that.
struct Group<R>(Vec<Arc<Ticket<R>>>);

impl<R> Drop for Group<R> {
    fn drop(&mut self) {
        for ticket in &self.0 {
            ticket.decide(Fate::Broken);
        }
    }
}

/// Dropped only when the leader unwinds.
struct Leadership<'a, C, R> {
    combiner: &'a Combiner<C, R>,
}

impl<C, R> Drop for Leadership<'_, C, R> {
    fn drop(&mut self) {
        self.combiner.break_up();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};

    #[test]
    fn every_caller_gets_its_own_result_and_works_run_one_group_at_a_time() {
        let combiner = Combiner::<u64, u64>::new();
        let (running, sum) = (AtomicUsize::new(0), AtomicU64::new(0));
        let run = |works: Vec<u64>| {
            assert_eq!(running.fetch_add(1, SeqCst), 0, "two leaders");
            let results = works.iter().map(|work| work + 1).collect();
            sum.fetch_add(works.iter().sum(), SeqCst);
            running.fetch_sub(1, SeqCst);
            results
        };
        std::thread::scope(|scope| {
            for thread in 0..8_u64 {
                let (combiner, run) = (&combiner, &run);
                scope.spawn(move || {
                    for work in (0..2000).map(|step| thread * 10_000 + step) {
                        assert_eq!(combiner.submit(work, 1 << 16, run), Some(work + 1));
                    }
                });
            }
        });
        let expected: u64 = (0..8)
            .map(|thread| 2000 * thread * 10_000 + 1999 * 1000)
            .sum();
        assert_eq!(sum.load(SeqCst), expected);
    }

    #[test]
    fn a_work_heavier_than_the_queue_is_admitted_alone() {
        let combiner = Combiner::<(), usize>::new();
        assert_eq!(
            combiner.submit((), QUEUE_WEIGHT_MAX * 2, |works| vec![works.len()]),
            Some(1)
        );
    }

    #[test]
    fn a_panic_of_the_leader_is_told_to_those_who_wait() {
        let combiner = Combiner::<u32, u32>::new();
        let run = |works: Vec<u32>| {
            while works.len() + combiner.queue.lock().waiting.len() < 3 {
                std::thread::yield_now();
            }
            assert!(works.is_empty(), "planted");
            works
        };
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..3)
                .map(|work| {
                    scope.spawn({
                        let (c, run) = (&combiner, &run);
                        move || c.submit(work, 1, run)
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(std::thread::ScopedJoinHandle::join)
                .collect()
        });
        assert_eq!(
            outcomes.iter().filter(|outcome| outcome.is_err()).count(),
            1,
            "one leader"
        );
        assert!(outcomes.iter().flatten().all(Option::is_none));
        assert_eq!(combiner.submit(9, 1, |works| works), None, "stays broken");
    }
}
