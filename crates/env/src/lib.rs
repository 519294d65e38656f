//! The ground: files, clock, randomness and threads, behind traits.
//!
//! Purpose: everything above runs unchanged over the real machine, over memory, and over a machine
//! that fails on purpose. `Env` is passed down; nobody above names `std::fs`, `Instant`, `thread`
//! or a random generator.
//!
//! Invariants:
//! - a successful `sync_data` or `sync_all` is the only promise that bytes survive a power cut, and
//!   a successful `sync_dir` the only promise that a directory entry does; `MemoryFileSystem`
//!   forgets all else;
//! - every method may be called from any thread; files are positional, so no call moves another's
//!   cursor;
//! - the memory, manual and seeded versions are deterministic: the same seed gives the same run.
//!
//! Reading order: [`env`] (the bundle), [`files`] (the traits), [`real`], [`memory`], [`fault`],
//! [`clock`], [`random`], [`spawn`].

mod clock;
mod env;
mod fault;
#[cfg(test)]
mod fault_test;
mod files;
mod memory;
mod random;
mod real;
mod spawn;

pub use clock::{Clock, ManualClock, RealClock};
pub use env::Env;
pub use fault::{FaultFileSystem, Operation, Outcome, Rule, Trigger};
pub use files::{
    AlreadyLocked, DirEntry, EntryKind, File, FileLock, FileSystem, Metadata, OpenMode,
    is_already_locked,
};
pub use memory::{MemoryFileSystem, SECTOR_BYTES};
pub use random::{Random, RealRandom, SeededRandom};
pub use real::RealFileSystem;
pub use spawn::{JoinHandle, Panicked, RealSpawn, Spawn};
