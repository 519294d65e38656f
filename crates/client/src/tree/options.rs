//! What the caller of a tree transfer chooses and learns.

use nokv_namespace::{Expect, Parents, Published};
use nokv_types::{NsPath, TimeNanos, Version};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where things go when the destination exists.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Placement {
    /// As `cp -r`: into the destination when it is a directory, else to exactly the destination
    /// (one source only).
    #[default]
    Auto,
    /// Into the destination, which is made when missing.
    Inside,
    /// To exactly the destination; a directory is merged with one that is there. One source only.
    Exact,
}

/// Hears of everything that happens in a put. Called from several threads; must return soon.
pub type OnPut = Arc<dyn Fn(PutEvent<'_>) + Send + Sync>;

/// Hears of everything that happens in a get. Called from several threads; must return soon.
pub type OnGet = Arc<dyn Fn(GetEvent<'_>) + Send + Sync>;

/// How [`crate::Client::put_tree`] works.
#[derive(Clone)]
pub struct PutOptions {
    /// Where things go.
    pub placement: Placement,
    /// Files uploaded at once, 1..=256.
    pub parallel: usize,
    /// Paths of one publish at most, 1..=1,024.
    pub batch_items: usize,
    /// Told of everything that happens.
    pub on_event: Option<OnPut>,
}

impl Default for PutOptions {
    fn default() -> Self {
        Self {
            placement: Placement::Auto,
            parallel: 16,
            batch_items: 512,
            on_event: None,
        }
    }
}

impl fmt::Debug for PutOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutOptions")
            .field("placement", &self.placement)
            .field("parallel", &self.parallel)
            .field("batch_items", &self.batch_items)
            .finish_non_exhaustive()
    }
}

/// Something that happened during a put.
#[derive(Clone, Copy, Debug)]
pub enum PutEvent<'a> {
    /// The walk found a file of this size (0 for directories and links): the totals grow.
    Found {
        /// Where it is.
        local: &'a Path,
        /// Its bytes.
        bytes: u64,
    },
    /// The bytes of a file are read and on their way.
    Uploaded {
        /// Where it is.
        local: &'a Path,
        /// Its bytes.
        bytes: u64,
    },
    /// The path is published and, if so asked, synced: it survives any crash from here on.
    Published {
        /// What.
        published: &'a Published,
        /// Its bytes.
        bytes: u64,
    },
    /// Not a file, directory or symbolic link, or gone meanwhile.
    Skipped(&'a Skipped),
}

/// Something that was not transferred, and why; the rest was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Skipped {
    /// The local path.
    pub local: PathBuf,
    /// Why, in one line.
    pub why: String,
}

/// What a put did.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct PutReport {
    /// Where the sources went, in their order.
    pub destinations: Vec<NsPath>,
    /// Files published.
    pub file_count: u64,
    /// Directories published.
    pub directory_count: u64,
    /// Symbolic links published.
    pub symlink_count: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// What was left out.
    pub skipped: Vec<Skipped>,
    /// The version of the last publish.
    pub version: Version,
}

/// How [`crate::Client::get_tree`] works.
#[derive(Clone)]
pub struct GetOptions {
    /// Where things go; `Auto` and `Inside` mean the local directory.
    pub placement: Placement,
    /// What becomes of local files that are in the way.
    pub existing: Existing,
    /// Told of everything that happens.
    pub on_event: Option<OnGet>,
}

impl Default for GetOptions {
    fn default() -> Self {
        Self {
            placement: Placement::Auto,
            existing: Existing::Replace,
            on_event: None,
        }
    }
}

impl fmt::Debug for GetOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetOptions")
            .field("placement", &self.placement)
            .field("existing", &self.existing)
            .finish_non_exhaustive()
    }
}

/// What becomes of a local file or link that has the name of one to be written.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Existing {
    /// Replaced, when the new one is whole.
    #[default]
    Replace,
    /// Kept; the transfer fails with `AlreadyExists`.
    Refuse,
}

/// Something that happened during a get.
#[derive(Clone, Copy, Debug)]
pub enum GetEvent<'a> {
    /// The listing found a file of this size (0 for directories and links): the totals grow.
    Found {
        /// Where it is in the store.
        path: &'a NsPath,
        /// Its bytes.
        bytes: u64,
    },
    /// The file stands complete and verified under its name.
    Written {
        /// Where it is in the store.
        path: &'a NsPath,
        /// Where it is now.
        local: &'a Path,
        /// Its bytes.
        bytes: u64,
    },
    /// A special file, or a name that this file system can't hold.
    Skipped(&'a Skipped),
}

/// What a get did.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct GetReport {
    /// Where the source went.
    pub destination: PathBuf,
    /// Files written.
    pub file_count: u64,
    /// Directories made or found.
    pub directory_count: u64,
    /// Symbolic links made.
    pub symlink_count: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// What was left out.
    pub skipped: Vec<Skipped>,
    /// The version that was read.
    pub version: Version,
}

/// How [`crate::Client::write`] publishes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WriteOptions {
    /// Permission bits.
    pub mode: u32,
    /// Last change; `None` takes the time of the commit.
    pub mtime: Option<TimeNanos>,
    /// Whether to make missing parents.
    pub parents: Parents,
    /// What must be there before.
    pub expect: Expect,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            mode: 0o644,
            mtime: None,
            parents: Parents::Required,
            expect: Expect::Any,
        }
    }
}
