//! Where bodies go: a local folder, or a bucket of the run's S3 server.

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The bucket that the server has.
pub(crate) const BUCKET: &str = "bench";
/// The only user of the run's server.
pub(crate) const ACCESS_KEY_ID: &str = "bench";
/// Not a secret: the server lives on loopback for the length of the run.
pub(crate) const SECRET_ACCESS_KEY: &str = "bench-bench-bench";
/// The server ignores it; clients want one.
pub(crate) const REGION: &str = "us-east-1";

/// A destination.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Place {
    /// A folder on the disk that also holds the input.
    Folder(PathBuf),
    /// A bucket on this endpoint; `data` is where the server keeps its bytes.
    S3 { endpoint: String, data: PathBuf },
}

impl Place {
    /// As in the `durability` column.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Folder(_) => "folder",
            Self::S3 { .. } => "s3",
        }
    }

    /// What to measure on disk.
    pub(crate) fn data(&self) -> &Path {
        match self {
            Self::Folder(dir) => dir,
            Self::S3 { data, .. } => data,
        }
    }
}
