//! The names: as seen now, as certain after a power cut, and the changes between.
//!
//! Directories are durable at once: a store makes them once, when it is made, and syncs their
//! parent; what can be lost are the names of files.
//!
//! Invariant: applying all of `unsynced` to `durable` gives the live names of files.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use crate::SeededRandom;

/// The number of a file, the same under all of its names.
pub(super) type InodeNumber = u64;

/// One change of a directory that was not synced yet.
#[derive(Clone)]
enum Change {
    Bind {
        path: PathBuf,
        inode: InodeNumber,
    },
    Unbind {
        path: PathBuf,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
        inode: InodeNumber,
    },
}

impl Change {
    /// The directory whose sync makes the change certain. A rename is one journal entry: its target
    /// decides.
    fn dir(&self) -> Option<&Path> {
        match self {
            Self::Bind { path, .. } | Self::Unbind { path } => path.parent(),
            Self::Rename { to, .. } => to.parent(),
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, InodeNumber>) {
        match self {
            Self::Bind { path, inode } => {
                names.insert(path.clone(), *inode);
            }
            Self::Unbind { path } => {
                names.remove(path);
            }
            Self::Rename { from, to, inode } => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
        }
    }
}

#[derive(Clone, Default)]
pub(super) struct Tree {
    pub(super) files: BTreeMap<PathBuf, InodeNumber>,
    pub(super) dirs: BTreeSet<PathBuf>,
    durable: BTreeMap<PathBuf, InodeNumber>,
    unsynced: Vec<Change>,
}

impl Tree {
    fn record(&mut self, change: Change) {
        change.apply(&mut self.files);
        self.unsynced.push(change);
    }

    pub(super) fn bind(&mut self, path: &Path, inode: InodeNumber) {
        self.record(Change::Bind {
            path: path.to_owned(),
            inode,
        });
    }

    pub(super) fn unbind(&mut self, path: &Path) {
        self.record(Change::Unbind {
            path: path.to_owned(),
        });
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path, inode: InodeNumber) {
        self.record(Change::Rename {
            from: from.to_owned(),
            to: to.to_owned(),
            inode,
        });
    }

    /// Renames a directory with all below it; durable at once, as all directories are.
    pub(super) fn rename_dir(&mut self, from: &Path, to: &Path) {
        let moved = |path: &Path| path.strip_prefix(from).ok().map(|rest| to.join(rest));
        let remap = |names: &BTreeMap<PathBuf, InodeNumber>| {
            names
                .iter()
                .map(|(path, inode)| (moved(path).unwrap_or_else(|| path.clone()), *inode))
                .collect()
        };
        self.files = remap(&self.files);
        self.durable = remap(&self.durable);
        self.dirs = self
            .dirs
            .iter()
            .map(|path| moved(path).unwrap_or_else(|| path.clone()))
            .collect();
        // What was pending below it is settled with it.
        self.unsynced
            .retain(|change| change.dir().is_some_and(|dir| !dir.starts_with(from)));
    }

    pub(super) fn sync(&mut self, dir: &Path) {
        let mut rest = Vec::new();
        for change in self.unsynced.drain(..) {
            if change.dir() == Some(dir) {
                change.apply(&mut self.durable);
            } else {
                rest.push(change);
            }
        }
        self.unsynced = rest;
    }

    /// The names after a power cut: every unsynced change survives or not by itself, in order.
    pub(super) fn crashed(&self, random: &SeededRandom) -> Self {
        let mut names = self.durable.clone();
        let mode = random.below(3);
        for change in &self.unsynced {
            let survives = match mode {
                0 => false,
                1 => true,
                _ => random.below(2) == 0,
            };
            if survives {
                change.apply(&mut names);
            }
        }
        Self {
            files: names.clone(),
            dirs: self.dirs.clone(),
            durable: names,
            unsynced: Vec::new(),
        }
    }
}
