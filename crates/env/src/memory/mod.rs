//! A file system in memory that forgets what was not synced.
//!
//! It keeps two images of everything, what a reader sees now and what a power cut would leave for
//! certain, and between them the list of changes that nobody synced. `crash` builds the machine
//! after a power cut: the certain image plus a part, chosen by a seed, of the unsynced changes:
//! none, all, a prefix whose last write is torn, or any subset of 512-byte sectors in any order.
//!
//! Invariants:
//! - bytes covered by a successful `sync_data` or `sync_all` are in every crash image of the file;
//! - a directory entry covered by a successful `sync_dir` is in every crash image until it is
//!   changed again;
//! - a file whose name was never synced may vanish even when its bytes were synced: that is what
//!   finds a forgotten `sync_dir`.
//!
//! Reading order: [`inode`] (bytes of one file), [`tree`] (names), [`filesystem`] (the trait).

mod filesystem;
mod inode;
mod tree;

#[cfg(test)]
mod memory_test;

pub use filesystem::MemoryFileSystem;
pub use inode::SECTOR_BYTES;
