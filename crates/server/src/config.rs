//! What an operator may choose of a store and its service.

use nokv_object::S3Keys;
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
    /// `file:///path`, `s3://bucket/prefix` or `memory:`; `None` takes what the store was created
    /// with, and for a new store the folder `objects` in its directory.
    pub url: Option<String>,
    /// S3 endpoint, where it is not AWS: `http://host:port`.
    pub endpoint: Option<String>,
    /// S3 region.
    pub region: Option<String>,
    /// S3 keys; `None` takes those of the environment or of the usual AWS files. Never recorded.
    pub keys: Option<S3Keys>,
}

/// How surely an object store is looked at when a store opens.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum ObjectsCheck {
    /// Only if it is new or another than the store was created with: a command that reads a name
    /// needs no round trip to it.
    #[default]
    WhenChosen,
    /// Always: proves that it can be written, read and listed, and that it is this store's. What a
    /// server does.
    Probe,
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
    /// How surely the object store is looked at.
    pub objects_check: ObjectsCheck,
    /// Retention and the command log.
    pub namespace: nokv_namespace::Options,
    /// Milliseconds between two rounds of background work; `None` does none.
    pub maintenance_ms: Option<u64>,
}

impl StoreConfig {
    /// Between two rounds unless told: what is deleted comes back within a minute, and an idle
    /// store does almost nothing.
    pub const MAINTENANCE_MS_DEFAULT: u64 = 30_000;

    /// The store in `dir` with the usual choices; not created.
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            create: Create::Never,
            objects: ObjectsConfig::default(),
            objects_check: ObjectsCheck::WhenChosen,
            namespace: nokv_namespace::Options::default(),
            maintenance_ms: Some(Self::MAINTENANCE_MS_DEFAULT),
        }
    }
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
