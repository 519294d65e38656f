//! Crashes at every sync, at every write, at random unsynced prefixes: nothing synced is lost,
//! nothing is torn.
//!
//! `NOKV_CRASH_SEEDS=from..to` runs more seeds than the usual few; a failure prints its seed.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use nokv_env::{
    FaultFileSystem, FileSystem, MemoryFileSystem, Outcome, Rule, SeededRandom, Trigger,
};
use nokv_types::Version;
use parking_lot::Mutex;

use crate::{
    Durability, Engine, Error, Options, Retention,
    testing::{ObservedFileSystem, Oracle, still_env},
    vlog::SKIP_VALUE_SYNC,
    wal::{SKIP_CHECKSUM, SKIP_SYNC},
};

const DIR: &str = "/store";

/// Small enough for several memtables, segments and tables in a run of a hundred operations.
fn options() -> Options {
    Options {
        memtable_bytes: 16 << 10,
        segment_bytes: 8 << 10,
        block_bytes: 512,
        table_bytes: 8 << 10,
        level_base_bytes: 16 << 10,
        level0_tables: 2,
        cache_bytes: 64 << 10,
        // One thread does all parts of a compaction here.
        compaction_threads: Some(3),
        value_separation_bytes: Some(200),
        value_file_bytes: 8 << 10,
        ..Options::default()
    }
}

fn seeds(default_count: u64) -> std::ops::Range<u64> {
    let Some((from, to)) = std::env::var("NOKV_CRASH_SEEDS").ok().and_then(|range| {
        range
            .split_once("..")
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
    }) else {
        return 0..default_count;
    };
    from.parse().expect("a number")..to.parse().expect("a number")
}

/// A disk as a power cut at some moment leaves it, and what may be on it.
struct Image {
    files: MemoryFileSystem,
    synced: u64,
    attempted: u64,
}

/// A run that is photographed while it goes.
struct Run {
    oracle: Arc<Mutex<Oracle>>,
    synced: Arc<AtomicU64>,
    images: Arc<Mutex<Vec<Image>>>,
    random: SeededRandom,
    retention: Mutex<Retention>,
}

impl Run {
    fn new(seed: u64) -> (Self, Arc<dyn FileSystem>) {
        let files = MemoryFileSystem::new();
        let run = Self {
            oracle: Arc::default(),
            synced: Arc::default(),
            images: Arc::default(),
            retention: Mutex::default(),
            random: SeededRandom::new(seed),
        };
        let (oracle, synced, images) = (
            Arc::clone(&run.oracle),
            Arc::clone(&run.synced),
            Arc::clone(&run.images),
        );
        let crash_seeds = SeededRandom::new(seed ^ 0xC0FFEE);
        let memory = files.clone();
        let callback = move || {
            // A photograph of every third moment, chosen by the seed, is enough over many seeds.
            if !crash_seeds.once_in(3) {
                return;
            }
            let attempted = oracle.lock().last();
            let image = Image {
                files: memory.crash(nokv_env::Random::next_u64(&crash_seeds)),
                synced: synced.load(Ordering::SeqCst),
                attempted,
            };
            images.lock().push(image);
        };
        let observed = ObservedFileSystem::new(Arc::new(files), Arc::new(callback));
        (run, Arc::new(observed))
    }

    fn step(&self, engine: &Engine) -> Result<(), Error> {
        match self.random.below(20) {
            0 => engine.flush()?,
            1 => engine.compact_for_test()?,
            2 => self.retain_less(engine),
            _ => {
                let batch = self.oracle.lock().random_batch(&self.random, 600);
                let number = self.oracle.lock().last();
                let durability = if self.random.below(3) == 0 {
                    Durability::Synced
                } else {
                    Durability::Buffered
                };
                engine.write(batch, durability)?;
                if durability == Durability::Synced {
                    self.synced.store(number, Ordering::SeqCst);
                }
            }
        }
        Ok(())
    }

    /// Moves the horizon, and pins what is newest now.
    fn retain_less(&self, engine: &Engine) {
        let mut retention = self.retention.lock();
        let last = self.oracle.lock().last();
        let horizon = retention.horizon.as_u64();
        retention.horizon =
            Version::from_u64(horizon + self.random.below(last.saturating_sub(horizon) + 1));
        retention.pins.push(Version::from_u64(last));
        engine.set_retention(retention.clone());
    }

    /// Checks and forgets the photographs taken so far; how many there were.
    fn check_images(&self) -> Result<u64, String> {
        let images = std::mem::take(&mut *self.images.lock());
        for image in &images {
            check_image(
                image,
                &self.oracle.lock(),
                &self.retention.lock(),
                &self.random,
            )?;
        }
        Ok(images.len() as u64)
    }
}

fn check_image(
    image: &Image,
    oracle: &Oracle,
    retention: &Retention,
    random: &SeededRandom,
) -> Result<(), String> {
    let env = still_env(Arc::new(image.files.clone()));
    let engine = Engine::open(env.clone(), Path::new(DIR), options())
        .map_err(|error| format!("open after a crash: {error}"))?;
    let kept = engine.last_version().as_u64();
    if kept < image.synced || kept > image.attempted {
        return Err(format!(
            "{kept} kept, {} synced, {} attempted",
            image.synced, image.attempted
        ));
    }
    oracle.check(&engine, kept)?;
    oracle.check_newest(&engine, kept, Version::from_millis(env.clock.now_millis()))?;
    let horizon = retention.horizon.as_u64().min(kept);
    oracle.check(&engine, horizon + random.below(kept - horizon + 1))?;
    let pin = retention
        .pins
        .get(random.below(retention.pins.len() as u64) as usize);
    if let Some(pin) = pin.filter(|pin| pin.as_u64() <= kept) {
        oracle.check(&engine, pin.as_u64())?;
    }
    // What was recovered is promised from now on, whatever happens next.
    let again = image.files.crash(nokv_env::Random::next_u64(random));
    drop(engine);
    let engine = Engine::open(still_env(Arc::new(again)), Path::new(DIR), options())
        .map_err(|error| format!("open after two crashes: {error}"))?;
    if engine.last_version().as_u64() != kept {
        return Err(format!("{kept} kept, then {}", engine.last_version()));
    }
    oracle.check(&engine, kept)
}

/// One run; how many crashes it had.
fn run(seed: u64, steps: u64) -> Result<u64, String> {
    let (run, files) = Run::new(seed);
    let mut crashes = 0;
    let mut engine = Engine::open(still_env(Arc::clone(&files)), Path::new(DIR), options())
        .map_err(|error| error.to_string())?;
    for _ in 0..steps {
        if run.random.once_in(40) {
            drop(engine);
            engine = Engine::open(still_env(Arc::clone(&files)), Path::new(DIR), options())
                .map_err(|error| format!("open again: {error}"))?;
            engine.set_retention(run.retention.lock().clone());
        }
        run.step(&engine).map_err(|error| error.to_string())?;
        crashes += run.check_images()?;
    }
    let oracle = run.oracle.lock().clone();
    oracle.check(&engine, oracle.last())?;
    drop(engine);
    Ok(crashes + run.check_images()?)
}

#[test]
fn a_power_cut_at_any_moment_loses_nothing_synced_and_tears_nothing() {
    let mut crashes = 0;
    for seed in seeds(12) {
        crashes += run(seed, 100).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
    println!("{crashes} crashes");
    assert!(crashes > 1000, "{crashes} crashes");
}

#[test]
fn a_skipped_sync_is_caught() {
    SKIP_SYNC.set(true);
    let caught = (0..5).any(|seed| run(seed, 60).is_err());
    SKIP_SYNC.set(false);
    assert!(caught, "the planted bug was not found");
}

#[test]
fn a_skipped_sync_of_values_is_caught() {
    SKIP_VALUE_SYNC.set(true);
    let caught = (0..10).any(|seed| run(seed, 60).is_err());
    SKIP_VALUE_SYNC.set(false);
    assert!(caught, "the planted bug was not found");
}

#[test]
fn a_skipped_checksum_is_caught() {
    SKIP_CHECKSUM.set(true);
    let caught = (0..10).any(|seed| {
        std::panic::catch_unwind(|| run(seed, 60)).map_or(true, |result| result.is_err())
    });
    SKIP_CHECKSUM.set(false);
    assert!(caught, "the planted bug was not found");
}

/// Faults of the device: every error is told, and after opening again what was acknowledged is
/// there.
#[test]
fn a_failing_device_loses_nothing_acknowledged() {
    for seed in seeds(60) {
        faulty_run(seed).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
}

fn faulty_run(seed: u64) -> Result<(), String> {
    let random = SeededRandom::new(seed);
    let memory = MemoryFileSystem::new();
    let faults = FaultFileSystem::new(Arc::new(memory.clone()), seed);
    let mut oracle = Oracle::default();
    let mut synced = 0;
    for _ in 0..4 {
        faults.clear_rules();
        let open = || {
            Engine::open(
                still_env(Arc::new(faults.clone())),
                Path::new(DIR),
                options(),
            )
        };
        let engine = open().map_err(|error| format!("open: {error}"))?;
        let kept = engine.last_version().as_u64();
        if kept < synced || kept > oracle.last() {
            return Err(format!(
                "{kept} kept, {synced} synced, {} attempted",
                oracle.last()
            ));
        }
        oracle.truncate(kept);
        oracle.check(&engine, kept)?;
        synced = kept;
        let outcome = match random.below(4) {
            0 => Outcome::DeviceError,
            1 => Outcome::NoSpace,
            2 => Outcome::TornWrite,
            _ => Outcome::Crash,
        };
        faults.add_rule(Rule {
            operations: Vec::new(),
            path_contains: String::new(),
            trigger: Trigger::OnceIn(5 + random.below(60)),
            outcome,
        });
        for _ in 0..60 {
            if random.once_in(15) && engine.flush().is_err() {
                break;
            }
            if random.once_in(10) && engine.compact_for_test().is_err() {
                break;
            }
            let batch = oracle.random_batch(&random, 600);
            match engine.write(batch, Durability::Synced) {
                Ok(()) => synced = oracle.last(),
                // Nothing was written: the next batch takes its place.
                Err(Error::Exhausted { .. } | Error::Io { .. }) => {
                    oracle.truncate(oracle.last() - 1)
                }
                Err(_) => break,
            }
        }
        drop(engine);
        if faults.has_crashed() {
            return Ok(());
        }
    }
    Ok(())
}
