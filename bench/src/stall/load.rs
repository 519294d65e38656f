//! The writers.

use crate::harness::{Latencies, Random, fnv64};
use anyhow::Result;
use nokv_engine::{Batch, Durability, Engine, Keyspace};
use nokv_types::Version;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

/// Values are slices of so many random bytes, which no compressor finds twice.
const POOL_BYTES: usize = 4 << 20;

/// What is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) writers: u64,
    pub(super) records: u64,
    pub(super) value_bytes: usize,
    /// Writes after which it ends, if time does not end it before.
    pub(super) writes_max: u64,
    pub(super) durability: Durability,
}

/// What the writers share with the one who watches.
pub(super) struct Shared {
    /// Latencies since last taken, by writer.
    windows: Vec<Mutex<Latencies>>,
    version: AtomicU64,
    written: AtomicU64,
    pub(super) is_over: AtomicBool,
}

impl Shared {
    pub(super) fn new(load: &Load, engine: &Engine) -> Self {
        Self {
            windows: (0..load.writers)
                .map(|_| Mutex::new(Latencies::new()))
                .collect(),
            version: AtomicU64::new(engine.last_version().as_u64() + 1),
            written: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        }
    }

    /// The latencies since the last call.
    pub(super) fn take(&self) -> Latencies {
        let mut all = Latencies::new();
        for window in &self.windows {
            let mut window = window.lock().expect("writers do not panic");
            all.merge(&window);
            window.clear();
        }
        all
    }

    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }
}

/// Writes until time or number is up. Each writer has its own keys, so versions of a key ascend.
pub(super) fn write(
    engine: &Engine,
    load: &Load,
    shared: &Shared,
    (writer, until): (u64, Instant),
) -> Result<()> {
    let mut random = Random::new(writer + 1);
    let mut pool = vec![0; POOL_BYTES];
    random.fill(&mut pool);
    let own_records = (load.records / load.writers).max(1);
    let window = &shared.windows[writer as usize];
    let keyspace = Keyspace::new(1);
    loop {
        let number = shared.written.fetch_add(1, Ordering::Relaxed);
        let begun = Instant::now();
        if number >= load.writes_max || begun >= until || shared.is_over.load(Ordering::Relaxed) {
            return Ok(());
        }
        let record = random.below(own_records) * load.writers + writer;
        let key = format!("user{:020}", fnv64(record));
        let start = random.below((POOL_BYTES - load.value_bytes) as u64) as usize;
        let value = &pool[start..start + load.value_bytes];
        let version = Version::from_u64(shared.version.fetch_add(1, Ordering::Relaxed));
        let mut batch = Batch::new();
        batch.put(keyspace, key.as_bytes(), value, version);
        engine.write(batch, load.durability)?;
        let latency = begun.elapsed();
        window
            .lock()
            .expect("nobody panics with it")
            .record(latency);
    }
}
