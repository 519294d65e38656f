//! CPU, memory and disk of a window, from the kernel's own accounting.

use anyhow::{Context, Result};
use nix::sys::resource::{UsageWho, getrusage};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// `st_blocks` counts units of 512 bytes on Linux, whatever the file system's block.
const STAT_BLOCK_BYTES: u64 = 512;

/// CPU seconds used and peak memory, of this process or of the children it waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// User plus system seconds so far.
    pub(crate) cpu_s: f64,
    /// Peak resident MiB so far; for children the largest single one.
    pub(crate) rss_mib: f64,
}

impl Usage {
    /// Of this process, all threads.
    pub(crate) fn own() -> Result<Self> {
        Self::of(UsageWho::RUSAGE_SELF)
    }

    /// Of all descendants that were waited for.
    pub(crate) fn children() -> Result<Self> {
        Self::of(UsageWho::RUSAGE_CHILDREN)
    }

    fn of(who: UsageWho) -> Result<Self> {
        let usage = getrusage(who).context("getrusage")?;
        let seconds = |time: nix::sys::time::TimeVal| {
            time.tv_sec() as f64 + time.tv_usec() as f64 / 1_000_000.0
        };
        Ok(Self {
            cpu_s: seconds(usage.user_time()) + seconds(usage.system_time()),
            rss_mib: usage.max_rss() as f64 / 1024.0,
        })
    }
}

/// MiB that a file or a tree occupies: allocated blocks, so that a sparse map file counts what it
/// uses.
pub(crate) fn disk_mib(path: &Path) -> Result<f64> {
    fn blocks(path: &Path) -> std::io::Result<u64> {
        let metadata = std::fs::symlink_metadata(path)?;
        let mut total = metadata.blocks();
        if metadata.is_dir() {
            for entry in std::fs::read_dir(path)? {
                // Engines delete files in the background: one that is gone by now occupies nothing.
                match blocks(&entry?.path()) {
                    Ok(count) => total += count,
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(total)
    }
    let blocks = blocks(path).with_context(|| format!("measure {}", path.display()))?;
    Ok((blocks * STAT_BLOCK_BYTES) as f64 / (1 << 20) as f64)
}

/// Writes back what earlier cells left dirty, so that the next one does not pay for it.
pub(crate) fn settle_disk() {
    nix::unistd::sync();
}

/// Removes a tree if it is there.
pub(crate) fn remove_tree(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disk_counts_allocated_blocks_of_a_tree() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let inner = dir.path().join("a/b");
        std::fs::create_dir_all(&inner).expect("mkdir");
        std::fs::write(inner.join("file"), vec![1u8; 3 << 20]).expect("write");
        let sparse = std::fs::File::create(dir.path().join("sparse")).expect("create");
        sparse.set_len(1 << 30).expect("truncate");
        let mib = disk_mib(dir.path()).expect("measure");
        assert!((2.9..4.0).contains(&mib), "{mib}");
    }

    #[test]
    fn cpu_of_this_process_advances_with_work() {
        let before = Usage::own().expect("usage").cpu_s;
        let mut sum = 0u64;
        while Usage::own().expect("usage").cpu_s < before + 0.02 {
            sum = sum.wrapping_mul(31).wrapping_add(1);
        }
        assert!(std::hint::black_box(sum) != 1);
    }
}
