//! Worker threads over one operation: start together, stop at the count or at the deadline, merge
//! latencies.

use super::{Latencies, Usage};
use anyhow::{Result, anyhow};
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// How much to run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Concurrent callers.
    pub(crate) threads: u32,
    /// Operations of all callers together.
    pub(crate) ops: u64,
    /// No operation starts after this; the rate counts what was done.
    pub(crate) time_max: Duration,
}

/// What a window took.
#[derive(Debug)]
pub(crate) struct Measured {
    /// Operations done.
    pub(crate) ops: u64,
    /// From the common start to the last worker's end.
    pub(crate) seconds: f64,
    /// Of each operation; `None` where only the whole is visible (an external tool).
    pub(crate) latencies: Option<Latencies>,
    /// CPU seconds of the window.
    pub(crate) cpu_s: f64,
}

/// Runs `plan`; `start(worker)` makes each worker's own operation, which counts the operations one
/// call did.
///
/// **Guarantees**: every worker is ready before the clock starts, which is when the first of them
/// begins (this thread may wake later than they do); the first error stops its worker and is
/// returned.
pub(crate) fn measure<Start, Operation>(plan: Plan, start: Start) -> Result<Measured>
where
    Start: Fn(u32) -> Operation + Sync,
    Operation: FnMut() -> Result<()>,
{
    let barrier = Barrier::new(plan.threads as usize + 1);
    let (outcomes, cpu_before) = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..plan.threads)
            .map(|worker| {
                let (barrier, start) = (&barrier, &start);
                scope.spawn(move || {
                    let operation = start(worker);
                    barrier.wait();
                    work(operation, share(plan, worker), plan.time_max)
                })
            })
            .collect();
        let cpu_before = Usage::own();
        barrier.wait();
        let outcomes: Vec<_> = workers
            .into_iter()
            .map(|worker| {
                worker
                    .join()
                    .unwrap_or_else(|_| Err(anyhow!("a worker panicked")))
            })
            .collect();
        (outcomes, cpu_before)
    });
    let cpu_s = Usage::own()?.cpu_s - cpu_before?.cpu_s;
    let shifts = outcomes.into_iter().collect::<Result<Vec<Shift>>>()?;
    let begun = shifts.iter().map(|shift| shift.begun).min();
    let ended = shifts.iter().map(|shift| shift.ended).max();
    let span = begun
        .zip(ended)
        .map_or(Duration::ZERO, |(begun, ended)| ended - begun);
    let mut latencies = Latencies::new();
    shifts
        .iter()
        .for_each(|shift| latencies.merge(&shift.latencies));
    let ops = shifts.iter().map(|shift| shift.ops).sum();
    Ok(Measured {
        ops,
        seconds: span.as_secs_f64(),
        latencies: Some(latencies),
        cpu_s,
    })
}

/// What one worker did.
struct Shift {
    begun: Instant,
    ended: Instant,
    ops: u64,
    latencies: Latencies,
}

/// The part of the operations that falls to one worker; the shares add up to all.
fn share(plan: Plan, worker: u32) -> u64 {
    let (threads, worker) = (u64::from(plan.threads), u64::from(worker));
    plan.ops / threads + u64::from(worker < plan.ops % threads)
}

fn work(
    mut operation: impl FnMut() -> Result<()>,
    count: u64,
    time_max: Duration,
) -> Result<Shift> {
    let begun = Instant::now();
    let mut shift = Shift {
        begun,
        ended: begun,
        ops: 0,
        latencies: Latencies::new(),
    };
    while shift.ops < count && shift.ended - begun <= time_max {
        let before = Instant::now();
        operation()?;
        shift.ended = Instant::now();
        shift.latencies.record(shift.ended - before);
        shift.ops += 1;
    }
    Ok(shift)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn all_operations_run_once_whatever_the_number_of_workers() {
        for threads in [1, 3, 16] {
            let ran = AtomicU64::new(0);
            let plan = Plan {
                threads,
                ops: 1_001,
                time_max: Duration::from_secs(60),
            };
            let measured = measure(plan, |_| {
                || {
                    ran.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                }
            })
            .expect("runs");
            assert_eq!(ran.load(Ordering::Relaxed), 1_001);
            assert_eq!(measured.ops, 1_001);
            assert_eq!(measured.latencies.map(|it| it.count()), Some(1_001));
        }
    }

    #[test]
    fn an_error_is_returned() {
        let plan = Plan {
            threads: 2,
            ops: 10,
            time_max: Duration::from_secs(60),
        };
        let outcome = measure(plan, |worker| {
            move || {
                if worker == 1 {
                    Err(anyhow!("broken"))
                } else {
                    Ok(())
                }
            }
        });
        assert_eq!(outcome.expect_err("fails").to_string(), "broken");
    }

    #[test]
    fn a_deadline_counts_only_what_was_done() {
        let plan = Plan {
            threads: 1,
            ops: u64::MAX,
            time_max: Duration::from_millis(5),
        };
        let ran = AtomicU64::new(0);
        let measured = measure(plan, |_| {
            || {
                ran.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
        })
        .expect("runs");
        assert_eq!(measured.ops, ran.load(Ordering::Relaxed));
    }
}
