//! What can go wrong in the engine, cut by what the caller does about it.
//!
//! Invariants: `Corrupt` always says file, offset, expected and found, in one line that tells what
//! to do; `OutcomeUnknown` is never folded into another variant, and an engine that returned it
//! refuses writes until it is opened again.

use std::{io, path::Path, sync::Arc};

/// A failure of the engine. Cheap to clone: background failures are told to every caller.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A key, value, batch or option is out of its documented range. Change it.
    #[error("invalid: {0}")]
    Invalid(String),
    /// Another process, or another handle of this one, has the store open. Close it, or talk to it.
    #[error("the store {dir} is in use by another process")]
    Busy {
        /// The directory of the store.
        dir: String,
    },
    /// There is no store in the directory, and the options do not allow making one.
    #[error("there is no store in {dir}")]
    NotFound {
        /// The directory that was looked at.
        dir: String,
    },
    /// The engine was opened for reading only.
    #[error("the store was opened read-only")]
    ReadOnly,
    /// The engine was closed.
    #[error("the store is closed")]
    Closed,
    /// The store was written by a newer version of this program. Use that one.
    #[error(
        "{file}: format version {found} is newer than {supported}, the newest this program can read"
    )]
    Unsupported {
        /// The file that says so.
        file: String,
        /// Its format version.
        found: u32,
        /// The newest that this program reads.
        supported: u32,
    },
    /// The device is full, or a limit is reached. Nothing was written; free space, then repeat.
    #[error("no space left while {action}: free space on the device, then open the store again")]
    Exhausted {
        /// What was being done.
        action: String,
    },
    /// A write or sync of the log failed: what was given since the last sync may or may not be
    /// durable. The engine refuses writes from now on; open it again to learn what is there.
    #[error("the outcome is unknown ({cause}): open the store again to see what was kept")]
    OutcomeUnknown {
        /// The failure behind it.
        cause: String,
    },
    /// Stored bytes are not what was written.
    #[error(
        "{file}: damaged at byte {offset}: expected {expected}, found {found}; nothing was changed: restore the \
         file from a backup or a replica, or salvage with `nokv admin repair`"
    )]
    Corrupt {
        /// The file.
        file: String,
        /// Where in it, bytes.
        offset: u64,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The operating system failed.
    #[error("{action}: {source}")]
    Io {
        /// What was being done, with the path.
        action: String,
        /// What the system said.
        source: Arc<io::Error>,
    },
}

impl Error {
    /// An I/O failure while doing `action` on `path`; a full device becomes [`Error::Exhausted`].
    pub(crate) fn io(action: &str, path: &Path, source: io::Error) -> Self {
        let action = format!("{action} {}", path.display());
        if source.kind() == io::ErrorKind::StorageFull {
            return Self::Exhausted { action };
        }
        Self::Io {
            action,
            source: Arc::new(source),
        }
    }

    /// Damage at `offset` of `file`.
    pub(crate) fn corrupt(
        file: &Path,
        offset: u64,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Corrupt {
            file: file.display().to_string(),
            offset,
            expected: expected.into(),
            found: found.into(),
        }
    }

    /// Whether the same call may succeed later without anybody changing anything.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Busy { .. } | Self::Exhausted { .. } => true,
            Self::Invalid(_)
            | Self::NotFound { .. }
            | Self::ReadOnly
            | Self::Closed
            | Self::Unsupported { .. }
            | Self::OutcomeUnknown { .. }
            | Self::Corrupt { .. }
            | Self::Io { .. } => false,
        }
    }
}
