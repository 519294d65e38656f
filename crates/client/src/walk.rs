//! Everything below a directory, at one version.
#![expect(clippy::unimplemented, reason = "bodies follow file by file")]

use nokv_namespace::Node;
use nokv_types::{Failure, NsPath, Version};

/// One step of a walk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WalkEntry {
    /// Where.
    pub path: NsPath,
    /// How far below the start, which is 0.
    pub depth: usize,
    /// What.
    pub node: Node,
}

/// A walk under way.
#[derive(Debug)]
pub struct Walk;

impl Walk {
    /// The next entry, the start itself first; `None` at the end. After an error the walk is over.
    pub async fn next(&mut self) -> Result<Option<WalkEntry>, Failure> {
        unimplemented!()
    }

    /// The version that the walk shows; [`Version::ZERO`] before the first entry.
    #[must_use]
    pub const fn version(&self) -> Version {
        Version::ZERO
    }
}
