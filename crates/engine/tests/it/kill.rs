//! A process that writes is killed (`SIGKILL`) again and again, on the real file system: what it
//! had acknowledged is there, in order and whole, and the store opens at once.
//!
//! The child is this same test binary. It says in a pipe what was acknowledged; the parent kills it
//! after a number of lines, reads the pipe to its end, opens the store and compares it with a
//! model. The death of a process takes nothing that was written, so `Buffered` writes count too.
//!
//! `NOKV_KILLS=200 cargo test --release -p nokv-engine --test it kill -- --nocapture`

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
};

use nokv_engine::{
    Access, Batch, Compression, Direction, Durability, Engine, KeyRange, Keyspace, Options,
    Retention,
};
use nokv_env::{Env, Random, SeededRandom};
use nokv_types::Version;

/// Tells the child where its store is.
const DIR_VARIABLE: &str = "NOKV_KILL_DIR";

/// What a line of the child that counts begins with.
const ACKNOWLEDGED: &str = "acknowledged ";

/// Lines after which the child is killed at the latest.
const LINES_MAX: u64 = 300;

const SPACE: Keyspace = Keyspace::new(3);
const KEYS: u64 = 400;

type Model = BTreeMap<Vec<u8>, (u64, Vec<u8>)>;

fn options(access: Access) -> Options {
    Options {
        access,
        memtable_bytes: 64 << 10,
        segment_bytes: 32 << 10,
        table_bytes: 32 << 10,
        level_base_bytes: 64 << 10,
        level0_tables: 2,
        value_separation_bytes: Some(1500),
        value_file_bytes: 64 << 10,
        compression_bottom: Compression::Lz4,
        ..Options::default()
    }
}

fn key(number: u64) -> Vec<u8> {
    format!("key/{:04}", number % KEYS).into_bytes()
}

/// Batch `number`, the same for whoever asks: to the store and to the model.
fn batch(number: u64, model: &mut Model) -> Batch {
    let random = SeededRandom::new(number);
    let version = Version::from_u64(number);
    let mut batch = Batch::new();
    if random.once_in(20) {
        let (start, end) = (random.below(KEYS), random.below(KEYS));
        let (start, end) = (key(start.min(end)), key(start.max(end)));
        batch.delete_range(SPACE, &start, &end, version);
        model.retain(|key, _| *key < start || *key >= end);
    }
    for _ in 0..1 + random.below(4) {
        let key = key(random.next_u64());
        if random.once_in(5) {
            batch.delete(SPACE, &key, version);
            model.remove(&key);
        } else {
            let mut value = vec![0; random.below(3000) as usize];
            random.fill(&mut value);
            batch.put(SPACE, &key, &value, version);
            model.insert(key, (number, value));
        }
    }
    batch
}

/// Not a test of its own: the process that is killed. Without its variable it does nothing.
#[test]
fn kill_child() {
    let Ok(dir) = std::env::var(DIR_VARIABLE) else {
        return;
    };
    let engine = Engine::open(Env::real(), Path::new(&dir), options(Access::Create)).unwrap();
    let mut out = std::io::stdout();
    for number in engine.last_version().as_u64() + 1.. {
        let durability = if number.is_multiple_of(9) {
            Durability::Synced
        } else {
            Durability::Buffered
        };
        engine
            .write(batch(number, &mut Model::new()), durability)
            .unwrap();
        writeln!(out, "{ACKNOWLEDGED}{number}").unwrap();
        if number.is_multiple_of(100) {
            engine.set_retention(Retention {
                horizon: Version::from_u64(number),
                pins: Vec::new(),
            });
        }
        if number.is_multiple_of(250) {
            engine.collect_values().unwrap();
        }
    }
}

/// Starts the child, kills it after so many lines; the last batch that it acknowledged.
fn run_and_kill(dir: &Path, lines: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "kill::kill_child",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(DIR_VARIABLE, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut last = 0;
    let mut seen = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        if let Some((_, number)) = line.unwrap().split_once(ACKNOWLEDGED) {
            // A line may be cut by the death of its writer.
            last = number.parse().unwrap_or(last).max(last);
        }
        seen += 1;
        if seen == lines {
            child.kill().unwrap();
        }
    }
    assert!(
        !child.wait().unwrap().success(),
        "the child ended by itself"
    );
    last
}

fn check(engine: &Engine, model: &Model) {
    let scan = engine
        .scan(SPACE, KeyRange::all(), Version::MAX, Direction::Forward)
        .unwrap();
    let found: Model = scan
        .map(Result::unwrap)
        .map(|(key, record)| {
            (
                key.to_vec(),
                (record.version.as_u64(), record.value.to_vec()),
            )
        })
        .collect();
    let keys = |model: &Model| model.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&found), keys(model));
    assert!(found == *model, "a value is not what was written");
}

#[test]
fn a_killed_process_loses_nothing_acknowledged() {
    let kills = std::env::var("NOKV_KILLS").map_or(5, |count| count.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let random = SeededRandom::new(7);
    let (mut model, mut known, mut beyond) = (Model::new(), 0, 0);
    for round in 0..kills {
        let acknowledged = run_and_kill(dir.path(), 5 + random.below(LINES_MAX));
        // Every other time what the child left is repaired by the next child.
        let access = if round % 2 == 0 {
            Access::ReadOnly
        } else {
            Access::Existing
        };
        let engine = Engine::open(Env::real(), dir.path(), options(access)).unwrap();
        let kept = engine.last_version().as_u64();
        assert!(
            kept >= acknowledged,
            "{kept} kept, {acknowledged} acknowledged"
        );
        for number in known + 1..=kept {
            batch(number, &mut model);
        }
        known = kept;
        beyond += kept - acknowledged;
        check(&engine, &model);
        engine.verify().unwrap();
        if round % 4 == 3 {
            engine.close().unwrap();
        }
    }
    println!("{kills} kills, {known} batches kept, {beyond} of them not yet acknowledged");
}
