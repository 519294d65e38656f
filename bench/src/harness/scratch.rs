//! A directory for one run, on a disk of the caller's choice, removed at the end.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A temporary directory with named places in it.
pub(crate) struct Scratch(TempDir);

impl Scratch {
    /// Makes one below `parent`, or below the system's temporary directory.
    pub(crate) fn new(parent: Option<&Path>) -> Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("nokv-bench-");
        let dir = match parent {
            Some(parent) => {
                std::fs::create_dir_all(parent)
                    .with_context(|| format!("create {}", parent.display()))?;
                builder.tempdir_in(parent)
            }
            None => builder.tempdir(),
        };
        Ok(Self(dir.context("make a scratch directory")?))
    }

    /// The path of `name` in it; nothing is created.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}
