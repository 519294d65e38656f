//! Why a command failed, and how the user hears of it: one line on standard error and an exit code.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | failed; the line on standard error says why and what to do |
//! | 2 | usage: the command line itself is wrong |
//! | 130 | interrupted by Ctrl-C |

use crate::output::{Format, escape};
use nokv_types::{Failure, Reason};
use serde_json::json;
use std::io::{self, Write};
use std::process::ExitCode;

/// The end of a command that did not succeed.
#[derive(Debug)]
pub(crate) enum Error {
    /// It failed.
    Failed(Failure),
    /// The command line is wrong in a way that the parser can't see.
    Usage(String),
    /// Ctrl-C.
    Interrupted,
    /// The reader of standard output has gone: nothing is left to do, and nothing is wrong.
    Closed,
}

impl Error {
    /// A failure to write to standard output.
    pub(crate) fn from_stdout(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::Closed;
        }
        Self::Failed(Failure::new(
            Reason::Io,
            format!("cannot write to standard output: {error}"),
        ))
    }

    /// Tells the user; returns the exit code.
    pub(crate) fn report(&self, format: Format) -> ExitCode {
        let (code, message, exit) = match self {
            Self::Closed => return ExitCode::SUCCESS,
            Self::Failed(failure) => (failure.reason().code(), failure.message(), 1),
            Self::Usage(message) => ("Usage", message.as_str(), 2),
            Self::Interrupted => ("Interrupted", "interrupted", 130),
        };
        let line = match format {
            Format::Text => format!("nokv: {}", escape(message.as_bytes())),
            Format::Json => json!({"error": {"code": code, "message": message}}).to_string(),
        };
        // Nobody can be told that standard error is gone.
        drop(writeln!(io::stderr(), "{line}"));
        ExitCode::from(exit)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}
