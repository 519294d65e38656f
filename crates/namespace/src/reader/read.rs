//! Single records of a chain of layers.

use super::describe;
use crate::Node;
use crate::failure::{contradiction, from_engine, malformed};
use crate::layers::{Chain, Chains, Layer};
use crate::paths::{KnownDirectory, PathQuery, Paths};
use crate::records::{
    EntryRecord, NodeRecord, StoredLayout, chunk, counter, is_whiteout, shown_value, xattr,
};
use crate::spot::{Child, Met, Spot};
use bytes::Bytes;
use nokv_engine::{Direction, Engine, KeyRange, Record};
use nokv_shard::codec::Malformed;
use nokv_shard::{Counter, Key};
use nokv_types::{
    Body, BranchId, Extent, Failure, Layout, Name, NodeId, NodeKind, NsPath, PATH_COMPONENTS_MAX,
    Version,
};
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A record and the version that wrote it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Found<T> {
    pub(crate) version: Version,
    pub(crate) record: T,
}

/// Deepest path that is looked up as a whole: the look-up recurses, and deeper ones are rare.
const KNOWN_DEPTH_MAX: usize = 64;

/// What a chain has under a key.
pub(crate) struct Looked<T> {
    /// The top layer has a record, if only a whiteout.
    pub(crate) own: bool,
    pub(crate) found: Option<Found<T>>,
}

/// A record, and the layer that has it.
struct Layered {
    layer: Layer,
    /// 0 for the top.
    depth: usize,
    record: Record,
}

/// The state at one version.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) at: Version,
    pub(crate) paths: &'a Paths,
    /// What [`crate::paths::DirectoryMoves::settled`] said before the version was chosen.
    pub(crate) moves: Option<u64>,
    pub(crate) chains: &'a Chains,
}

impl Reader<'_> {
    /// Where a path through real directories of the trunk leads; `None` for anything else, which a
    /// walk then tells apart.
    pub(crate) fn known_directory(
        &self,
        root: Spot,
        names: &[Name],
    ) -> Result<Option<KnownDirectory>, Failure> {
        if !root.is_trunk() || root.at != self.at {
            return Ok(None);
        }
        let Some((name, parents)) = names.split_last() else {
            let (since, read_at) = (Version::ZERO, self.at);
            return Ok(Some(KnownDirectory {
                node: root.node,
                since,
                read_at,
                moves: self.moves,
            }));
        };
        if names.len() > KNOWN_DEPTH_MAX {
            return Ok(None);
        }
        let query = PathQuery::new(root.node, names);
        if let Some(known) = self.paths.find(&query, self.at) {
            self.paths.counts.path_hits.add();
            return Ok(Some(known));
        }
        self.paths.counts.path_misses.add();
        let Some(parent) = self.known_directory(root, parents)? else {
            return Ok(None);
        };
        match self.entry(root.with_node(parent.node), name)? {
            Some(found) if found.record.is_directory() && found.record.spot.is_trunk() => {
                let since = parent.since.max(found.version);
                let known = KnownDirectory {
                    node: found.record.node(),
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

    /// The chain of a branch that is not the trunk.
    pub(crate) fn chain(&self, spot: Spot) -> Result<Arc<Chain>, Failure> {
        self.chains.find(self.engine, spot.branch, spot.at)
    }

    /// The layers that are seen at a spot, uppermost first.
    pub(crate) fn layers(&self, spot: Spot) -> Result<SmallVec<[Layer; 4]>, Failure> {
        if spot.is_trunk() {
            let Spot { branch, at, .. } = spot;
            return Ok(smallvec::smallvec![Layer { branch, at }]);
        }
        Ok(self.chain(spot)?.layers.clone())
    }

    fn get(&self, key: &Key, at: Version) -> Result<Option<Record>, Failure> {
        self.engine
            .get(key.keyspace(), key.bytes(), at)
            .map_err(from_engine)
    }

    /// A record that is the same in every branch.
    pub(crate) fn stored(&self, key: &Key) -> Result<Option<Record>, Failure> {
        self.get(key, self.at)
    }

    /// What is seen at a spot under a key. The one place where layers are resolved: the trunk has
    /// no parent, so its own record is the answer.
    fn resolve(
        &self,
        spot: Spot,
        key: &impl Fn(BranchId) -> Key,
    ) -> Result<(bool, Option<Layered>), Failure> {
        if spot.is_trunk() {
            let Spot { branch, at, .. } = spot;
            let found = self.get(&key(branch), at)?;
            let layered = found.map(|record| Layered {
                layer: Layer { branch, at },
                depth: 0,
                record,
            });
            return Ok((layered.is_some(), layered));
        }
        let chain = self.chain(spot)?;
        self.resolve_below(&chain, 0, key)
    }

    /// The same from the layer at this depth on.
    fn resolve_below(
        &self,
        chain: &Chain,
        from: usize,
        key: &impl Fn(BranchId) -> Key,
    ) -> Result<(bool, Option<Layered>), Failure> {
        for (depth, layer) in chain.layers.iter().enumerate().skip(from) {
            if let Some(record) = self.get(&key(layer.branch), layer.at)? {
                let shown = !is_whiteout(layer.branch, &record.value);
                let layer = *layer;
                let layered = shown.then_some(Layered {
                    layer,
                    depth,
                    record,
                });
                return Ok((depth == 0, layered));
            }
        }
        Ok((false, None))
    }

    /// Whether layers below the top have something under a key: then deleting it takes a whiteout.
    pub(crate) fn inherits(
        &self,
        spot: Spot,
        key: impl Fn(BranchId) -> Key,
    ) -> Result<bool, Failure> {
        if spot.is_trunk() {
            return Ok(false);
        }
        let chain = self.chain(spot)?;
        Ok(self.resolve_below(&chain, 1, &key)?.1.is_some())
    }

    /// The entry of a directory.
    pub(crate) fn entry(
        &self,
        directory: Spot,
        name: &Name,
    ) -> Result<Option<Found<Child>>, Failure> {
        Ok(self.look_entry(directory, name)?.found)
    }

    /// The entry of a directory, and whether the top layer says so.
    pub(crate) fn look_entry(
        &self,
        directory: Spot,
        name: &Name,
    ) -> Result<Looked<Child>, Failure> {
        let key = |branch| EntryRecord::key(directory.node, branch, name);
        let (own, layered) = self.resolve(directory, &key)?;
        let found = match layered {
            None => None,
            Some(layered) => {
                let record = EntryRecord::decode(&layered.record.value)
                    .map_err(|flaw| malformed(&key(layered.layer.branch), &flaw))?;
                let version = layered.record.version;
                let found = Found { version, record };
                Some(lead(directory, layered.layer, layered.depth, found))
            }
        };
        Ok(Looked { own, found })
    }

    /// The record of a node, `birth` and `owner` resolved.
    pub(crate) fn node_record(&self, spot: Spot) -> Result<Option<Found<NodeRecord>>, Failure> {
        Ok(self.look_node(spot)?.found)
    }

    /// The record of a node, and whether the top layer has it.
    pub(crate) fn look_node(&self, spot: Spot) -> Result<Looked<NodeRecord>, Failure> {
        let key = |branch| NodeRecord::key(spot.node, branch);
        let (own, layered) = self.resolve(spot, &key)?;
        let found = match layered {
            None => None,
            Some(Layered { layer, record, .. }) => {
                let (version, value) = (record.version, record.value.into_bytes());
                let mut record = NodeRecord::decode_shared(&value)
                    .map_err(|flaw| malformed(&key(layer.branch), &flaw))?;
                record.resolve_moments(version);
                if layer.branch != spot.branch {
                    record.owner = record.owner.or(Some(layer.branch));
                }
                Some(Found { version, record })
            }
        };
        Ok(Looked { own, found })
    }

    /// The counter of a directory: sums of all layers together, times of the uppermost that has
    /// one.
    pub(crate) fn counter(&self, directory: Spot) -> Result<Counter, Failure> {
        let mut counter = Counter::default();
        for layer in self.layers(directory)?.iter().rev() {
            let key = counter::key(directory.node, layer.branch);
            if let Some(found) = self.get(&key, layer.at)? {
                let own = Counter::decode(&found.value).map_err(|flaw| malformed(&key, &flaw))?;
                counter::over(&mut counter, &own);
            }
        }
        Ok(counter)
    }

    /// The part of a directory's counter that layers below the top have.
    pub(crate) fn inherited_counter(&self, directory: Spot) -> Result<Counter, Failure> {
        if directory.is_trunk() {
            return Ok(Counter::default());
        }
        let chain = self.chain(directory)?;
        match chain.layers.get(1) {
            None => Ok(Counter::default()),
            Some(below) => self.counter(Spot {
                branch: below.branch,
                at: below.at,
                ..directory
            }),
        }
    }

    /// The directory that a directory is in; `None` for the root of a mount.
    pub(crate) fn parent_of(
        &self,
        directory: Spot,
        record: &NodeRecord,
    ) -> Result<Option<(Spot, Name)>, Failure> {
        if !directory.is_trunk() {
            let chain = self.chain(directory)?;
            if chain.record.root == directory.node {
                let (branch, node) = chain.record.above;
                let above = Spot {
                    node,
                    branch,
                    ..directory
                };
                return Ok(Some((above, chain.record.name.clone())));
            }
        }
        let place = record.place.as_ref();
        Ok(place.map(|place| (directory.with_node(place.parent), place.name.clone())))
    }

    /// Where a directory is; `None` in a removed tree, or when that is longer than a path may be.
    pub(crate) fn path_of(&self, root: Spot, directory: Spot) -> Result<Option<NsPath>, Failure> {
        let mut names = Vec::new();
        let mut current = directory;
        while current != root && names.len() <= PATH_COMPONENTS_MAX {
            let Some(found) = self.node_record(current)? else {
                return Ok(None);
            };
            match self.parent_of(current, &found.record)? {
                Some((parent, name)) => {
                    names.push(name);
                    current = parent;
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

    /// A node with attributes; `None` when it does not exist.
    pub(crate) fn node(&self, spot: Spot) -> Result<Option<Node>, Failure> {
        let Some(found) = self.node_record(spot)? else {
            return Ok(None);
        };
        let counter = match found.record.is_directory() {
            true => self.counter(spot)?,
            false => Counter::default(),
        };
        Ok(Some(describe(spot, found.version, &found.record, &counter)))
    }

    /// A node that an entry leads to.
    pub(crate) fn child(&self, child: &Child) -> Result<Node, Failure> {
        self.node(child.spot)?.ok_or_else(|| dangling(child.node()))
    }

    /// The body of a node, with all its extents.
    pub(crate) fn body(&self, spot: Spot, record: &NodeRecord) -> Result<Body, Failure> {
        let stored = &record.body;
        let layout = match &stored.layout {
            StoredLayout::Inline(bytes) => Layout::Inline(bytes.clone()),
            StoredLayout::Embedded(extents) => Layout::Extents(extents.clone()),
            StoredLayout::Chunked(count) => {
                let node = spot.node;
                let layer = self.owning_layer(spot, record)?;
                let mut extents = Vec::new();
                for number in 0..stored.chunk_count() {
                    extents.extend(self.chunk(node, layer, record, number)?);
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
        Body::new(stored.size, stored.digest, layout).map_err(|flaw| {
            contradiction(format!(
                "the body of node {} is not valid: {flaw}",
                spot.node
            ))
        })
    }

    /// The layer that has the chunks of a body.
    fn owning_layer(&self, spot: Spot, record: &NodeRecord) -> Result<Layer, Failure> {
        let owner = record.owner.unwrap_or(spot.branch);
        let layers = self.layers(spot)?;
        let found = layers.iter().find(|layer| layer.branch == owner);
        found.copied().ok_or_else(|| {
            contradiction(format!(
                "the body of node {} belongs to branch {owner}, which its branch does not rest on",
                spot.node
            ))
        })
    }

    fn chunk(
        &self,
        node: NodeId,
        layer: Layer,
        record: &NodeRecord,
        number: u32,
    ) -> Result<Vec<Extent>, Failure> {
        let key = chunk::key(node, layer.branch, record.generation, number);
        let missing = || contradiction(format!("chunk {number} of node {node} is missing"));
        let found = self.get(&key, layer.at)?.ok_or_else(missing)?;
        let flaw = |flaw: Malformed| malformed(&key, &flaw);
        chunk::decode(&found.value, record.body.size).map_err(flaw)
    }

    /// The value of an extended attribute.
    pub(crate) fn xattr(&self, spot: Spot, name: &[u8]) -> Result<Option<Bytes>, Failure> {
        let key = |branch| xattr::key(spot.node, branch, name);
        let (_, layered) = self.resolve(spot, &key)?;
        Ok(layered.map(|Layered { layer, record, .. }| {
            Bytes::copy_from_slice(shown_value(layer.branch, &record.value))
        }))
    }

    /// The names of a node's extended attributes, in byte order.
    pub(crate) fn xattr_names(&self, spot: Spot) -> Result<Vec<Bytes>, Failure> {
        let mut names = BTreeSet::new();
        for layer in self.layers(spot)?.iter().rev() {
            let range = KeyRange::prefix(xattr::prefix(spot.node, layer.branch));
            let scan = self
                .engine
                .scan(xattr::KEYSPACE, range, layer.at, Direction::Forward)
                .map_err(from_engine)?;
            for item in scan {
                let (key, found) = item.map_err(from_engine)?;
                let name = xattr::name(&key)
                    .map_err(|flaw| malformed(&Key::new(xattr::KEYSPACE, &key), &flaw))?;
                let name = Bytes::copy_from_slice(name);
                match is_whiteout(layer.branch, &found.value) {
                    true => names.remove(&name),
                    false => names.insert(name),
                };
            }
        }
        Ok(names.into_iter().collect())
    }

    /// The extended attributes of a node.
    pub(crate) fn xattrs(&self, spot: Spot) -> Result<BTreeMap<Bytes, Bytes>, Failure> {
        let mut attributes = BTreeMap::new();
        for name in self.xattr_names(spot)? {
            let value = self.xattr(spot, &name)?.unwrap_or_default();
            attributes.insert(name, value);
        }
        Ok(attributes)
    }

    /// The target of a symbolic link.
    pub(crate) fn link_target(&self, link: Spot) -> Result<Bytes, Failure> {
        let node = link.node;
        let found = self.node_record(link)?.ok_or_else(|| dangling(node))?;
        match (found.record.kind, found.record.body.layout) {
            (NodeKind::Symlink, StoredLayout::Inline(target)) => Ok(target),
            _ => Err(contradiction(format!(
                "node {node} is not the symbolic link its entry says"
            ))),
        }
    }
}

/// Where an entry leads that a layer of a directory has. An entry of the layer's own branch leads
/// on in the chain of the directory; any other leads into another branch: live if the uppermost
/// layer says so, else as it was when that layer was branched.
pub(super) fn lead(
    directory: Spot,
    layer: Layer,
    depth: usize,
    found: Found<EntryRecord>,
) -> Found<Child> {
    let EntryRecord { kind, branch, node } = found.record;
    let spot = if branch == layer.branch {
        directory.with_node(node)
    } else {
        let met = if depth == 0 {
            directory.met
        } else {
            Met::Through
        };
        Spot {
            node,
            branch,
            at: layer.at,
            met,
        }
    };
    Found {
        version: found.version,
        record: Child { kind, spot },
    }
}

pub(crate) fn dangling(node: NodeId) -> Failure {
    contradiction(format!(
        "an entry leads to node {node}, which does not exist"
    ))
}
