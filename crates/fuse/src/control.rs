//! `.nokv` at the root of a mount: what the mount itself shows. It is found by name and never
//! listed.
//!
//! | below `.nokv` | what |
//! |---|---|
//! | `snapshots/NAME` | the directory of a snapshot, as it was |
//! | `branches/NUMBER` | the root of a branch |
//! | `status` | the store and its server, as JSON |
//! | `stats` | operations of this mount, as JSON |
//! | `accesslog` | operations of this mount, as they happen |
//! | `mount` | the mount itself, as JSON |
//!
//! Invariant: nothing below it can be changed through it, but what lies in a branch.

use crate::attributes;
use crate::core::Core;
use crate::data::Opened;
use crate::directory::Listed;
use crate::errno;
use crate::inode::{Age, Inode};
use bytes::Bytes;
use fuser::{Errno, FileAttr, FileType};
use nokv_client::Node;
use nokv_types::{Name, SnapshotName};
use parking_lot::RwLock;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::SystemTime;

/// Its name.
pub(crate) const DIRECTORY: &[u8] = b".nokv";
/// Its place.
pub(crate) const ROOT: u32 = 0;
const SNAPSHOTS: u32 = 1;
const BRANCHES: u32 = 2;
const STATUS: u32 = 3;
const STATS: u32 = 4;
const ACCESS_LOG: u32 = 5;
const MOUNT: u32 = 6;
/// What is in it, by place.
const ENTRIES: [(u32, &str, FileType); 6] = [
    (SNAPSHOTS, "snapshots", FileType::Directory),
    (BRANCHES, "branches", FileType::Directory),
    (STATUS, "status", FileType::RegularFile),
    (STATS, "stats", FileType::RegularFile),
    (ACCESS_LOG, "accesslog", FileType::RegularFile),
    (MOUNT, "mount", FileType::RegularFile),
];
/// Handles of its files have this bit, those of other files do not.
const HANDLE: u64 = 1 << 63;

/// Snapshots that were opened; their places are part of inode numbers.
pub(crate) struct Control {
    snapshots: RwLock<Vec<SnapshotName>>,
}

/// An open file of it.
pub(crate) enum Text {
    /// What it said when it was opened.
    Fixed(Bytes),
    /// The access log.
    Log,
}

impl Control {
    pub(crate) fn new() -> Self {
        Self {
            snapshots: RwLock::default(),
        }
    }

    /// The snapshot in a place.
    pub(crate) fn snapshot(&self, place: u32) -> Option<SnapshotName> {
        self.snapshots.read().get(place as usize).cloned()
    }

    /// The place of a snapshot.
    fn place(&self, name: &SnapshotName) -> u32 {
        let mut snapshots = self.snapshots.write();
        let known = snapshots.iter().position(|known| known == name);
        let place = known.unwrap_or_else(|| {
            snapshots.push(name.clone());
            snapshots.len() - 1
        });
        u32::try_from(place).unwrap_or(u32::MAX)
    }
}

impl Core {
    /// What a name in a control directory leads to.
    pub(crate) async fn find_control(
        &self,
        place: u32,
        name: &Name,
    ) -> Result<Option<FileAttr>, Errno> {
        let text = std::str::from_utf8(name.as_bytes()).ok();
        match (place, text) {
            (ROOT, Some(text)) => {
                let found = ENTRIES.iter().find(|(_, name, _)| *name == text);
                Ok(found.map(|(place, ..)| self.control_attributes(*place)))
            }
            (SNAPSHOTS | BRANCHES, Some(text)) => {
                let listed = self.views(place).await?;
                match listed.into_iter().find(|(name, _)| name == text) {
                    Some((_, inode)) => self.view_attributes(inode).await.map(Some),
                    None => Ok(None),
                }
            }
            _ => Ok(None),
        }
    }

    async fn view_attributes(&self, inode: Inode) -> Result<FileAttr, Errno> {
        let node: Node = self.node(inode).await?;
        Ok(attributes::of_node(self.inodes.number(inode), &node))
    }

    /// The snapshots, or the branches.
    async fn views(&self, place: u32) -> Result<Vec<(String, Inode)>, Errno> {
        let failed = |failure| errno::of_failure(&failure);
        if place == SNAPSHOTS {
            let snapshots = self.client.snapshots().await.map_err(failed)?;
            let views = snapshots.into_iter().map(|snapshot| {
                let age = Age::Snapshot(self.control.place(&snapshot.name));
                let (branch, node) = (snapshot.branch, snapshot.directory);
                let name = snapshot.name.as_str().to_owned();
                (name, Inode::Node { age, branch, node })
            });
            return Ok(views.collect());
        }
        let branches = self.client.branches().await.map_err(failed)?;
        let views = branches.into_iter().map(|branch| {
            let age = Age::Live;
            let (branch, node) = (branch.id, branch.root);
            (branch.to_string(), Inode::Node { age, branch, node })
        });
        Ok(views.collect())
    }

    /// The attributes of something made up.
    pub(crate) fn control_attributes(&self, place: u32) -> FileAttr {
        let entry = ENTRIES.iter().find(|(found, ..)| *found == place);
        let kind = entry.map_or(FileType::Directory, |(_, _, kind)| *kind);
        let is_directory = kind == FileType::Directory;
        FileAttr {
            ino: self.inodes.number(Inode::Control(place)),
            size: 0,
            blocks: 0,
            atime: SystemTime::UNIX_EPOCH,
            mtime: SystemTime::UNIX_EPOCH,
            ctime: SystemTime::UNIX_EPOCH,
            crtime: SystemTime::UNIX_EPOCH,
            kind,
            perm: if is_directory { 0o555 } else { 0o444 },
            nlink: if is_directory { 2 } else { 1 },
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: attributes::ACCESS_BYTES,
            flags: 0,
        }
    }

    pub(crate) async fn control_node(&self, inode: Inode) -> Result<FileAttr, Errno> {
        match inode {
            Inode::Control(place) => Ok(self.control_attributes(place)),
            Inode::Node { .. } => Err(Errno::ESTALE),
        }
    }

    /// Lists a control directory.
    pub(crate) async fn list_control(
        &self,
        inode: Inode,
        position: u64,
        mut take: impl FnMut(&Listed<'_>) -> bool,
    ) -> Result<(), Errno> {
        let Inode::Control(place) = inode else {
            return Err(Errno::ENOTDIR);
        };
        let own = self.control_attributes(place);
        let mut entries = vec![(".".to_owned(), own), ("..".to_owned(), own)];
        if place == ROOT {
            let made = |(place, name, _): &(u32, &str, FileType)| {
                ((*name).to_owned(), self.control_attributes(*place))
            };
            entries.extend(ENTRIES.iter().map(made));
        } else {
            for (name, inode) in self.views(place).await? {
                // One that has just expired or gone is not there.
                if let Ok(attributes) = self.view_attributes(inode).await {
                    entries.push((name, attributes));
                }
            }
        }
        for (index, (name, attributes)) in entries.iter().enumerate().skip(position as usize) {
            let listed = Listed {
                number: attributes.ino,
                name: OsStr::from_bytes(name.as_bytes()),
                kind: attributes.kind,
                next: index as u64 + 1,
                attributes: Some(*attributes),
            };
            if take(&listed) {
                break;
            }
        }
        Ok(())
    }

    /// Opens a control file.
    pub(crate) async fn open_control(&self, inode: Inode) -> Result<Opened, Errno> {
        let text = match inode {
            Inode::Control(STATUS) => Text::Fixed(self.status_json().await?.into()),
            Inode::Control(MOUNT) => Text::Fixed(self.mount_json().into()),
            Inode::Control(STATS) => Text::Fixed(self.stats.json().into()),
            Inode::Control(ACCESS_LOG) => {
                self.stats.add_reader();
                Text::Log
            }
            _ => return Err(Errno::EISDIR),
        };
        Ok(Opened {
            handle: self.texts.insert(text) | HANDLE,
            keeps_cache: false,
            is_news: false,
            is_text: true,
        })
    }

    /// Reads a control file; `None` when the handle is another's.
    pub(crate) async fn read_control(
        &self,
        handle: u64,
        offset: u64,
        size: u32,
    ) -> Option<Result<Bytes, Errno>> {
        if handle & HANDLE == 0 {
            return None;
        }
        let Some(text) = self.texts.get(handle & !HANDLE) else {
            return Some(Err(Errno::EBADF));
        };
        Some(Ok(match &*text {
            Text::Fixed(text) => {
                let from = usize::try_from(offset)
                    .unwrap_or(usize::MAX)
                    .min(text.len());
                let to = from.saturating_add(size as usize).min(text.len());
                text.slice(from..to)
            }
            Text::Log => self.stats.read_log(size as usize).await.into(),
        }))
    }

    /// Closes a control file; whether it was one.
    pub(crate) fn release_control(&self, handle: u64) -> bool {
        if handle & HANDLE == 0 {
            return false;
        }
        if let Some(text) = self.texts.remove(handle & !HANDLE)
            && matches!(*text, Text::Log)
        {
            self.stats.remove_reader();
        }
        true
    }

    fn mount_json(&self) -> String {
        format!(
            "{{\"process_id\":{},\"cache_for_ms\":{},\"sync_interval_ms\":{},\"threads\":{}}}\n",
            std::process::id(),
            self.cache_for().as_millis(),
            self.options.sync_interval.as_millis(),
            self.options.threads
        )
    }

    async fn status_json(&self) -> Result<String, Errno> {
        let status = self.client.status().await;
        let status = status.map_err(|failure| errno::of_failure(&failure))?;
        // Hexadecimal digits, versions and URLs: nothing that would have to be escaped but quotes.
        let plain = |text: &str| text.replace(['"', '\\'], "");
        Ok(format!(
            "{{\"store_id\":\"{}\",\"server_version\":\"{}\",\"objects\":\"{}\",\"last_version\":{},\"uptime_ms\":{},\"process_id\":{}}}\n",
            plain(&status.store_id),
            plain(&status.server_version),
            plain(&status.objects_url),
            status.last_version,
            status.uptime_ms,
            status.process_id
        ))
    }
}
