//! Where this machine's cache is, by option, environment or custom.
//!
//! Invariant: who names a directory gets a cache there, whatever the object store; who does not
//! gets one below the user's cache directory, and only for objects that are not on this machine.

use crate::arguments::StoreArguments;
use nokv_client::{CACHE_DISK_BYTES_MIN, CacheConfig, CacheDir};
use nokv_types::{Failure, Reason};
use std::path::PathBuf;

/// The name that means no directory.
const NONE: &str = "none";

/// The cache that the options ask for.
///
/// **Errors**: `InvalidArgument` for a size that is too small.
pub(crate) fn config(arguments: &StoreArguments) -> Result<CacheConfig, Failure> {
    let disk_bytes_max = arguments.cache_size.map(|size| size.as_u64());
    if disk_bytes_max.is_some_and(|bytes| bytes < CACHE_DISK_BYTES_MIN) {
        let least = CACHE_DISK_BYTES_MIN >> 20;
        return Err(Failure::new(
            Reason::InvalidArgument,
            format!("--cache-size is less than {least} MiB; give more, or --cache-dir none"),
        ));
    }
    Ok(CacheConfig {
        dir: match &arguments.cache_dir {
            Some(dir) if dir.as_os_str() == NONE => CacheDir::None,
            Some(dir) => CacheDir::At(dir.clone()),
            None => usual_dir().map_or(CacheDir::None, CacheDir::Remote),
        },
        disk_bytes_max,
        ..CacheConfig::default()
    })
}

/// The directory that the options name, or the usual one.
///
/// **Errors**: `InvalidArgument` when there is none.
pub(crate) fn dir(arguments: &StoreArguments) -> Result<PathBuf, Failure> {
    let dir = match &arguments.cache_dir {
        Some(dir) if dir.as_os_str() == NONE => None,
        Some(dir) => Some(dir.clone()),
        None => usual_dir(),
    };
    dir.ok_or_else(|| {
        let flaw = "no cache directory is named and HOME is not set; give --cache-dir DIR";
        Failure::new(Reason::InvalidArgument, flaw)
    })
}

fn usual_dir() -> Option<PathBuf> {
    // The XDG rules: a relative or empty value counts as not set.
    let absolute = |key| {
        std::env::var_os(key)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("nokv"))
}
