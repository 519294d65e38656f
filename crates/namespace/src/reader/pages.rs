//! Directories: their entries, and the nodes that these lead to.
//!
//! Invariant: a page of a branch is the merge of its layers: of records with one name the uppermost
//! counts, and a whiteout hides those below it.

use super::describe;
use super::read::{Found, Reader, dangling, lead};
use crate::Node;
use crate::failure::{from_engine, malformed};
use crate::layers::Layer;
use crate::records::{
    COUNTER, EntryRecord, NODE, NodeRecord, counter, is_whiteout, node_and_branch,
};
use crate::spot::{Child, Spot};
use nokv_engine::{Direction, KeyRange, Keyspace, Record, Scan};
use nokv_shard::{Counter, Key};
use nokv_types::{Failure, Name, NodeId};
use std::cmp::Ordering;

/// Ids this near are scanned together: skipping a few records costs less than a search for the
/// next.
const CLUSTER_GAP_MAX: u64 = 8;
/// Fewer ids than this are searched one by one: beginning a scan costs about as much.
const CLUSTER_SCAN_MIN: usize = 8;

/// A node that an entry leads to, and its record. Whose the body is, is not resolved in it.
pub(crate) struct ChildRecord {
    pub(crate) spot: Spot,
    pub(crate) record: NodeRecord,
    pub(crate) node: Node,
}

impl Reader<'_> {
    /// Up to `limit` entries of a directory after a name, in byte order.
    pub(crate) fn entries(
        &self,
        directory: Spot,
        after: Option<&Name>,
        limit: usize,
    ) -> Result<Vec<(Name, Child)>, Failure> {
        let mut scans = LayerScans::new(self, directory, after)?;
        let mut entries = Vec::new();
        // A single layer needs no merge: the usual case, and the one that must be fast.
        if let [only] = &mut scans.scans[..] {
            while entries.len() < limit {
                match only.advance()? {
                    None => break,
                    Some((_, None)) => {}
                    Some((name, Some(found))) => {
                        entries.push((name, lead(directory, only.layer, 0, found).record));
                    }
                }
            }
            return Ok(entries);
        }
        while entries.len() < limit {
            match scans.next()? {
                None => break,
                Some((name, found)) => entries.push((name, found.record)),
            }
        }
        Ok(entries)
    }

    /// The nodes that entries of a directory lead to, in the same order.
    pub(crate) fn children(
        &self,
        directory: Spot,
        children: &[Child],
    ) -> Result<Vec<Node>, Failure> {
        self.describe_children(directory, children, |_, _, node| node)
    }

    /// The same with their records.
    pub(crate) fn child_records(
        &self,
        directory: Spot,
        children: &[Child],
    ) -> Result<Vec<ChildRecord>, Failure> {
        self.describe_children(directory, children, |spot, record, node| ChildRecord {
            spot,
            record,
            node,
        })
    }

    fn describe_children<T>(
        &self,
        directory: Spot,
        children: &[Child],
        mut each: impl FnMut(Spot, NodeRecord, Node) -> T,
    ) -> Result<Vec<T>, Failure> {
        let inside = |child: &&Child| child.spot.same_chain(&directory);
        let nodes: Vec<_> = children.iter().filter(inside).map(Child::node).collect();
        let directories: Vec<_> = children
            .iter()
            .filter(inside)
            .filter(|child| child.is_directory())
            .map(Child::node)
            .collect();
        let layers = self.layers(directory)?;
        let mut records = self.gather_records(&layers, &nodes)?.into_iter();
        let mut counters = self.gather_counters(&layers, &directories)?.into_iter();
        let mut described = Vec::with_capacity(children.len());
        for child in children {
            if !inside(&child) {
                let found = self.node_record(child.spot)?;
                let found = found.ok_or_else(|| dangling(child.node()))?;
                let node = self.child(child)?;
                described.push(each(child.spot, found.record, node));
                continue;
            }
            let found = records.next().flatten();
            let found = found.ok_or_else(|| dangling(child.node()))?;
            let (version, value) = (found.version, found.value.into_bytes());
            let record = NodeRecord::decode_shared(&value).map_err(|flaw| {
                malformed(&NodeRecord::key(child.node(), directory.branch), &flaw)
            })?;
            let counter = match child.is_directory() {
                true => counters.next().unwrap_or_default(),
                false => Counter::default(),
            };
            let node = describe(child.spot, version, &record, &counter);
            described.push(each(child.spot, record, node));
        }
        Ok(described)
    }

    /// The node records that a chain sees.
    fn gather_records(
        &self,
        layers: &[Layer],
        nodes: &[NodeId],
    ) -> Result<Vec<Option<Record>>, Failure> {
        let Some((top, below)) = layers.split_first() else {
            return Ok(vec![None; nodes.len()]);
        };
        let mut records = self.gather(NODE, *top, nodes)?;
        if below.is_empty() {
            return Ok(records);
        }
        let absent = |record: &Option<Record>| record.is_none();
        let (indexes, missing): (Vec<_>, Vec<_>) = nodes
            .iter()
            .enumerate()
            .filter(|(index, _)| records.get(*index).is_some_and(absent))
            .map(|(index, node)| (index, *node))
            .unzip();
        for record in &mut records {
            if record
                .as_ref()
                .is_some_and(|found| is_whiteout(top.branch, &found.value))
            {
                *record = None;
            }
        }
        for (index, found) in indexes
            .into_iter()
            .zip(self.gather_records(below, &missing)?)
        {
            if let Some(slot) = records.get_mut(index) {
                *slot = found;
            }
        }
        Ok(records)
    }

    /// The counters that a chain sees.
    fn gather_counters(
        &self,
        layers: &[Layer],
        directories: &[NodeId],
    ) -> Result<Vec<Counter>, Failure> {
        let mut counters = vec![Counter::default(); directories.len()];
        for layer in layers.iter().rev() {
            let found = self.gather(COUNTER, *layer, directories)?;
            for ((counter, found), directory) in counters.iter_mut().zip(found).zip(directories) {
                let Some(found) = found else { continue };
                let own = Counter::decode(&found.value)
                    .map_err(|flaw| malformed(&counter::key(*directory, layer.branch), &flaw))?;
                counter::over(counter, &own);
            }
        }
        Ok(counters)
    }

    /// The records of some nodes (or directories) in one layer of a keyspace. Neighbouring ids are
    /// scanned together: children of one directory have them, and a step of a scan costs less than
    /// a search.
    fn gather(
        &self,
        keyspace: Keyspace,
        layer: Layer,
        nodes: &[NodeId],
    ) -> Result<Vec<Option<Record>>, Failure> {
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
                self.scan_cluster(keyspace, layer, cluster, &mut records)?;
            } else {
                self.get_cluster(keyspace, layer, cluster, &mut records)?;
            }
        }
        Ok(records)
    }

    fn get_cluster(
        &self,
        keyspace: Keyspace,
        layer: Layer,
        cluster: &[(NodeId, usize)],
        records: &mut [Option<Record>],
    ) -> Result<(), Failure> {
        let keys: Vec<[u8; 12]> = cluster
            .iter()
            .map(|(node, _)| node_and_branch(*node, layer.branch))
            .collect();
        let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
        let found = self
            .engine
            .multi_get(keyspace, &keys, layer.at)
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
        layer: Layer,
        cluster: &[(NodeId, usize)],
        records: &mut [Option<Record>],
    ) -> Result<(), Failure> {
        let (Some(first), Some(last)) = (cluster.first(), cluster.last()) else {
            return Ok(());
        };
        let start = node_and_branch(first.0, layer.branch);
        let end = node_and_branch(
            NodeId::from_u64(last.0.as_u64().saturating_add(1)),
            layer.branch,
        );
        let range = KeyRange::between(start, end);
        let scan = self
            .engine
            .scan(keyspace, range, layer.at, Direction::Forward)
            .map_err(from_engine)?;
        let mut wanted = cluster.iter().peekable();
        for item in scan {
            let (key, record) = item.map_err(from_engine)?;
            while let Some((node, index)) = wanted.peek() {
                match node_and_branch(*node, layer.branch)[..].cmp(&key) {
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
}

/// What one layer says of a name; `None`: a whiteout.
type Said = (Name, Option<Found<EntryRecord>>);

/// One layer's part of a directory.
struct LayerScan {
    layer: Layer,
    scan: Scan,
    next: Option<Said>,
}

/// The entries of a directory, layers merged.
struct LayerScans {
    directory: Spot,
    /// Uppermost first.
    scans: smallvec::SmallVec<[LayerScan; 1]>,
}

impl LayerScans {
    fn new(reader: &Reader<'_>, directory: Spot, after: Option<&Name>) -> Result<Self, Failure> {
        let mut scans = smallvec::SmallVec::new();
        for layer in reader.layers(directory)? {
            let mut range = KeyRange::prefix(EntryRecord::prefix(directory.node, layer.branch));
            if let Some(name) = after {
                let key = EntryRecord::key(directory.node, layer.branch, name);
                range = range.after(key.bytes());
            }
            let scan = reader
                .engine
                .scan(EntryRecord::KEYSPACE, range, layer.at, Direction::Forward)
                .map_err(from_engine)?;
            let mut scan = LayerScan {
                layer,
                scan,
                next: None,
            };
            scan.advance()?;
            scans.push(scan);
        }
        Ok(Self { directory, scans })
    }

    fn next(&mut self) -> Result<Option<(Name, Found<Child>)>, Failure> {
        loop {
            let names = self.scans.iter().filter_map(|scan| scan.next.as_ref());
            let Some(name) = names.map(|(name, _)| name).min().cloned() else {
                return Ok(None);
            };
            let mut shown = None;
            for (depth, scan) in self.scans.iter_mut().enumerate() {
                if scan.next.as_ref().is_none_or(|(next, _)| *next != name) {
                    continue;
                }
                let next = scan.advance()?;
                if shown.is_none() {
                    let found = next.and_then(|(_, found)| found);
                    shown = Some(found.map(|found| lead(self.directory, scan.layer, depth, found)));
                }
            }
            if let Some(Some(found)) = shown {
                return Ok(Some((name, found)));
            }
        }
    }
}

impl LayerScan {
    /// Takes the next entry.
    fn advance(&mut self) -> Result<Option<Said>, Failure> {
        let keyspace = EntryRecord::KEYSPACE;
        let following = match self.scan.next().transpose().map_err(from_engine)? {
            None => None,
            Some((key, record)) => {
                let flaw = |flaw| malformed(&Key::new(keyspace, &key), &flaw);
                let name = EntryRecord::name(&key).map_err(flaw)?;
                let version = record.version;
                let found = match is_whiteout(self.layer.branch, &record.value) {
                    true => None,
                    false => Some(Found {
                        version,
                        record: EntryRecord::decode(&record.value).map_err(flaw)?,
                    }),
                };
                Some((name, found))
            }
        };
        Ok(std::mem::replace(&mut self.next, following))
    }
}
