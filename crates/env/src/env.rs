//! The bundle of capabilities that is passed down through every layer.
//!
//! Invariant: whoever holds an `Env` needs no other door to the machine. Cloning shares, it does
//! not copy.

use std::sync::Arc;

use crate::{
    Clock, FileSystem, ManualClock, MemoryFileSystem, Random, RealClock, RealFileSystem,
    RealRandom, RealSpawn, SeededRandom, Spawn,
};

/// Files, clock, randomness and threads.
#[derive(Clone)]
pub struct Env {
    /// Where files live.
    pub files: Arc<dyn FileSystem>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where random bytes come from.
    pub random: Arc<dyn Random>,
    /// How threads start.
    pub spawn: Arc<dyn Spawn>,
}

impl Env {
    /// The real machine.
    #[must_use]
    pub fn real() -> Self {
        Self {
            files: Arc::new(RealFileSystem::new()),
            clock: Arc::new(RealClock::new()),
            random: Arc::new(RealRandom::new()),
            spawn: Arc::new(RealSpawn::new()),
        }
    }

    /// A machine in memory: empty files, a clock that stands still until moved, random bytes from
    /// `seed`. Threads are real.
    #[must_use]
    pub fn memory(seed: u64) -> Self {
        Self {
            files: Arc::new(MemoryFileSystem::new()),
            clock: Arc::new(ManualClock::new()),
            random: Arc::new(SeededRandom::new(seed)),
            spawn: Arc::new(RealSpawn::new()),
        }
    }

    /// The same machine with other files.
    #[must_use]
    pub fn with_files(mut self, files: Arc<dyn FileSystem>) -> Self {
        self.files = files;
        self
    }
}

impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Env")
    }
}
