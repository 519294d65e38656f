//! One place that is not what was written.

use std::path::Path;

use crate::Error;

/// Damage of a file: what a person, or a repair, needs to know of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Damage {
    /// The name in the store's folder.
    pub file: String,
    /// Where in it, bytes.
    pub offset: u64,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

impl Damage {
    pub(super) fn new(
        file: &Path,
        offset: u64,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self {
            file: name_of(file),
            offset,
            expected: expected.into(),
            found: found.into(),
        }
    }

    /// The damage that an error tells of; a file that can't be read is damaged, too.
    pub(super) fn of(error: &Error, path: &Path) -> Self {
        match error {
            Error::Corrupt {
                file,
                offset,
                expected,
                found,
            } => Self::new(Path::new(file), *offset, expected, found),
            other => Self::new(path, 0, "a file that can be read", other.to_string()),
        }
    }

    /// As an error, for callers who want one.
    pub(crate) fn to_error(&self, dir: &Path) -> Error {
        let path = dir.join(&self.file);
        Error::corrupt(&path, self.offset, &*self.expected, &*self.found)
    }
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            file,
            offset,
            expected,
            found,
        } = self;
        write!(
            f,
            "{file}: byte {offset}: expected {expected}, found {found}"
        )
    }
}

pub(super) fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(
        || path.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    )
}
