//! What backups keep from being deleted.

use nokv_types::Version;

/// A backup, as the collector sees it: no object that lost its last reference after `version` is
/// deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hold {
    /// The number of the backup.
    pub backup: u64,
    /// A version at or before the backup's.
    pub version: Version,
    /// When it ends by itself, milliseconds since 1970: while the backup is made. `None` keeps it
    /// until it is released.
    pub until_millis: Option<u64>,
}
