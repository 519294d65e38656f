//! Reading records at one version of one branch.
//!
//! Invariant: all reads of one operation go through one [`Reader`], so they see one version.

use crate::failure::{contradiction, from_engine, malformed};
use crate::paths::{KnownDirectory, PathQuery, Paths};
use crate::records::{
    COUNTER, EntryRecord, Moment, NODE, NodeRecord, StoredLayout, chunk, counter, node_and_branch,
    xattr,
};
use crate::{BodyStorage, BodySummary, Node};
use bytes::Bytes;
use nokv_engine::{Direction, Engine, KeyRange, Keyspace, Record};
use nokv_shard::codec::Malformed;
use nokv_shard::{Counter, Key};
use nokv_types::{
    Attributes, Body, BranchId, Extent, Failure, Layout, Name, NodeId, NodeKind, NsPath,
    PATH_COMPONENTS_MAX, TimeNanos, Version,
};
use std::cmp::Ordering;

/// A record and the version that wrote it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Found<T> {
    pub(crate) version: Version,
    pub(crate) record: T,
}

/// Deepest path that is looked up as a whole: the look-up recurses, and deeper ones are rare.
const KNOWN_DEPTH_MAX: usize = 64;

/// Ids this near are scanned together: skipping a few records costs less than a search for the
/// next.
const CLUSTER_GAP_MAX: u64 = 8;
/// Fewer ids than this are searched one by one: beginning a scan costs about as much.
const CLUSTER_SCAN_MIN: usize = 8;

/// The state at one version of one branch.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) at: Version,
    pub(crate) branch: BranchId,
    pub(crate) paths: &'a Paths,
    /// What [`crate::paths::DirectoryMoves::settled`] said before the version was chosen.
    pub(crate) moves: Option<u64>,
}

impl Reader<'_> {
    /// Where a path through real directories leads; `None` for anything else, which a walk then
    /// tells apart.
    pub(crate) fn known_directory(
        &self,
        root: NodeId,
        names: &[Name],
    ) -> Result<Option<KnownDirectory>, Failure> {
        let Some((name, parents)) = names.split_last() else {
            let (since, read_at) = (Version::ZERO, self.at);
            return Ok(Some(KnownDirectory {
                node: root,
                since,
                read_at,
                moves: self.moves,
            }));
        };
        if names.len() > KNOWN_DEPTH_MAX {
            return Ok(None);
        }
        let query = PathQuery::new(root, self.branch, names);
        if let Some(known) = self.paths.find(&query, self.at) {
            return Ok(Some(known));
        }
        let Some(parent) = self.known_directory(root, parents)? else {
            return Ok(None);
        };
        match self.entry(parent.node, name)? {
            Some(found) if found.record.is_directory() => {
                let since = parent.since.max(found.version);
                let node = found.record.node;
                let known = KnownDirectory {
                    node,
                    since,
                    read_at: self.at,
                    moves: self.moves,
                };
                if self.moves.is_some() {
                    self.paths.keep(&query, known);
                }
                Ok(Some(known))
            }
            _ => Ok(None),
        }
    }

    /// What the branch sees under a key. The one place where layers are resolved: the trunk has no
    /// parent, so its own record is the answer.
    fn resolve(&self, key: &Key) -> Result<Option<Record>, Failure> {
        self.engine
            .get(key.keyspace(), key.bytes(), self.at)
            .map_err(from_engine)
    }

    /// A record that is the same in every branch.
    pub(crate) fn stored(&self, key: &Key) -> Result<Option<Record>, Failure> {
        self.engine
            .get(key.keyspace(), key.bytes(), self.at)
            .map_err(from_engine)
    }

    /// Where a directory is; `None` in a removed tree, or when that is longer than a path may be.
    pub(crate) fn path_of(
        &self,
        root: NodeId,
        directory: NodeId,
    ) -> Result<Option<NsPath>, Failure> {
        let mut names = Vec::new();
        let mut current = directory;
        while current != root && names.len() <= PATH_COMPONENTS_MAX {
            let found = self.node_record(current)?;
            match found.and_then(|found| found.record.place) {
                Some(place) => {
                    names.push(place.name);
                    current = place.parent;
                }
                None => return Ok(None),
            }
        }
        if current != root {
            return Ok(None);
        }
        let mut names = names.iter().rev();
        Ok(names
            .try_fold(NsPath::root(), |path, name| path.join(name))
            .ok())
    }

    fn find<T>(
        &self,
        key: &Key,
        decode: impl FnOnce(&[u8]) -> Result<T, Malformed>,
    ) -> Result<Option<Found<T>>, Failure> {
        match self.resolve(key)? {
            None => Ok(None),
            Some(found) => {
                let record = decode(&found.value).map_err(|flaw| malformed(key, &flaw))?;
                Ok(Some(Found {
                    version: found.version,
                    record,
                }))
            }
        }
    }

    /// The entry of a directory.
    pub(crate) fn entry(
        &self,
        directory: NodeId,
        name: &Name,
    ) -> Result<Option<Found<EntryRecord>>, Failure> {
        let key = EntryRecord::key(directory, self.branch, name);
        self.find(&key, EntryRecord::decode)
    }

    /// The record of a node, `birth` resolved.
    pub(crate) fn node_record(&self, node: NodeId) -> Result<Option<Found<NodeRecord>>, Failure> {
        let key = NodeRecord::key(node, self.branch);
        let Some(found) = self.resolve(&key)? else {
            return Ok(None);
        };
        let (version, value) = (found.version, found.value.into_bytes());
        let record = NodeRecord::decode_shared(&value).map_err(|flaw| malformed(&key, &flaw))?;
        Ok(Some(resolve_birth(Found { version, record })))
    }

    /// The counter of a directory.
    pub(crate) fn counter(&self, directory: NodeId) -> Result<Counter, Failure> {
        let found = self.find(&counter::key(directory, self.branch), Counter::decode)?;
        Ok(found.map_or_else(Counter::default, |found| found.record))
    }

    /// A node with attributes; `None` when it does not exist.
    pub(crate) fn node(&self, id: NodeId) -> Result<Option<Node>, Failure> {
        let Some(found) = self.node_record(id)? else {
            return Ok(None);
        };
        let counter = match found.record.is_directory() {
            true => self.counter(id)?,
            false => Counter::default(),
        };
        Ok(Some(describe(
            id,
            self.branch,
            found.version,
            &found.record,
            &counter,
        )))
    }

    /// A node that an entry leads to.
    pub(crate) fn child(&self, entry: &EntryRecord) -> Result<Node, Failure> {
        self.node(entry.node)?.ok_or_else(|| dangling(entry.node))
    }

    /// The nodes that entries lead to, in the same order.
    pub(crate) fn children(&self, entries: &[EntryRecord]) -> Result<Vec<Node>, Failure> {
        let directories: Vec<_> = entries
            .iter()
            .filter(|entry| entry.is_directory())
            .map(|entry| entry.node)
            .collect();
        let nodes: Vec<_> = entries.iter().map(|entry| entry.node).collect();
        let records = self.gather(NODE, &nodes)?;
        let mut counters = self.gather(COUNTER, &directories)?.into_iter();
        let mut described = Vec::with_capacity(entries.len());
        for (entry, record) in entries.iter().zip(records) {
            let found = record.ok_or_else(|| dangling(entry.node))?;
            let (version, value) = (found.version, found.value.into_bytes());
            let record = NodeRecord::decode_shared(&value)
                .map_err(|flaw| malformed(&NodeRecord::key(entry.node, self.branch), &flaw))?;
            let counter = match entry
                .is_directory()
                .then(|| counters.next().flatten())
                .flatten()
            {
                None => Counter::default(),
                Some(found) => Counter::decode(&found.value)
                    .map_err(|flaw| malformed(&counter::key(entry.node, self.branch), &flaw))?,
            };
            described.push(describe(
                entry.node,
                self.branch,
                version,
                &record,
                &counter,
            ));
        }
        Ok(described)
    }

    /// The records of some nodes (or directories) in one keyspace. Neighbouring ids are scanned
    /// together: children of one directory have them, and a step of a scan costs less than a
    /// search.
    fn gather(&self, keyspace: Keyspace, nodes: &[NodeId]) -> Result<Vec<Option<Record>>, Failure> {
        let mut order: Vec<(NodeId, usize)> = nodes
            .iter()
            .enumerate()
            .map(|(index, node)| (*node, index))
            .collect();
        order.sort_unstable();
        let mut records = vec![None; nodes.len()];
        for cluster in order.chunk_by(|left, right| {
            right.0.as_u64().saturating_sub(left.0.as_u64()) <= CLUSTER_GAP_MAX
        }) {
            if cluster.len() >= CLUSTER_SCAN_MIN {
                self.scan_cluster(keyspace, cluster, &mut records)?;
            } else {
                self.get_cluster(keyspace, cluster, &mut records)?;
            }
        }
        Ok(records)
    }

    fn get_cluster(
        &self,
        keyspace: Keyspace,
        cluster: &[(NodeId, usize)],
        records: &mut [Option<Record>],
    ) -> Result<(), Failure> {
        let keys: Vec<[u8; 12]> = cluster
            .iter()
            .map(|(node, _)| node_and_branch(*node, self.branch))
            .collect();
        let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
        let found = self
            .engine
            .multi_get(keyspace, &keys, self.at)
            .map_err(from_engine)?;
        for ((_, index), found) in cluster.iter().zip(found) {
            if let Some(slot) = records.get_mut(*index) {
                *slot = found;
            }
        }
        Ok(())
    }

    fn scan_cluster(
        &self,
        keyspace: Keyspace,
        cluster: &[(NodeId, usize)],
        records: &mut [Option<Record>],
    ) -> Result<(), Failure> {
        let (Some(first), Some(last)) = (cluster.first(), cluster.last()) else {
            return Ok(());
        };
        let start = node_and_branch(first.0, self.branch);
        let end = node_and_branch(
            NodeId::from_u64(last.0.as_u64().saturating_add(1)),
            self.branch,
        );
        let range = KeyRange::between(start, end);
        let scan = self
            .engine
            .scan(keyspace, range, self.at, Direction::Forward)
            .map_err(from_engine)?;
        let mut wanted = cluster.iter().peekable();
        for item in scan {
            let (key, record) = item.map_err(from_engine)?;
            while let Some((node, index)) = wanted.peek() {
                match node_and_branch(*node, self.branch)[..].cmp(&key) {
                    Ordering::Less => {}
                    Ordering::Greater => break,
                    Ordering::Equal => {
                        if let Some(slot) = records.get_mut(*index) {
                            *slot = Some(record.clone());
                        }
                    }
                }
                wanted.next();
            }
        }
        Ok(())
    }

    /// Up to `limit` entries of a directory after a name, in byte order.
    pub(crate) fn entries(
        &self,
        directory: NodeId,
        after: Option<&Name>,
        limit: usize,
    ) -> Result<Vec<(Name, EntryRecord)>, Failure> {
        let prefix = EntryRecord::prefix(directory, self.branch);
        let mut range = KeyRange::prefix(prefix);
        let keyspace = EntryRecord::KEYSPACE;
        if let Some(name) = after {
            range = range.after(EntryRecord::key(directory, self.branch, name).bytes());
        }
        let scan = self
            .engine
            .scan(keyspace, range, self.at, Direction::Forward)
            .map_err(from_engine)?;
        let mut entries = Vec::new();
        for item in scan.take(limit) {
            let (key, record) = item.map_err(from_engine)?;
            let flaw = |flaw| malformed(&Key::new(keyspace, &key), &flaw);
            let name = EntryRecord::name(&key).map_err(flaw)?;
            entries.push((name, EntryRecord::decode(&record.value).map_err(flaw)?));
        }
        Ok(entries)
    }

    /// The body of a node, with all its extents.
    pub(crate) fn body(&self, node: NodeId, record: &NodeRecord) -> Result<Body, Failure> {
        let stored = &record.body;
        let layout = match &stored.layout {
            StoredLayout::Inline(bytes) => Layout::Inline(bytes.clone()),
            StoredLayout::Embedded(extents) => Layout::Extents(extents.clone()),
            StoredLayout::Chunked(count) => {
                let mut extents = Vec::new();
                for number in 0..stored.chunk_count() {
                    extents.extend(self.chunk(node, record, number)?);
                }
                if extents.len() != *count as usize {
                    return Err(contradiction(format!(
                        "node {node} has {} of its {count} extents",
                        extents.len()
                    )));
                }
                Layout::Extents(extents)
            }
        };
        Body::new(stored.size, stored.digest, layout)
            .map_err(|flaw| contradiction(format!("the body of node {node} is not valid: {flaw}")))
    }

    fn chunk(
        &self,
        node: NodeId,
        record: &NodeRecord,
        number: u32,
    ) -> Result<Vec<Extent>, Failure> {
        let key = chunk::key(node, self.branch, record.generation, number);
        match self.find(&key, |bytes| chunk::decode(bytes, record.body.size))? {
            Some(found) => Ok(found.record),
            None => Err(contradiction(format!(
                "chunk {number} of node {node} is missing"
            ))),
        }
    }

    /// The value of an extended attribute.
    pub(crate) fn xattr(&self, node: NodeId, name: &[u8]) -> Result<Option<Bytes>, Failure> {
        let found = self.resolve(&xattr::key(node, self.branch, name))?;
        Ok(found.map(|found| Bytes::copy_from_slice(&found.value)))
    }

    /// The names of a node's extended attributes, in byte order.
    pub(crate) fn xattr_names(&self, node: NodeId) -> Result<Vec<Bytes>, Failure> {
        let range = KeyRange::prefix(xattr::prefix(node, self.branch));
        let scan = self
            .engine
            .scan(xattr::KEYSPACE, range, self.at, Direction::Forward)
            .map_err(from_engine)?;
        let mut names = Vec::new();
        for item in scan {
            let (key, _) = item.map_err(from_engine)?;
            let name = xattr::name(&key)
                .map_err(|flaw| malformed(&Key::new(xattr::KEYSPACE, &key), &flaw))?;
            names.push(Bytes::copy_from_slice(name));
        }
        Ok(names)
    }

    /// The target of a symbolic link.
    pub(crate) fn link_target(&self, node: NodeId) -> Result<Bytes, Failure> {
        let found = self.node_record(node)?.ok_or_else(|| dangling(node))?;
        match (found.record.kind, found.record.body.layout) {
            (NodeKind::Symlink, StoredLayout::Inline(target)) => Ok(target),
            _ => Err(contradiction(format!(
                "node {node} is not the symbolic link its entry says"
            ))),
        }
    }
}

/// A birth "with this record" is the version of the record.
pub(crate) fn resolve_birth(mut found: Found<NodeRecord>) -> Found<NodeRecord> {
    found.record.birth = Moment::At(found.record.birth.in_record(found.version));
    found
}

/// The public form of a node.
pub(crate) fn describe(
    id: NodeId,
    branch: BranchId,
    version: Version,
    record: &NodeRecord,
    counter: &Counter,
) -> Node {
    let (links, size, mtime, ctime) = if record.is_directory() {
        let time = |slot| counter.get(slot).map(TimeNanos::new);
        let links = counter.sum(counter::SUBDIRECTORIES).saturating_add(2);
        (
            u32::try_from(links).unwrap_or(u32::MAX),
            u64::try_from(counter.sum(counter::ENTRIES)).unwrap_or(0),
            time(counter::MTIME).unwrap_or(record.mtime),
            time(counter::CTIME).map_or(record.ctime, |ctime| ctime.max(record.ctime)),
        )
    } else {
        (record.links, record.body.size, record.mtime, record.ctime)
    };
    let attributes = Attributes {
        kind: record.kind,
        mode: record.mode,
        uid: record.uid,
        gid: record.gid,
        links,
        size,
        atime: record.atime,
        mtime,
        ctime,
        btime: record.btime,
    };
    let storage = match &record.body.layout {
        StoredLayout::Inline(_) => BodyStorage::Inline,
        StoredLayout::Embedded(_) | StoredLayout::Chunked(_) => {
            BodyStorage::Extents(record.body.extent_count())
        }
    };
    let body = BodySummary {
        digest: record.body.digest,
        storage,
    };
    Node {
        id,
        branch,
        version,
        attributes,
        generation: record.generation,
        body,
    }
}

fn dangling(node: NodeId) -> Failure {
    contradiction(format!(
        "an entry leads to node {node}, which does not exist"
    ))
}
