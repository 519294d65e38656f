//! What can go wrong between a body and the object store.
//!
//! Invariants:
//! - a message is one line, says what to do, and never contains a credential;
//! - everything is cloneable, because one failed pack fails every body in it;
//! - `MissingBlock` and `DigestMismatch` are never retried into data: a reader sees verified bytes
//!   or an error.

use nokv_types::{BlockId, Failure, Reason};
use std::{fmt, io, path::Path};

/// A failed operation on bodies or on the object store.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    /// A URL or an option is wrong: change it.
    #[error("{0}")]
    Invalid(String),
    /// The bucket, the folder or the source file does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The credentials are missing or wrong.
    #[error("{0}")]
    Unauthenticated(String),
    /// The credentials, or the owner of the process, may not do this.
    #[error("{0}")]
    PermissionDenied(String),
    /// Passing trouble: unreachable, refused, throttled, timed out. The same call may succeed
    /// later.
    #[error("{0}")]
    Unavailable(String),
    /// The disk or the object store is full.
    #[error("{0}")]
    NoSpace(String),
    /// A block that a body needs is not in the object store.
    #[error(
        "{body} needs block {block}, which is missing at {place}: restore the object, or the file from a copy"
    )]
    MissingBlock {
        /// The body, by digest and size.
        body: String,
        /// The block.
        block: BlockId,
        /// Where it should be, for a person.
        place: String,
    },
    /// Bytes are not those that were written. The bytes are not returned.
    #[error("{0}")]
    DigestMismatch(Box<Mismatch>),
    /// The source of an upload changed while it was read: upload it again.
    #[error(
        "{source_name} changed while it was read: expected {expected} bytes, got {got}; upload it again"
    )]
    SourceChanged {
        /// The source, for a person.
        source_name: String,
        /// Bytes expected.
        expected: u64,
        /// Bytes found; for a source that goes on, at least one more than expected.
        got: u64,
    },
    /// The upload session has no sequence numbers left: open another.
    #[error("{0}")]
    Exhausted(String),
    /// Any other failure of the operating system or the object store.
    #[error("{0}")]
    Io(String),
    /// The namespace refused or failed (collection only).
    #[error("{0}")]
    Namespace(Failure),
}

/// What was expected and what was found, where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mismatch {
    /// The body, by digest and size.
    pub body: String,
    /// The block with the wrong bytes; `None` when every block is right and the whole is not.
    pub block: Option<BlockId>,
    /// Where the block is, for a person; empty for the whole.
    pub place: String,
    /// The checksum, digest or length that was recorded.
    pub expected: String,
    /// The one that was found.
    pub got: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.block {
            Some(block) => write!(
                f,
                "{}: block {block} at {} is damaged: expected {}, got {}; restore the object, or the file from a copy",
                self.body, self.place, self.expected, self.got
            ),
            None => write!(
                f,
                "{} is damaged: expected {}, got {}; restore the file from a copy",
                self.body, self.expected, self.got
            ),
        }
    }
}

impl Error {
    /// Whether the same call may succeed later as it is.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::Namespace(failure) => failure.is_retryable(),
            Self::Invalid(_)
            | Self::NotFound(_)
            | Self::Unauthenticated(_)
            | Self::PermissionDenied(_)
            | Self::NoSpace(_)
            | Self::MissingBlock { .. }
            | Self::DigestMismatch(_)
            | Self::SourceChanged { .. }
            | Self::Exhausted(_)
            | Self::Io(_) => false,
        }
    }

    /// The reason that every door shows.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Invalid(_) => Reason::InvalidArgument,
            Self::NotFound(_) => Reason::NotFound,
            Self::Unauthenticated(_) => Reason::Unauthenticated,
            Self::PermissionDenied(_) => Reason::PermissionDenied,
            Self::Unavailable(_) => Reason::Unavailable,
            Self::NoSpace(_) => Reason::NoSpace,
            Self::MissingBlock { .. } => Reason::MissingBlock,
            Self::DigestMismatch(_) => Reason::DigestMismatch,
            Self::SourceChanged { .. } => Reason::Conflict,
            Self::Exhausted(_) => Reason::Overloaded,
            Self::Io(_) => Reason::Io,
            Self::Namespace(failure) => failure.reason(),
        }
    }

    /// The same error, naming the body that is concerned.
    pub(crate) fn for_body(self, body: &str) -> Self {
        match self {
            Self::MissingBlock { block, place, .. } => Self::MissingBlock {
                body: body.to_owned(),
                block,
                place,
            },
            Self::DigestMismatch(mut mismatch) => {
                mismatch.body = body.to_owned();
                Self::DigestMismatch(mismatch)
            }
            other => other,
        }
    }

    /// An error of the operating system on a path, with what to do about it.
    pub(crate) fn from_io(action: &str, path: &Path, error: &io::Error) -> Self {
        let path = path.display();
        match error.kind() {
            io::ErrorKind::NotFound => {
                Self::NotFound(format!("can't {action} {path}: it does not exist"))
            }
            io::ErrorKind::PermissionDenied => Self::PermissionDenied(format!(
                "can't {action} {path}: permission denied; change its owner or mode, or choose another folder"
            )),
            io::ErrorKind::ReadOnlyFilesystem => Self::PermissionDenied(format!(
                "can't {action} {path}: the file system is read-only; remount it, or choose another folder"
            )),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace(format!(
                "can't {action} {path}: no space left; free some, then repeat"
            )),
            io::ErrorKind::NotADirectory => Self::Invalid(format!(
                "can't {action} {path}: a part of it is not a directory"
            )),
            _ => Self::Io(format!("can't {action} {path}: {error}")),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Namespace(failure) => failure,
            other => Self::new(other.reason(), other.to_string()),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Namespace(failure)
    }
}
