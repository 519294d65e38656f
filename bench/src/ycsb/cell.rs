//! One measurement: this engine, this workload, in a process of its own.

use super::engine::{self, Durability, Engine, EngineOptions};
use super::keys::{self, Shape, Values};
use super::workload::{self, Kind, Mix, Popularity, Workload};
use super::zipfian::{Scattered, Zipfian};
use crate::harness::{CellReport, Measured, Plan, Random, Row, Subject, Usage, disk_mib, measure};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Records of a load's batch: large enough that no engine pays per batch, small enough for any.
pub(crate) const LOAD_BATCH: u64 = 1_000;
/// Longest scan of YCSB's workload E; the length is uniform from 1.
const SCAN_LENGTH_MAX: u64 = 100;
/// One operation in so many runs before the clock starts, so that a fresh process is not what is
/// measured.
const WARM_UP_DIVISOR: u64 = 10;
/// Reads that found nothing are remarked on above one in so many.
const MISSES_REMARKED_DIVISOR: u64 = 1_000;

/// What the parent asks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) system: String,
    pub(crate) workload: String,
    pub(crate) durability: Durability,
    pub(crate) dir: PathBuf,
    /// Records that the load put there.
    pub(crate) loaded: u64,
    /// Records that are there now.
    pub(crate) records: u64,
    pub(crate) ops: u64,
    pub(crate) threads: u32,
    pub(crate) cache_bytes: u64,
    pub(crate) seconds_max: u64,
    pub(crate) seed: u64,
}

/// Runs what the parent asked for.
pub(crate) fn answer_cell(spec: &str) -> Result<CellReport> {
    let spec: Spec = serde_json::from_str(spec).context("read the cell's spec")?;
    let workload = workload::find(&spec.workload).context("a known workload")?;
    std::fs::create_dir_all(&spec.dir)?;
    let options = EngineOptions {
        durability: spec.durability,
        cache_bytes: spec.cache_bytes,
    };
    let engine = engine::open(&spec.system, &spec.dir, options)?;
    let run = Run {
        engine: &*engine,
        spec: &spec,
        workload,
        next_record: AtomicU64::new(spec.records),
        settled: AtomicU64::new(spec.records),
        in_flight: (0..spec.threads)
            .map(|_| AtomicU64::new(u64::MAX))
            .collect(),
        misses: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
    };
    let measured = match workload.kind {
        Kind::Load => run.load()?,
        Kind::Mix(mix, popularity) => run.mix(mix, popularity)?,
    };
    let (records_after, notes) = (run.records_after(), run.remarks(&measured));
    engine.sync().context("sync at the end")?;
    drop(engine);
    let subject = Subject {
        bench: "ycsb",
        system: &spec.system,
        workload: &spec.workload,
        threads: if matches!(workload.kind, Kind::Load) {
            1
        } else {
            spec.threads
        },
        durability: spec.durability.name(),
        cache: "warm",
    };
    let mut row = Row::new(subject, &measured);
    row.rss_mib = Usage::own()?.rss_mib;
    row.disk_mib = disk_mib(&spec.dir)?;
    Ok(CellReport {
        rows: vec![row],
        records_after,
        notes,
    })
}

struct Run<'a> {
    engine: &'a dyn Engine,
    spec: &'a Spec,
    workload: &'a Workload,
    /// Index of the next record to insert.
    next_record: AtomicU64,
    /// Every record below this is written: what readers may expect.
    settled: AtomicU64,
    /// For each worker a lower bound of the record that it is inserting; the maximum when it is
    /// not.
    in_flight: Vec<AtomicU64>,
    /// Reads of a record that should be there and was not.
    misses: AtomicU64,
    /// Bytes that reads delivered: keeps them from being optimized away, and shows that they were
    /// not empty.
    bytes: AtomicU64,
}

impl Run<'_> {
    /// Fills the store in batches, from one thread, timing each batch; the rate counts records.
    fn load(&self) -> Result<Measured> {
        let (shape, records) = (self.workload.shape, self.spec.loaded);
        let batches = records.div_ceil(LOAD_BATCH);
        let plan = Plan {
            threads: 1,
            ops: batches,
            time_max: self.time_max(),
        };
        let mut measured = measure(plan, |_| {
            let mut values = Values::new(self.spec.seed);
            let mut random = Random::new(self.spec.seed);
            let mut batch: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
            move || {
                let first = self.next_record.fetch_add(LOAD_BATCH, Ordering::Relaxed);
                batch.resize_with(LOAD_BATCH as usize, Default::default);
                batch.truncate((records - first).min(LOAD_BATCH) as usize);
                for (index, (key, value)) in (first..).zip(&mut batch) {
                    keys::key(shape, index, records, key);
                    value.clear();
                    value.extend_from_slice(values.draw(shape, &mut random));
                }
                self.engine.batch(&batch)
            }
        })?;
        ensure!(
            measured.ops == batches,
            "the load did not finish in {:?}",
            self.time_max()
        );
        self.next_record.store(records, Ordering::Relaxed);
        measured.ops = records;
        Ok(measured)
    }

    fn mix(&self, mix: Mix, popularity: Popularity) -> Result<Measured> {
        let latest = match popularity {
            Popularity::Latest => Some(Arc::new(Zipfian::new(self.spec.records.max(2)))),
            Popularity::Zipfian | Popularity::Uniform => None,
        };
        let values = Values::new(self.spec.seed ^ 1);
        let start = |worker: u32, stream: u64| {
            let mut worker = Worker {
                run: self,
                number: worker as usize,
                mix,
                popularity,
                latest: latest.clone(),
                scattered: Scattered::new(),
                random: Random::new(self.spec.seed ^ (stream << 32) ^ u64::from(worker)),
                values: values.clone(),
                key: Vec::new(),
                value: Vec::new(),
            };
            move || worker.step()
        };
        let plan = Plan {
            threads: self.spec.threads,
            ops: self.spec.ops,
            time_max: self.time_max(),
        };
        let warm_up = Plan {
            ops: plan.ops / WARM_UP_DIVISOR,
            time_max: plan.time_max / WARM_UP_DIVISOR as u32,
            ..plan
        };
        measure(warm_up, |worker| start(worker, 1))?;
        self.misses.store(0, Ordering::Relaxed);
        measure(plan, |worker| start(worker, 2))
    }

    /// Moves `settled` up to the first record that may not be written yet.
    fn settle(&self) {
        let next = self.next_record.load(Ordering::SeqCst);
        let bounds = self
            .in_flight
            .iter()
            .map(|bound| bound.load(Ordering::SeqCst));
        self.settled
            .fetch_max(bounds.min().unwrap_or(next).min(next), Ordering::Relaxed);
    }

    fn time_max(&self) -> Duration {
        Duration::from_secs(self.spec.seconds_max)
    }

    fn records_after(&self) -> u64 {
        match self.workload.shape {
            // Appended records are a family of their own: they are not among those that the others
            // read.
            Shape::Log => self.spec.records,
            Shape::Ycsb | Shape::Metadata => self.next_record.load(Ordering::Relaxed),
        }
    }

    fn remarks(&self, measured: &Measured) -> Vec<String> {
        let Spec {
            system,
            workload,
            durability,
            ..
        } = self.spec;
        let what = format!("{system} {workload} {}", durability.name());
        let misses = self.misses.load(Ordering::Relaxed);
        let mut notes = Vec::new();
        if misses > measured.ops / MISSES_REMARKED_DIVISOR {
            notes.push(format!("{what}: {misses} reads found nothing"));
        }
        let expected = match self.workload.kind {
            Kind::Load => self.spec.loaded,
            Kind::Mix(..) => self.spec.ops,
        };
        if measured.ops < expected {
            let done = measured.ops;
            notes.push(format!(
                "{what}: {done} of {expected} operations in the time"
            ));
        }
        notes
    }
}

struct Worker<'a> {
    run: &'a Run<'a>,
    number: usize,
    mix: Mix,
    popularity: Popularity,
    latest: Option<Arc<Zipfian>>,
    scattered: Scattered,
    random: Random,
    values: Values,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Worker<'_> {
    fn step(&mut self) -> Result<()> {
        let Mix {
            get,
            update,
            insert,
            scan,
            ..
        } = self.mix;
        let dice = self.random.below(100);
        if dice < get {
            self.get()
        } else if dice < get + update {
            self.choose_key();
            self.put()
        } else if dice < get + update + insert {
            self.insert()
        } else if dice < get + update + insert + scan {
            self.scan()
        } else {
            self.get()?;
            self.put()
        }
    }

    fn get(&mut self) -> Result<()> {
        self.choose_key();
        if self.run.engine.get(&self.key, &mut self.value)? {
            self.run
                .bytes
                .fetch_add(self.value.len() as u64, Ordering::Relaxed);
        } else {
            self.run.misses.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn put(&mut self) -> Result<()> {
        let value = self.values.draw(self.run.workload.shape, &mut self.random);
        self.run.engine.put(&self.key, value)
    }

    fn insert(&mut self) -> Result<()> {
        // The bound is there before the number is taken, so that `settle` can't overlook it.
        let run = self.run;
        let bound = run.next_record.load(Ordering::SeqCst);
        run.in_flight[self.number].store(bound, Ordering::SeqCst);
        let index = run.next_record.fetch_add(1, Ordering::SeqCst);
        self.make_key(index);
        self.put()?;
        run.in_flight[self.number].store(u64::MAX, Ordering::SeqCst);
        run.settle();
        Ok(())
    }

    fn scan(&mut self) -> Result<()> {
        let shape = self.run.workload.shape;
        let limit = if shape == Shape::Metadata {
            let directories = (self.run.spec.loaded / keys::CHILDREN).max(1);
            keys::directory_prefix(self.random.below(directories), &mut self.key);
            keys::CHILDREN
        } else {
            self.choose_key();
            1 + self.random.below(SCAN_LENGTH_MAX)
        };
        let mut bytes = 0;
        let mut sink = |key: &[u8], value: &[u8]| bytes += key.len() + value.len();
        let count = self.run.engine.scan(&self.key, limit as usize, &mut sink)?;
        self.run.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if count == 0 {
            self.run.misses.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Sets `key` to a record that is there.
    fn choose_key(&mut self) {
        let spec = self.run.spec;
        let settled = self.run.settled.load(Ordering::Relaxed).max(1);
        let index = match (self.popularity, &self.latest) {
            (Popularity::Latest, Some(zipfian)) => {
                settled - 1 - zipfian.draw(&mut self.random).min(settled - 1)
            }
            (Popularity::Uniform, _) => self.random.below(spec.loaded.max(1)),
            _ => self.scattered.draw(&mut self.random, settled),
        };
        self.make_key(index);
    }

    fn make_key(&mut self, index: u64) {
        keys::key(
            self.run.workload.shape,
            index,
            self.run.spec.loaded,
            &mut self.key,
        );
    }
}
