//! Everything below a directory, at one version.
//!
//! Invariants: all is read at one version, so a rename meanwhile changes nothing, and by path,
//! which leads into branches too; memory is one page for each level.

use crate::Client;
use nokv_namespace::{DirEntry, Follow, Node, Target};
use nokv_types::{Failure, Name, NodeKind, NsPath, Version};
use std::fmt;

/// Entries of one page.
const PAGE_ENTRIES: usize = 1_024;

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
pub struct Walk {
    client: Client,
    start: Option<NsPath>,
    version: Version,
    levels: Vec<Level>,
}

/// A directory being read.
struct Level {
    path: NsPath,
    entries: std::vec::IntoIter<DirEntry>,
    next: Option<Name>,
}

impl Walk {
    pub(crate) fn new(client: Client, start: NsPath) -> Self {
        let version = client.view.at.unwrap_or(Version::ZERO);
        Self {
            client,
            start: Some(start),
            version,
            levels: Vec::new(),
        }
    }

    /// The next entry, the start itself first; `None` at the end. After an error the walk is over.
    ///
    /// **Errors**: those of lookup and listing; `Compacted` when the walk takes longer than
    /// versions are retained.
    pub async fn next(&mut self) -> Result<Option<WalkEntry>, Failure> {
        if let Some(start) = self.start.take() {
            return self.enter(start).await.map(Some);
        }
        let found = self.advance().await;
        if found.is_err() {
            self.levels.clear();
        }
        found
    }

    /// The version that the walk shows; [`Version::ZERO`] before the first entry, and for a walk of
    /// one file at the newest state.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// A client that reads at the version of the walk.
    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    async fn enter(&mut self, path: NsPath) -> Result<WalkEntry, Failure> {
        let node = self.client.lookup(&path, Follow::No).await?;
        if node.attributes.kind != NodeKind::Directory {
            return Ok(WalkEntry {
                path,
                depth: 0,
                node,
            });
        }
        let target = Target::Path(&path);
        let page = self.client.read_dir(target, None, PAGE_ENTRIES).await?;
        self.version = page.version;
        self.client = self.client.at(page.version);
        self.levels.push(Level {
            path: path.clone(),
            entries: page.entries.into_iter(),
            next: page.next,
        });
        Ok(WalkEntry {
            path,
            depth: 0,
            node: page.directory,
        })
    }

    async fn advance(&mut self) -> Result<Option<WalkEntry>, Failure> {
        loop {
            let depth = self.levels.len();
            let Some(level) = self.levels.last_mut() else {
                return Ok(None);
            };
            let Some(DirEntry { name, node }) = level.entries.next() else {
                let Some(after) = level.next.take() else {
                    self.levels.pop();
                    continue;
                };
                let target = Target::Path(&level.path);
                let page = self
                    .client
                    .read_dir(target, Some(&after), PAGE_ENTRIES)
                    .await?;
                level.entries = page.entries.into_iter();
                level.next = page.next;
                continue;
            };
            let path = level.path.join(&name)?;
            if node.attributes.kind == NodeKind::Directory {
                let target = Target::Path(&path);
                let page = self.client.read_dir(target, None, PAGE_ENTRIES).await?;
                self.levels.push(Level {
                    path: path.clone(),
                    entries: page.entries.into_iter(),
                    next: page.next,
                });
            }
            return Ok(Some(WalkEntry { path, depth, node }));
        }
    }
}

impl fmt::Debug for Walk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Walk")
            .field("version", &self.version)
            .field("depth", &self.levels.len())
            .finish_non_exhaustive()
    }
}
