//! The limits of a cache, with their reasons.

use nokv_env::Env;
use std::{io, path::PathBuf};

/// Bytes in memory unless told otherwise: 32 blocks, so that some files can be read in small pieces
/// beside each other, each block being fetched once.
pub const CACHE_MEMORY_BYTES_DEFAULT: u64 = 128 << 20;
/// The part of the disk that the cache takes unless told otherwise: what is free and what it has.
const DISK_PART: u64 = 10;
/// What it takes at most unless told otherwise, however large the disk.
const DISK_BYTES_DEFAULT_MAX: u64 = 1 << 40;
/// What others must find free unless told otherwise.
const FREE_BYTES_MIN_DEFAULT: u64 = 1 << 30;
/// Smallest disk cache that makes sense: some packs and blocks.
pub const CACHE_DISK_BYTES_MIN: u64 = 64 << 20;

/// What a [`crate::BlockCache`] may use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CacheOptions {
    /// The directory, shared by every process of the machine that is told the same; `None` for no
    /// disk.
    pub dir: Option<PathBuf>,
    /// Most bytes on disk, for all stores in the directory together; less than
    /// [`CACHE_DISK_BYTES_MIN`] keeps hardly anything. `None` for a tenth of what the disk has for
    /// it.
    pub disk_bytes_max: Option<u64>,
    /// Bytes of the disk that are left to others.
    pub free_bytes_min: u64,
    /// Most bytes in memory; 0 for none.
    pub memory_bytes_max: u64,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            dir: None,
            disk_bytes_max: None,
            free_bytes_min: FREE_BYTES_MIN_DEFAULT,
            memory_bytes_max: CACHE_MEMORY_BYTES_DEFAULT,
        }
    }
}

impl CacheOptions {
    /// Bytes that the disk cache in `dir` may take, of which it has `used`.
    ///
    /// **Errors**: those of the device.
    pub(super) fn disk_bytes(
        &self,
        env: &Env,
        dir: &std::path::Path,
        used: u64,
    ) -> io::Result<u64> {
        if let Some(bytes) = self.disk_bytes_max {
            return Ok(bytes);
        }
        let all = env.files.available_bytes(dir)?.saturating_add(used);
        Ok((all / DISK_PART).clamp(CACHE_DISK_BYTES_MIN, DISK_BYTES_DEFAULT_MAX))
    }
}
