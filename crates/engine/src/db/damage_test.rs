//! A flipped bit in any file of a store: reported with file and offset, or harmless; never returned
//! as data, never a panic.
//!
//! A few thousand bits, spread evenly over all files, are tried; `NOKV_FLIP_STEP=1` tries every
//! one.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use nokv_env::{EntryKind, FileSystem, MemoryFileSystem, OpenMode, SeededRandom};

use crate::{
    Durability, Engine, Error,
    plant::{Plant, with_planted},
    testing::{DIR, Oracle, options, still_env},
};

/// Bits between two that are flipped.
fn step_bits() -> usize {
    let asked = std::env::var("NOKV_FLIP_STEP").ok();
    asked.map_or(401, |step| step.parse().expect("a number"))
}

/// A closed store with every kind of file, and what is in it.
struct Sample {
    files: MemoryFileSystem,
    oracle: Oracle,
    seed: u64,
}

/// What became of the flipped bits of one kind of file.
#[derive(Default, Debug)]
struct Outcomes {
    reported: u64,
    harmless: u64,
}

impl Sample {
    /// Seed 1 separates large values, and its blocks are compressed.
    fn new(seed: u64) -> Self {
        let files = MemoryFileSystem::new();
        let mut oracle = Oracle::default();
        let random = SeededRandom::new(seed);
        let engine = open(&files, seed).unwrap();
        for step in 0..40 {
            let batch = oracle.random_batch(&random, 400);
            engine.write(batch, Durability::Synced).unwrap();
            if step == 25 {
                engine.flush().unwrap();
            }
        }
        engine.close().unwrap();
        Self {
            files,
            oracle,
            seed,
        }
    }

    fn paths(&self) -> Vec<PathBuf> {
        let entries = self.files.list(Path::new(DIR)).unwrap();
        let files = entries.iter().filter(|entry| entry.kind == EntryKind::File);
        files
            .map(|entry| Path::new(DIR).join(&entry.name))
            .collect()
    }

    /// Opens a copy with one bit flipped and reads everything.
    fn flip(&self, path: &Path, bit: usize) -> Result<bool, String> {
        let files = self.files.crash(0);
        let file = files.open(path, OpenMode::ReadWrite).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, bit as u64 / 8).unwrap();
        file.write_at(&[byte[0] ^ (1 << (bit % 8))], bit as u64 / 8)
            .unwrap();
        match read_all(&files, self) {
            Ok(()) => Ok(false),
            Err(Problem::Told(Error::Corrupt { file, offset, .. })) => {
                let length = self
                    .files
                    .metadata(Path::new(&file))
                    .map_or(0, |found| found.size);
                let is_there = file == path.display().to_string() && offset <= length;
                is_there
                    .then_some(true)
                    .ok_or_else(|| format!("told of {file} at {offset}"))
            }
            Err(Problem::Told(Error::Unsupported { .. })) => Ok(true),
            Err(Problem::Told(error)) => Err(format!("told as {error}")),
            Err(Problem::Wrong(message)) => Err(message),
        }
    }
}

enum Problem {
    Told(Error),
    Wrong(String),
}

fn open(files: &MemoryFileSystem, seed: u64) -> Result<Engine, Error> {
    let env = still_env(Arc::new(files.clone()));
    Engine::open(env, Path::new(DIR), options(seed))
}

fn read_all(files: &MemoryFileSystem, sample: &Sample) -> Result<(), Problem> {
    let engine = open(files, sample.seed).map_err(Problem::Told)?;
    let verified = engine.verify();
    let last = sample.oracle.last();
    for at in [last, 20] {
        if let Err(message) = sample.oracle.check(&engine, at) {
            // Reading said so; verifying must say it too.
            let told = verified.err();
            return Err(told.map_or(Problem::Wrong(message), Problem::Told));
        }
    }
    verified.map(|_| ()).map_err(Problem::Told)
}

fn kind_of(path: &Path) -> String {
    let extension = path.extension().or(path.file_name());
    extension.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn flip_all(sample: &Sample, step: usize) -> Result<BTreeMap<String, Outcomes>, String> {
    let mut outcomes: BTreeMap<String, Outcomes> = BTreeMap::new();
    for path in sample.paths() {
        let bits = sample.files.metadata(&path).unwrap().size as usize * 8;
        let own = outcomes.entry(kind_of(&path)).or_default();
        // Every byte of a short file.
        for bit in (0..bits).step_by(step.min(bits / 64 + 1)) {
            let found = sample.flip(&path, bit);
            match found.map_err(|error| format!("bit {bit} of {}: {error}", path.display()))? {
                true => own.reported += 1,
                false => own.harmless += 1,
            }
        }
    }
    Ok(outcomes)
}

#[test]
fn every_flipped_bit_of_a_store_is_reported_or_harmless() {
    for seed in [1, 2, 3] {
        let sample = Sample::new(seed);
        let outcomes = flip_all(&sample, step_bits()).unwrap_or_else(|error| panic!("{error}"));
        println!("seed {seed}: {outcomes:?}");
        for (kind, found) in outcomes {
            // The mark promises, nothing else; the lock is empty.
            let is_silent = ["SYNCED", "LOCK"].contains(&kind.as_str());
            assert!(is_silent || found.reported > 0, "{kind}: {found:?}");
        }
    }
}

#[test]
fn a_checksum_of_a_block_that_is_not_looked_at_is_noticed() {
    let sample = Sample::new(3);
    let planted = with_planted(Plant::SkipBlockChecksum, Err("a panic".to_owned()), || {
        flip_all(&sample, 41)
    });
    let noticed = planted.expect_err("the planted bug was not noticed");
    println!("{noticed}");
}
