//! A run of random operations on a store that is photographed while it goes, and what must be true
//! of each photograph.
//!
//! Power is cut before and after everything that makes something durable, and after a third of the
//! writes, chosen by the seed. Of what was not synced at that moment, a part chosen by the seed
//! survives (`MemoryFileSystem::crash`).
//!
//! Invariant: the same seed, options and planted faults give the same run.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use nokv_env::{
    Clock, FaultFileSystem, FileSystem, ManualClock, MemoryFileSystem, Random, Rule, SeededRandom,
};
use nokv_types::Version;
use parking_lot::Mutex;

use super::{Moment, ObservedFileSystem, Oracle, machine::still_env_at};
use crate::{
    Compression, Durability, Engine, Error, ExportOptions, IngestOptions, KeyRange, Keyspace,
    Options, Retention, SinkOptions, Structure, Transfer,
};

/// Where the store of a run is.
pub(crate) const DIR: &str = "/store";

/// Ordinary values are below it, bytes.
const VALUE_BYTES_MAX: u64 = 600;

/// One batch in twenty has values up to this: larger than a block, a table and a memtable.
const LARGE_VALUE_BYTES_MAX: u64 = 20_000;

/// Small enough for several memtables, segments and tables in a run of a hundred operations; the
/// seed chooses what is of no consequence for what a reader sees.
pub(crate) fn options(seed: u64) -> Options {
    let compressions = [Compression::None, Compression::Lz4, Compression::Zstd];
    let compression = |n: u64| {
        compressions
            .get((n % 3) as usize)
            .copied()
            .unwrap_or_default()
    };
    Options {
        memtable_bytes: 16 << 10,
        structure: if seed.is_multiple_of(4) {
            Structure::SkipList
        } else {
            Structure::Art
        },
        segment_bytes: 8 << 10,
        block_bytes: 512,
        table_bytes: 8 << 10,
        level_base_bytes: 16 << 10,
        level0_tables: 2,
        cache_bytes: 64 << 10,
        // One thread does all parts of a compaction here.
        compaction_threads: Some(3),
        value_separation_bytes: (!seed.is_multiple_of(3)).then_some(200),
        value_file_bytes: 8 << 10,
        compression: compression(seed),
        compression_bottom: compression(seed / 3),
        ..Options::default()
    }
}

/// The seeds that `NOKV_CRASH_SEEDS=from..to` asks for; the first few without it.
pub(crate) fn seeds(default_count: u64) -> Range<u64> {
    let asked = std::env::var("NOKV_CRASH_SEEDS").ok();
    let Some((from, to)) = asked.as_ref().and_then(|range| range.split_once("..")) else {
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

/// See the file head.
pub(crate) struct Run {
    random: SeededRandom,
    options: Options,
    clock: Arc<ManualClock>,
    files: Arc<dyn FileSystem>,
    oracle: Oracle,
    attempted: Arc<AtomicU64>,
    synced: Arc<AtomicU64>,
    images: Arc<Mutex<Vec<Image>>>,
    retention: Retention,
    copies: u64,
}

impl Run {
    /// A run over an empty disk whose operations fail by these rules.
    pub(crate) fn new(seed: u64, planted: Vec<Rule>) -> Self {
        let memory = MemoryFileSystem::new();
        let (attempted, synced) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let images: Arc<Mutex<Vec<Image>>> = Arc::default();
        let faults = FaultFileSystem::new(Arc::new(memory.clone()), seed);
        planted.into_iter().for_each(|rule| faults.add_rule(rule));
        let crash_seeds = SeededRandom::new(seed ^ 0xC0FFEE);
        let of_image = (
            Arc::clone(&attempted),
            Arc::clone(&synced),
            Arc::clone(&images),
        );
        let callback = move |moment| {
            let (attempted, synced, images) = &of_image;
            if moment == Moment::Settling || crash_seeds.once_in(3) {
                // In this order: what is promised before the cut, attempted before or at it.
                let synced = synced.load(Ordering::SeqCst);
                let files = memory.crash(crash_seeds.next_u64());
                let attempted = attempted.load(Ordering::SeqCst);
                images.lock().push(Image {
                    files,
                    synced,
                    attempted,
                });
            }
        };
        Self {
            random: SeededRandom::new(seed),
            options: options(seed),
            clock: Arc::new(ManualClock::new()),
            files: Arc::new(ObservedFileSystem::new(
                Arc::new(faults),
                Arc::new(callback),
            )),
            oracle: Oracle::default(),
            attempted,
            synced,
            images,
            retention: Retention::default(),
            copies: 0,
        }
    }

    /// Runs so many operations, with the store opened anew now and then; how many power cuts there
    /// were.
    ///
    /// # Errors
    /// What was wrong, in words.
    pub(crate) fn go(mut self, steps: u64) -> Result<u64, String> {
        let mut crashes = 0;
        let mut engine = self.open(Arc::clone(&self.files), DIR)?;
        for _ in 0..steps {
            if self.random.once_in(40) {
                drop(engine);
                engine = self.open(Arc::clone(&self.files), DIR)?;
                engine.set_retention(self.retention.clone());
            }
            self.step(&engine)?;
            crashes += self.check_images()?;
        }
        self.oracle.check(&engine, self.oracle.last())?;
        engine.verify().map_err(told)?;
        drop(engine);
        Ok(crashes + self.check_images()?)
    }

    fn open(&self, files: Arc<dyn FileSystem>, dir: &str) -> Result<Engine, String> {
        let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&self.clock);
        Engine::open(
            still_env_at(files, clock),
            Path::new(dir),
            self.options.clone(),
        )
        .map_err(|error| format!("opening {dir}: {error}"))
    }

    fn step(&mut self, engine: &Engine) -> Result<(), String> {
        match self.random.below(60) {
            0..3 => engine.flush().map_err(told),
            3..6 => engine.compact_for_test().map_err(told),
            6..9 => {
                self.retain_less(engine);
                Ok(())
            }
            9..11 => self.check_somewhere(engine),
            11..13 => {
                self.clock
                    .advance(Duration::from_millis(self.random.below(4)));
                self.oracle.set_present(self.clock.now_millis());
                Ok(())
            }
            13 => engine.collect_values().map_err(told),
            14 if self.random.once_in(3) => self.copy(engine),
            15 if self.random.once_in(3) => self.checkpoint(engine),
            _ => self.write(engine),
        }
    }

    fn write(&mut self, engine: &Engine) -> Result<(), String> {
        let large = self.random.once_in(20);
        let value_bytes_max = if large {
            LARGE_VALUE_BYTES_MAX
        } else {
            VALUE_BYTES_MAX
        };
        let batch = self.oracle.random_batch(&self.random, value_bytes_max);
        let number = self.oracle.last();
        self.attempted.store(number, Ordering::SeqCst);
        let durability = random_durability(&self.random);
        engine.write(batch, durability).map_err(told)?;
        if durability == Durability::Synced {
            self.synced.store(number, Ordering::SeqCst);
        }
        Ok(())
    }

    /// Moves the horizon, pins what is newest now, and forgets a pin.
    fn retain_less(&mut self, engine: &Engine) {
        let last = self.oracle.last();
        let horizon = self.retention.horizon.as_u64();
        let step = self.random.below(last.saturating_sub(horizon) + 1);
        self.retention.horizon = Version::from_u64(horizon + step);
        self.retention.pins.push(Version::from_u64(last));
        if self.random.once_in(3) {
            let place = self.random.below(self.retention.pins.len() as u64);
            self.retention.pins.swap_remove(place as usize);
        }
        engine.set_retention(self.retention.clone());
    }

    /// Reads everything at a version that is retained, and now.
    fn check_somewhere(&self, engine: &Engine) -> Result<(), String> {
        let last = self.oracle.last();
        for at in self.retained_below(last) {
            self.oracle.check(engine, at)?;
        }
        let present = Version::from_millis(self.clock.now_millis());
        self.oracle.check_newest(engine, last, present)
    }

    /// The newest version, one at or above the horizon, and a pin.
    fn retained_below(&self, last: u64) -> Vec<u64> {
        let horizon = self.retention.horizon.as_u64().min(last);
        let mut versions = vec![last, horizon + self.random.below(last - horizon + 1)];
        let pins = &self.retention.pins;
        let pin = pins.get(self.random.below(pins.len() as u64) as usize);
        versions.extend(pin.map(|pin| pin.as_u64()).filter(|pin| *pin <= last));
        versions
    }

    /// Exports the newest state and takes it into another store.
    fn copy(&mut self, engine: &Engine) -> Result<(), String> {
        let at = self.oracle.last();
        self.copies += 1;
        let folder = PathBuf::from(format!("/export-{}", self.copies));
        let export = ExportOptions {
            ranges: (0..3)
                .map(|n| (Keyspace::new(n), KeyRange::all()))
                .collect(),
            at: Version::from_u64(at),
            sink: SinkOptions {
                table_bytes: 2 << 10,
                block_bytes: 512,
                compression: self.options.compression,
            },
        };
        engine.export(&export, &folder).map_err(told)?;
        let target = self.open(Arc::clone(&self.files), &format!("/target-{}", self.copies))?;
        let transfer = if self.random.once_in(2) {
            Transfer::Link
        } else {
            Transfer::Copy
        };
        target
            .ingest(&folder, &IngestOptions { transfer })
            .map_err(told)?;
        self.oracle.check(&target, at)
    }

    /// Makes a checkpoint, which is a store with the same state.
    fn checkpoint(&mut self, engine: &Engine) -> Result<(), String> {
        self.copies += 1;
        let dir = format!("/checkpoint-{}", self.copies);
        engine.checkpoint(Path::new(&dir)).map_err(told)?;
        let copy = self.open(Arc::clone(&self.files), &dir)?;
        for at in self.retained_below(self.oracle.last()) {
            self.oracle.check(&copy, at)?;
        }
        Ok(())
    }

    /// Checks and forgets the photographs taken so far; how many power cuts that were.
    fn check_images(&self) -> Result<u64, String> {
        let images = std::mem::take(&mut *self.images.lock());
        for image in &images {
            self.check_image(image)
                .map_err(|error| format!("after {} batches: {error}", image.attempted))?;
        }
        Ok(2 * images.len() as u64)
    }

    /// Opens what a power cut left: all that was promised is there and nothing else than what was
    /// attempted, in order; the store goes on; a second power cut takes nothing of it.
    fn check_image(&self, image: &Image) -> Result<(), String> {
        let files: Arc<dyn FileSystem> = Arc::new(image.files.clone());
        let engine = self.open(files, DIR)?;
        let kept = engine.last_version().as_u64();
        let (synced, attempted) = (image.synced, image.attempted);
        if kept < synced || kept > attempted {
            return Err(format!(
                "{kept} kept, {synced} synced, {attempted} attempted"
            ));
        }
        for at in self.retained_below(kept) {
            self.oracle.check(&engine, at)?;
        }
        let present = Version::from_millis(self.clock.now_millis());
        self.oracle.check_newest(&engine, kept, present)?;
        let mut oracle = self.oracle.clone();
        oracle.truncate(kept);
        // What was recovered is promised from now on, whatever happens next.
        let mut promised = kept;
        for _ in 0..self.random.below(4) {
            let batch = oracle.random_batch(&self.random, VALUE_BYTES_MAX);
            let durability = random_durability(&self.random);
            engine.write(batch, durability).map_err(told)?;
            if durability == Durability::Synced {
                promised = oracle.last();
            }
        }
        let again = image.files.crash(self.random.next_u64());
        drop(engine);
        let engine = self.open(Arc::new(again), DIR)?;
        let kept = engine.last_version().as_u64();
        if kept < promised || kept > oracle.last() {
            return Err(format!(
                "{promised} promised, {kept} kept after a second power cut"
            ));
        }
        oracle.check(&engine, kept)
    }
}

fn random_durability(random: &SeededRandom) -> Durability {
    if random.once_in(3) {
        Durability::Synced
    } else {
        Durability::Buffered
    }
}

fn told(error: Error) -> String {
    error.to_string()
}
