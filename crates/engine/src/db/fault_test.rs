//! Faults of the device, of every kind of operation and every kind of file: every error is told,
//! and after opening again what was acknowledged is there. And a device that is full: it stops
//! writers, not the store.

use std::{path::Path, sync::Arc};

use nokv_env::{
    FaultFileSystem, FileSystem, MemoryFileSystem, Operation, Outcome, Random, Rule, SeededRandom,
    Trigger,
};

use crate::{
    Durability, Engine, Error,
    testing::{DIR, Oracle, options, seeds, still_env},
};

/// Stores are opened so many times in a run.
const ROUNDS: u64 = 6;

fn open(files: Arc<dyn FileSystem>, seed: u64) -> Result<Engine, Error> {
    Engine::open(still_env(files), Path::new(DIR), options(seed))
}

struct Run {
    seed: u64,
    random: SeededRandom,
    memory: MemoryFileSystem,
    oracle: Oracle,
    /// The last batch that was acknowledged, or read after opening.
    promised: u64,
}

#[test]
fn a_failing_device_loses_nothing_acknowledged() {
    let mut told = 0;
    for seed in seeds(30) {
        let mut run = Run::new(seed);
        told += run
            .go()
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
    println!("{told} operations failed and said so");
    assert!(told > 30, "{told} failures");
}

impl Run {
    fn new(seed: u64) -> Self {
        Self {
            seed,
            random: SeededRandom::new(seed),
            memory: MemoryFileSystem::new(),
            oracle: Oracle::default(),
            promised: 0,
        }
    }

    /// How many operations were told to have failed.
    fn go(&mut self) -> Result<u64, String> {
        let mut told = 0;
        for round in 0..ROUNDS {
            let faults = FaultFileSystem::over_memory(&self.memory, self.seed ^ round);
            faults.add_rule(self.random_rule());
            match open(Arc::new(faults.clone()), self.seed) {
                Ok(engine) => told += self.work(&engine)?,
                Err(Error::Corrupt { .. }) => return Err("a fault taken for damage".to_owned()),
                Err(_) => told += 1,
            }
            // The process dies, or the machine does.
            if faults.has_crashed() || self.random.once_in(2) {
                self.memory = self.memory.crash(self.random.next_u64());
            }
            self.check_opened()?;
        }
        Ok(told)
    }

    fn random_rule(&self) -> Rule {
        let random = &self.random;
        let paths = [
            "",
            ".wal",
            ".table",
            ".vlog",
            ".manifest",
            "SYNCED",
            "CURRENT",
        ];
        let outcomes = [
            Outcome::DeviceError,
            Outcome::NoSpace,
            Outcome::TornWrite,
            Outcome::Interrupted,
            Outcome::ShortRead,
            Outcome::FailedSync,
            Outcome::Crash,
        ];
        let pick = |count: usize| random.below(count as u64) as usize;
        let operation = Operation::ALL.get(pick(Operation::ALL.len())).copied();
        let any = random.once_in(2);
        Rule {
            operations: if any {
                Vec::new()
            } else {
                operation.into_iter().collect()
            },
            path_contains: paths
                .get(pick(paths.len()))
                .copied()
                .unwrap_or_default()
                .to_owned(),
            trigger: match random.below(3) {
                0 => Trigger::Nth(1 + random.below(40)),
                1 => Trigger::From(1 + random.below(40)),
                _ => Trigger::OnceIn(5 + random.below(60)),
            },
            outcome: outcomes
                .get(pick(outcomes.len()))
                .copied()
                .unwrap_or(Outcome::Crash),
        }
    }

    /// Works until the store refuses.
    fn work(&mut self, engine: &Engine) -> Result<u64, String> {
        let mut told = 0;
        for _ in 0..40 {
            if self.random.once_in(12) && engine.flush().is_err() {
                told += 1;
            }
            if self.random.once_in(12) && engine.compact_for_test().is_err() {
                told += 1;
            }
            let batch = self.oracle.random_batch(&self.random, 600);
            let is_synced = !self.random.once_in(3);
            let durability = if is_synced {
                Durability::Synced
            } else {
                Durability::Buffered
            };
            match engine.write(batch, durability) {
                Ok(()) if is_synced => self.promised = self.oracle.last(),
                Ok(()) => {}
                // Nothing was written: the next batch takes its place.
                Err(Error::Exhausted { .. } | Error::Io { .. }) => {
                    told += 1;
                    self.oracle.truncate(self.oracle.last() - 1);
                }
                Err(Error::OutcomeUnknown { .. }) => return Ok(told + 1),
                Err(error) => return Err(format!("writing: {error}")),
            }
            // A fault may stop a read, but it never changes what one says.
            if self.random.once_in(10)
                && let Err(error) = self.oracle.check(engine, self.oracle.last())
                && ["Forward", "Reverse", "get of"]
                    .iter()
                    .any(|start| error.starts_with(start))
            {
                return Err(error);
            }
        }
        Ok(told)
    }

    /// Without faults the store opens and has what was promised.
    fn check_opened(&mut self) -> Result<(), String> {
        let engine = open(Arc::new(self.memory.clone()), self.seed)
            .map_err(|error| format!("opening again: {error}"))?;
        let kept = engine.last_version().as_u64();
        let (promised, attempted) = (self.promised, self.oracle.last());
        if kept < promised || kept > attempted {
            return Err(format!(
                "{kept} kept, {promised} promised, {attempted} attempted"
            ));
        }
        self.oracle.truncate(kept);
        self.oracle.check(&engine, kept)?;
        engine
            .verify()
            .map_err(|error| format!("verifying: {error}"))?;
        self.promised = kept;
        Ok(())
    }
}

/// A device that has no space left, at every point of growth: writers are told `Exhausted`, reads
/// go on, nothing acknowledged is lost, and when there is space again the same store goes on.
#[test]
fn a_full_device_stops_writers_and_not_the_store() {
    let mut refused = 0;
    for seed in seeds(12) {
        refused += full_run(seed).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
    assert!(refused > 50, "{refused} writes refused");
}

fn full_run(seed: u64) -> Result<u64, String> {
    let random = SeededRandom::new(seed);
    let memory = MemoryFileSystem::new();
    let engine = open(Arc::new(memory.clone()), seed).map_err(|error| error.to_string())?;
    let (mut oracle, mut promised, mut refused) = (Oracle::default(), 0, 0);
    for _ in 0..12 {
        memory.set_space_limit(Some(memory.used_bytes() + random.below(20_000)));
        for _ in 0..40 {
            if random.once_in(10) {
                tell_full(engine.flush())?;
            }
            if random.once_in(10) {
                tell_full(engine.compact_for_test())?;
            }
            let batch = oracle.random_batch(&random, 2000);
            match engine.write(batch, Durability::Synced) {
                Ok(()) => promised = oracle.last(),
                Err(Error::Exhausted { .. }) => {
                    refused += 1;
                    oracle.truncate(oracle.last() - 1);
                }
                Err(error) => return Err(format!("writing to a full device: {error}")),
            }
        }
        oracle.check(&engine, promised)?;
        let image = open(Arc::new(memory.crash(random.next_u64())), seed);
        let image = image.map_err(|error| format!("after a power cut when full: {error}"))?;
        oracle.check(&image, promised)?;
        memory.set_space_limit(None);
        engine
            .flush()
            .map_err(|error| format!("flushing with space: {error}"))?;
        engine
            .compact_for_test()
            .map_err(|error| format!("compacting with space: {error}"))?;
        oracle.check(&engine, promised)?;
    }
    Ok(refused)
}

/// Flush and compaction either work or say that there is no space.
fn tell_full(result: Result<(), Error>) -> Result<(), String> {
    match result {
        Ok(()) | Err(Error::Exhausted { .. }) => Ok(()),
        Err(error) => Err(format!("on a full device: {error}")),
    }
}
