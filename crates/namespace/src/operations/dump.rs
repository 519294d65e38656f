//! Reading a subtree as a whole, depth first, page by page.
//!
//! Invariants:
//! - a page is read at one version, and the place where it ends is a path of names: the server
//!   keeps nothing between two pages;
//! - memory is bounded by [`PAGE_ENTRIES`] entries of at most [`LEVELS_KEPT_MAX`] directories,
//!   whatever the tree is like.

use super::read::{find_spot, shown};
use crate::failure::contradiction;
use crate::reader::{ChildRecord, Reader, describe};
use crate::records::quota::Purpose;
use crate::records::{NodeRecord, StoredLayout};
use crate::spot::Spot;
use crate::walk::missing;
use crate::{DumpPage, Follow, Namespace, Node, Target, View};
use bytes::Bytes;
use nokv_dump::{Content, Identity, NodeItem, Quota, encode_node};
use nokv_types::{Body, Failure, Layout, Name, NodeKind};
use std::collections::VecDeque;

/// Entries of a directory read at a time: their records are gathered together.
const PAGE_ENTRIES: usize = 1_024;
/// Directories, counted from the deepest, whose read entries are kept; those of the others are read
/// again when the walk comes back to them.
const LEVELS_KEPT_MAX: usize = 32;

impl Namespace {
    /// The nodes of a subtree after one, until they take `bytes_full` bytes or the subtree ends. An
    /// empty `after` is the top. Branches that are met are read as the directories that they show.
    /// Does not follow a symbolic link.
    ///
    /// **Errors**: as [`Self::lookup`]; `NotFound` when `after` was not there.
    pub fn dump<'a>(
        &self,
        view: &View,
        top: impl Into<Target<'a>>,
        after: Option<&[Name]>,
        bytes_full: usize,
    ) -> Result<DumpPage, Failure> {
        let top = top.into();
        self.read(view, |mut reader, root| {
            let spot = find_spot(&mut reader, root, top, Follow::No)?;
            let mut dump = Dump {
                reader,
                levels: Vec::new(),
                nodes: Vec::with_capacity(bytes_full + bytes_full / 8),
                count: 0,
            };
            match after {
                None => dump
                    .begin(spot)
                    .map_err(|failure| failure.context(shown(top)))?,
                Some(names) => dump.go_on(spot, names)?,
            }
            let mut goes_on = true;
            while goes_on && dump.nodes.len() < bytes_full {
                goes_on = dump.advance()?;
            }
            let names = |dump: &Dump<'_>| {
                let afters = dump.levels.iter().map(|level| level.after.clone());
                afters.take_while(Option::is_some).flatten().collect()
            };
            Ok(DumpPage {
                version: reader.at,
                next: goes_on.then(|| names(&dump)),
                nodes: Bytes::from(dump.nodes),
                count: dump.count,
            })
        })
    }
}

/// A directory that the walk is in.
struct Level {
    directory: Spot,
    /// The last entry that was taken.
    after: Option<Name>,
    /// Entries that were read and not taken yet.
    read: VecDeque<(Name, ChildRecord)>,
    /// There is nothing after what was read.
    is_over: bool,
}

impl Level {
    const fn new(directory: Spot, after: Option<Name>) -> Self {
        Self {
            directory,
            after,
            read: VecDeque::new(),
            is_over: false,
        }
    }
}

/// A walk, and what it has met.
struct Dump<'a> {
    reader: Reader<'a>,
    levels: Vec<Level>,
    nodes: Vec<u8>,
    count: u64,
}

impl Dump<'_> {
    /// Takes the top.
    fn begin(&mut self, spot: Spot) -> Result<(), Failure> {
        let found = self.reader.node_record(spot)?;
        let found = found.ok_or_else(|| missing(&format!("node {}", spot.node)))?;
        let counter = match found.record.is_directory() {
            true => self.reader.counter(spot)?,
            false => nokv_shard::Counter::default(),
        };
        let node = describe(spot, found.version, &found.record, &counter);
        let child = ChildRecord {
            spot,
            record: found.record,
            node,
        };
        self.take(None, &child)
    }

    /// Goes to a node that was taken before.
    fn go_on(&mut self, top: Spot, names: &[Name]) -> Result<(), Failure> {
        let mut current = Some(top);
        for name in names {
            let directory = current.take();
            let entry = match directory {
                Some(directory) => self.reader.entry(directory, name)?,
                None => None,
            };
            let (Some(directory), Some(entry)) = (directory, entry) else {
                return Err(missing(&format!("{name}, where the dump goes on,")));
            };
            self.levels.push(Level::new(directory, Some(name.clone())));
            let child = entry.record;
            current = child.is_directory().then_some(child.spot);
        }
        if let Some(directory) = current {
            let found = self.reader.node_record(directory)?;
            if found.is_some_and(|found| found.record.is_directory()) {
                self.levels.push(Level::new(directory, None));
            }
        }
        Ok(())
    }

    /// Takes one more node; `false` at the end.
    fn advance(&mut self) -> Result<bool, Failure> {
        while let Some(level) = self.levels.last_mut() {
            if level.read.is_empty() && !level.is_over {
                level.fill(&self.reader)?;
            }
            match level.read.pop_front() {
                None => drop(self.levels.pop()),
                Some((name, child)) => {
                    level.after = Some(name.clone());
                    self.take(Some(name), &child)?;
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn take(&mut self, name: Option<Name>, child: &ChildRecord) -> Result<(), Failure> {
        let depth = u32::try_from(self.levels.len());
        let depth = depth.map_err(|_| contradiction("a tree without end".to_owned()))?;
        let item = self.item(depth, name, child)?;
        encode_node(&mut self.nodes, &item);
        self.count += 1;
        if child.record.is_directory() {
            self.levels.push(Level::new(child.spot, None));
            let old = self.levels.len().checked_sub(LEVELS_KEPT_MAX);
            if let Some(level) = old.and_then(|index| self.levels.get_mut(index)) {
                level.is_over &= level.read.is_empty();
                level.read = VecDeque::new();
            }
        }
        Ok(())
    }

    fn item(
        &self,
        depth: u32,
        name: Option<Name>,
        child: &ChildRecord,
    ) -> Result<NodeItem, Failure> {
        let ChildRecord { spot, record, node } = child;
        let Node { id, attributes, .. } = node;
        let xattrs = match record.xattrs {
            0 => Vec::new(),
            _ => self.reader.xattrs(*spot)?.into_iter().collect(),
        };
        let is_directory = record.is_directory();
        Ok(NodeItem {
            depth,
            name,
            node: Identity {
                id: *id,
                branch: spot.branch,
                at: (spot.at != self.reader.at).then_some(spot.at),
            },
            kind: attributes.kind,
            mode: attributes.mode,
            uid: attributes.uid,
            gid: attributes.gid,
            links: if is_directory { 1 } else { attributes.links },
            atime: attributes.atime,
            mtime: attributes.mtime,
            ctime: attributes.ctime,
            btime: attributes.btime,
            generation: record.generation,
            xattrs,
            quota: match is_directory && spot.is_trunk() {
                true => self.quota(*spot)?,
                false => None,
            },
            content: self.content(*spot, record)?,
        })
    }

    fn quota(&self, directory: Spot) -> Result<Option<Quota>, Failure> {
        if !self.reader.paths.quotas.any() {
            return Ok(None);
        }
        let quota = self.reader.quota(directory.node)?;
        let quota = quota.filter(|quota| quota.purpose == Purpose::Limit);
        Ok(quota.map(|quota| Quota {
            bytes: quota.limits.bytes,
            inodes: quota.limits.inodes,
        }))
    }

    fn content(&self, spot: Spot, record: &NodeRecord) -> Result<Content, Failure> {
        let stored = &record.body;
        let layout = match (record.kind, &stored.layout) {
            (NodeKind::Symlink, StoredLayout::Inline(target)) => {
                return Ok(Content::Target(target.clone()));
            }
            (NodeKind::File, StoredLayout::Inline(bytes)) => Layout::Inline(bytes.clone()),
            (NodeKind::File, StoredLayout::Embedded(extents)) => Layout::Extents(extents.clone()),
            (NodeKind::File, StoredLayout::Chunked(_)) => {
                // Which layer has the chunks is known only of a record that was looked up.
                let found = self.reader.node_record(spot)?;
                let found = found.ok_or_else(|| crate::reader::dangling(spot.node))?;
                return self.reader.body(spot, &found.record).map(Content::Body);
            }
            _ => return Ok(Content::None),
        };
        let body = Body::new(stored.size, stored.digest, layout);
        body.map(Content::Body).map_err(|flaw| {
            contradiction(format!(
                "the body of node {} is not valid: {flaw}",
                spot.node
            ))
        })
    }
}

impl Level {
    fn fill(&mut self, reader: &Reader<'_>) -> Result<(), Failure> {
        let entries = reader.entries(self.directory, self.after.as_ref(), PAGE_ENTRIES)?;
        self.is_over = entries.len() < PAGE_ENTRIES;
        let (names, children): (Vec<_>, Vec<_>) = entries.into_iter().unzip();
        let records = reader.child_records(self.directory, &children)?;
        self.read = names.into_iter().zip(records).collect();
        Ok(())
    }
}
