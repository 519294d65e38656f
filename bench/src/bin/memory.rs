//! Memory of the engine, by the allocator: `cargo run --release --bin memory -- budget` and
//! `-- open`.
//!
//! A program of its own, because its allocator counts: the others must not pay for that.
//! `budget` loads, reads, compacts and scans a store, and compares at each step the live heap with
//! what the store tells and with what its options allow. `open` fills a store with small keys,
//! opens it and reads at random. Both fail when a bound is passed.

#![allow(
    unsafe_code,
    reason = "an allocator that counts is made with unsafe, and only passes calls on"
)]

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};
use nokv_engine::{
    Batch, Direction, Durability, Engine, IngestOptions, KeyRange, Keyspace, Options, SinkOptions,
    Stats, TableSink,
};
use nokv_env::Env;
use nokv_types::Version;
use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

static LIVE_BYTES: AtomicUsize = AtomicUsize::new(0);
static PEAK_BYTES: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counting.
struct Counting;

// SAFETY: every call goes to the system's allocator as it came; counters are not memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE_BYTES.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK_BYTES.fetch_max(live, Relaxed);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let live = LIVE_BYTES.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK_BYTES.fetch_max(live, Relaxed);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        LIVE_BYTES.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(start, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const KEYSPACE: Keyspace = Keyspace::new(1);

/// What the live heap may be beside what the store tells, and what that may be over the options.
const SLACK_PERCENT: usize = 10;

/// What 100 million small keys may take, with default options.
const OPEN_MAX: Duration = Duration::from_secs(2);
const RSS_MIB_MAX: u64 = 2048;

const READ_COUNT: u64 = 100_000;

#[derive(Parser)]
#[command(about = "Memory of the engine, by the allocator")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Where the stores are made; by default in the folder for temporary files.
    #[arg(long, global = true)]
    dir: Option<std::path::PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// 1 KB values through a small store, and what is in memory after each step.
    Budget {
        #[arg(long, default_value_t = 300_000)]
        count: u64,
    },
    /// Keys of 16 B with values of 8 B: time to open, memory after it and after reads.
    Open {
        #[arg(long, default_value_t = 100_000_000)]
        count: u64,
    },
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let parent = arguments.dir.unwrap_or_else(std::env::temp_dir);
    let dir = tempfile::tempdir_in(parent)?;
    match arguments.command {
        Command::Budget { count } => budget(dir.path(), count),
        Command::Open { count } => open(dir.path(), count),
    }
}

fn budget(dir: &Path, count: u64) -> Result<()> {
    let options = Options {
        memtable_bytes: 16 << 20,
        cache_bytes: 32 << 20,
        ..Options::default()
    };
    let meter = Meter {
        working_bytes: Options::COMPACTION_MEMORY_BYTES * 4,
        budgeted_bytes: options.memtable_bytes * (options.immutables_max + 1) + options.cache_bytes,
        start: Instant::now(),
    };
    let engine = Engine::open(Env::real(), &dir.join("store"), options)?;
    let mut value = vec![0; 1000];
    for number in 0..count {
        for (place, bytes) in (0..).zip(value.chunks_mut(16)) {
            let half = bytes.len() / 2;
            bytes[..half].copy_from_slice(&mix(number << 8 | place).to_be_bytes()[..half]);
        }
        let mut batch = Batch::new();
        batch.put(
            KEYSPACE,
            &key(mix(number)),
            &value,
            Version::from_u64(number + 1),
        );
        engine.write(batch, Durability::Buffered)?;
        if number % (count / 10).max(1) == 0 {
            meter.look("loading", &engine.stats())?;
        }
    }
    engine.flush()?;
    meter.look("flushed", &engine.stats())?;
    for name in ["read while compacting", "read at rest"] {
        for number in 0..count {
            let key = key(mix(number * 7919 % count));
            ensure!(engine.get(KEYSPACE, &key, Version::MAX)?.is_some(), "lost");
        }
        meter.look(name, &engine.stats())?;
        engine.compact_range(KEYSPACE, &KeyRange::all(), &mut || ())?;
        meter.look("compacted", &engine.stats())?;
    }
    let scan = engine.scan(KEYSPACE, KeyRange::all(), Version::MAX, Direction::Forward)?;
    ensure!(scan.count() as u64 == count, "a scan that misses some");
    meter.look("scanned", &engine.stats())?;
    Ok(engine.close()?)
}

/// Compares what is in memory with what may be.
struct Meter {
    /// Memtables and cache, by the options.
    budgeted_bytes: usize,
    /// What compactions may take beside.
    working_bytes: usize,
    start: Instant,
}

impl Meter {
    fn look(&self, name: &str, stats: &Stats) -> Result<()> {
        let live = LIVE_BYTES.load(Relaxed);
        let peak = PEAK_BYTES.swap(live, Relaxed);
        let told = usize::try_from(stats.memory_bytes())?;
        let seconds = self.start.elapsed().as_secs_f64();
        println!(
            "{name:<22}{seconds:>7.1} s  live {:>6.1}  told {:>6.1}  peak {:>6.1}  resident {:>4} \
             MiB  compactions {}",
            mib(live),
            mib(told),
            mib(peak),
            resident_mib()?,
            stats.compaction_running_count,
        );
        let slack = self.budgeted_bytes / 100 * SLACK_PERCENT;
        ensure!(told <= self.budgeted_bytes + slack, "over the options");
        let beside = if stats.compaction_running_count > 0 {
            self.working_bytes
        } else {
            0
        };
        // While threads work, figures are of another moment than the count.
        let moved = if name == "loading" {
            self.budgeted_bytes / 3
        } else {
            0
        };
        ensure!(live <= told + slack + beside + moved, "more than is told");
        ensure!(
            peak <= self.budgeted_bytes + slack + self.working_bytes,
            "a peak over the options"
        );
        Ok(())
    }
}

fn open(dir: &Path, count: u64) -> Result<()> {
    let (env, load, store) = (Env::real(), dir.join("load"), dir.join("store"));
    let start = Instant::now();
    let mut sink = TableSink::create(&env, &load, SinkOptions::default())?;
    for number in 0..count {
        let value = mix(number).to_be_bytes();
        sink.put(
            KEYSPACE,
            &key_in_order(number),
            &value,
            Version::from_u64(1),
        )?;
    }
    sink.finish()?;
    let engine = Engine::open(env.clone(), &store, Options::default())?;
    engine.ingest(&load, &IngestOptions::default())?;
    engine.close()?;
    std::fs::remove_dir_all(&load)?;
    println!(
        "filled with {count} keys in {:.0} s",
        start.elapsed().as_secs_f64()
    );

    let start = Instant::now();
    let engine = Engine::open(env, &store, Options::default())?;
    let opened = start.elapsed();
    let figures = |name: &str, took: Duration| -> Result<()> {
        let resident = resident_mib()?;
        let live = mib(LIVE_BYTES.load(Relaxed));
        println!("{name} in {took:.3?}: live {live:.1} MiB, resident {resident} MiB");
        ensure!(resident <= RSS_MIB_MAX, "too much memory");
        Ok(())
    };
    figures("opened", opened)?;
    ensure!(opened <= OPEN_MAX, "opening took too long");
    let start = Instant::now();
    for read in 0..READ_COUNT {
        let number = mix(read) % count;
        let record = engine.get(KEYSPACE, &key_in_order(number), Version::MAX)?;
        let expected = mix(number).to_be_bytes();
        ensure!(
            record.is_some_and(|record| *record.value == expected),
            "lost"
        );
    }
    figures("100 thousand reads", start.elapsed())?;
    Ok(engine.close()?)
}

/// 16 bytes that begin with the number.
fn key_in_order(number: u64) -> [u8; 16] {
    key(number << 32 | mix(number) >> 32)
}

fn key(head: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&head.to_be_bytes());
    key[8..].copy_from_slice(&mix(head).to_be_bytes());
    key
}

/// A number that does not compress, the same one for the same input.
fn mix(number: u64) -> u64 {
    let mixed = (number ^ (number >> 31)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) ^ (mixed >> 32)
}

fn mib(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn resident_mib() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    Ok(kib.map_or(Ok(0), str::parse::<u64>)? >> 10)
}
