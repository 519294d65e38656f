//! What can go wrong in a shard, cut by what the caller does.

use crate::Key;
use crate::codec::Malformed;
use thiserror::Error;

/// A command that was not applied, or a read that failed.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Error {
    /// A check does not hold: look again and decide anew. Nothing was written.
    #[error("check {index} of the command does not hold")]
    CheckFailed {
        /// Its place in the command.
        index: usize,
    },
    /// The request id was used for another request. Nothing was written.
    #[error("request id was used before for another request; use a new id for each request")]
    RequestReused,
    /// The command is over a limit of the store. Nothing was written.
    #[error("{0}")]
    TooLarge(String),
    /// The disk is full. Nothing was written.
    #[error("{0}")]
    NoSpace(String),
    /// The store was closed or gave up after a failure: reopen it. Nothing was written.
    #[error("{0}")]
    Refused(String),
    /// The write may or may not be on disk; the shard refuses writes until the store is reopened.
    #[error("{0}")]
    OutcomeUnknown(String),
    /// Somebody else has the store open.
    #[error("{0}")]
    Busy(String),
    /// Stored bytes are not what was written.
    #[error("corrupt record in {file} at {offset}: expected {expected}, got {got}")]
    Corrupt {
        /// The file, or the key of the record.
        file: String,
        /// Where in it.
        offset: u64,
        /// What should be there.
        expected: String,
        /// What is there.
        got: String,
    },
    /// Any other failure of the operating system.
    #[error("{0}")]
    Io(String),
}

impl Error {
    /// A record that can't be read.
    #[must_use]
    pub fn malformed(key: &Key, flaw: &Malformed) -> Self {
        Self::Corrupt {
            file: format!("record {key:?}"),
            offset: flaw.offset as u64,
            expected: flaw.expected.to_string(),
            got: flaw.got.clone(),
        }
    }

    pub(crate) fn corrupt(key: &Key, offset: u64, expected: &str, got: impl ToString) -> Self {
        Self::Corrupt {
            file: format!("record {key:?}"),
            offset,
            expected: expected.to_string(),
            got: got.to_string(),
        }
    }
}

impl From<nokv_engine::Error> for Error {
    fn from(error: nokv_engine::Error) -> Self {
        use nokv_engine::Error as Engine;
        let text = error.to_string();
        match error {
            Engine::Invalid(_) => Self::TooLarge(text),
            Engine::Busy { .. } => Self::Busy(text),
            Engine::Exhausted { .. } => Self::NoSpace(text),
            Engine::OutcomeUnknown { .. } => Self::OutcomeUnknown(text),
            Engine::Closed | Engine::ReadOnly => Self::Refused(text),
            Engine::Corrupt {
                file,
                offset,
                expected,
                found,
            } => Self::Corrupt {
                file,
                offset,
                expected,
                got: found,
            },
            _ => Self::Io(text),
        }
    }
}
