//! The lock of a store's directory: one process at a time.
//!
//! Invariants: whoever holds it wrote its process id into it; a dead process holds nothing (the
//! kernel releases it).

use crate::identity::io_failure;
use nokv_env::{Env, FileLock, OpenMode, is_already_locked};
use nokv_types::{Failure, Reason};
use std::path::Path;

const FILE_NAME: &str = "LOCK";
/// Longest decimal process id, with room for a line end.
const HOLDER_BYTES_MAX: usize = 16;

/// The exclusive right to a store's directory, until dropped.
#[derive(Debug)]
pub(crate) struct StoreLock(#[expect(dead_code, reason = "held for its Drop")] FileLock);

impl StoreLock {
    /// Takes the lock without waiting. **Errors**: `Busy` with the holder's process id where known;
    /// `Io`.
    pub(crate) fn take(env: &Env, dir: &Path) -> Result<Self, Failure> {
        let path = dir.join(FILE_NAME);
        match env.files.lock(&path) {
            Ok(lock) => {
                let holder = format!("{}\n", std::process::id());
                let file = env.files.open(&path, OpenMode::Create);
                if let Err(error) = file.and_then(|file| file.write_at(holder.as_bytes(), 0)) {
                    return Err(io_failure("write", &path, &error));
                }
                Ok(Self(lock))
            }
            Err(error) if is_already_locked(&error) => {
                let holder = match holder(env, &path) {
                    Some(process) => format!("process {process}"),
                    None => "another process".to_owned(),
                };
                Err(Failure::new(
                    Reason::Busy,
                    format!(
                        "store {} is open in {holder}; stop it, or wait until it is done",
                        dir.display()
                    ),
                ))
            }
            Err(error) => Err(io_failure("lock", &path, &error)),
        }
    }
}

fn holder(env: &Env, path: &Path) -> Option<u32> {
    let file = env.files.open(path, OpenMode::Read).ok()?;
    let mut buffer = [0; HOLDER_BYTES_MAX];
    let count = file.read_full_at(&mut buffer, 0).ok()?;
    std::str::from_utf8(buffer.get(..count)?)
        .ok()?
        .trim()
        .parse()
        .ok()
}
