//! What is wrong with a dump, and where.

use nokv_types::{Failure, Reason};
use std::{fmt, io};

/// A dump that can't be read on.
#[derive(Debug)]
pub enum Flaw {
    /// The bytes are not those of a dump.
    Damaged {
        /// Where in the file.
        offset: u64,
        /// What should be there.
        expected: String,
        /// What is there.
        got: String,
    },
    /// The file ends before the dump does.
    Truncated {
        /// Where it ends.
        offset: u64,
    },
    /// A newer program wrote it.
    Newer {
        /// The version of its format.
        version: u32,
    },
    /// It can't be read or written.
    Io(io::Error),
}

impl Flaw {
    pub(crate) fn damaged(offset: u64, expected: impl Into<String>, got: impl ToString) -> Self {
        Self::Damaged {
            offset,
            expected: expected.into(),
            got: got.to_string(),
        }
    }

    /// The failure that a user is told, with the name of the file.
    #[must_use]
    pub fn into_failure(self, file: &str) -> Failure {
        let reason = match &self {
            Self::Damaged { .. } | Self::Truncated { .. } => Reason::Corrupt,
            Self::Newer { .. } => Reason::Unsupported,
            Self::Io(error) if error.kind() == io::ErrorKind::StorageFull => Reason::NoSpace,
            Self::Io(_) => Reason::Io,
        };
        Failure::new(reason, format!("{file}: {self}"))
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged {
                offset,
                expected,
                got,
            } => write!(
                f,
                "damaged at offset {offset}: expected {expected}, got {got}"
            ),
            Self::Truncated { offset } => write!(
                f,
                "cut off at offset {offset}: the dump has no end; make it again"
            ),
            Self::Newer { version } => write!(
                f,
                "is of format {version}, written by a newer program; load it with that"
            ),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Flaw {}

impl From<io::Error> for Flaw {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
