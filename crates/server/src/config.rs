//! What an operator may choose of a store and its service.

use std::path::PathBuf;

/// Whether a missing store is created.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Create {
    /// `NotFound`.
    #[default]
    Never,
    /// Created when there is none.
    IfMissing,
    /// Created; `AlreadyExists` when there is one.
    New,
}

/// Where bodies are.
#[derive(Clone, Default, Debug)]
pub struct ObjectsConfig {
    /// `file:///path`, `s3://bucket/prefix` or `memory:`; `None` takes what the store was created with, and for a new
    /// store the folder `objects` in its directory.
    pub url: Option<String>,
}

/// A store to open.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Its directory.
    pub dir: PathBuf,
    /// Whether to create it.
    pub create: Create,
    /// Where bodies are.
    pub objects: ObjectsConfig,
}

/// What a round of collection did.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Collected {
    /// Upload sessions that had expired and were swept.
    pub session_count: u64,
    /// Bodies whose last version had passed out of the retention window.
    pub body_count: u64,
    /// Objects deleted from the object store.
    pub object_count: u64,
    /// Objects that could not be deleted; the next round tries again.
    pub failed_count: u64,
}
