//! What decoders say about bytes that are not what the format allows.
//!
//! Decoders know neither file nor offset; whoever read the bytes adds both ([`Malformed::at`]).

use std::path::Path;

use crate::Error;

/// Bytes that no writer of this format makes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Malformed {
    expected: &'static str,
    found: Box<str>,
}

impl Malformed {
    pub(crate) fn new(expected: &'static str, found: impl Into<Box<str>>) -> Self {
        Self {
            expected,
            found: found.into(),
        }
    }

    /// The error, for the bytes at `offset` of `file`.
    pub(crate) fn at(self, file: &Path, offset: u64) -> Error {
        Error::corrupt(file, offset, self.expected, self.found.into_string())
    }
}
