//! All layers, and how paths lead through them.

use super::event::Event;
use super::layer::{Child, Id, Inode, Kind, Layer, LayerId};
use super::quota::Limits;
use nokv_types::{Reason, Version};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What an operation says.
pub type Outcome<T> = Result<T, Reason>;
/// The trunk of the first mount.
pub const TRUNK: LayerId = 0;
/// Most symbolic links of one walk.
const FOLLOWS_MAX: usize = 40;

/// A node seen through a layer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Spot {
    /// The layer.
    pub layer: LayerId,
    /// The node.
    pub id: Id,
}

/// How an operation names an entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum At {
    /// By path from the root of a mount's trunk.
    Path(LayerId, Vec<&'static str>),
    /// By a directory node and a name.
    Child(Spot, &'static str),
}

/// A branch's origin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The layer that it was made from.
    pub layer: LayerId,
    /// The part of it, as it was.
    pub base: Arc<Layer>,
}

/// A snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Snapshot {
    /// The version that it shows.
    pub at: Version,
    /// When its lease ends, milliseconds since 1970.
    pub end: Option<u64>,
}

/// Everything at one version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct World {
    /// Trunks and branches.
    pub layers: BTreeMap<LayerId, Arc<Layer>>,
    /// What branches were made from.
    pub origins: BTreeMap<LayerId, Origin>,
    /// Branches that were changed since they were made or merged.
    pub changed: BTreeSet<LayerId>,
    /// Names of mounts.
    pub mounts: BTreeMap<String, LayerId>,
    /// Snapshots of the root of the first mount.
    pub snapshots: BTreeMap<u8, Snapshot>,
    /// Limits of directories of trunks.
    pub quotas: BTreeMap<Spot, Limits>,
    /// The time of the operation, nanoseconds.
    pub now: i64,
    /// What the operation announces.
    pub events: Vec<Event>,
    /// Nodes made so far, in this and all other worlds of the run.
    pub next_id: Id,
    /// Layers made so far.
    pub next_layer: LayerId,
}

impl World {
    /// One mount with an empty root.
    #[must_use]
    pub fn new() -> Self {
        let mut world = Self {
            layers: BTreeMap::new(),
            origins: BTreeMap::new(),
            changed: BTreeSet::new(),
            mounts: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            quotas: BTreeMap::new(),
            now: 0,
            events: Vec::new(),
            next_id: 0,
            next_layer: 0,
        };
        world.mount("default");
        world
    }

    /// A new mount.
    pub fn mount(&mut self, name: &str) -> LayerId {
        let root = self.fresh_id();
        let layer = Layer {
            root,
            names: BTreeMap::new(),
            nodes: BTreeMap::from([(root, self.fresh(Kind::Directory, 0o755))]),
            lagging: BTreeSet::new(),
            outside: BTreeMap::new(),
        };
        let id = self.add_layer(layer);
        self.mounts.insert(name.to_string(), id);
        id
    }

    pub(super) fn add_layer(&mut self, layer: Layer) -> LayerId {
        let id = self.next_layer;
        self.next_layer += 1;
        self.layers.insert(id, Arc::new(layer));
        id
    }

    pub(super) fn fresh_id(&mut self) -> Id {
        self.next_id += 1;
        self.next_id - 1
    }

    pub(super) fn fresh(&self, kind: Kind, mode: u32) -> Inode {
        let generation = u64::from(matches!(kind, Kind::File(_)));
        Inode {
            kind,
            mode,
            generation: Some(generation),
            mtime: Some(self.now),
            ctime: Some(self.now),
            xattrs: BTreeMap::new(),
        }
    }

    /// A layer that exists.
    #[must_use]
    pub fn layer(&self, id: LayerId) -> &Layer {
        self.layers.get(&id).expect("a layer that exists")
    }

    pub(super) fn layer_mut(&mut self, id: LayerId) -> &mut Layer {
        Arc::make_mut(self.layers.get_mut(&id).expect("a layer that exists"))
    }

    /// A node that exists.
    #[must_use]
    pub fn inode(&self, spot: Spot) -> &Inode {
        self.layer(spot.layer)
            .nodes
            .get(&spot.id)
            .expect("a node that exists")
    }

    pub(super) fn inode_mut(&mut self, spot: Spot) -> &mut Inode {
        let nodes = &mut self.layer_mut(spot.layer).nodes;
        nodes.get_mut(&spot.id).expect("a node that exists")
    }

    /// Whether it exists and is a directory.
    #[must_use]
    pub fn is_dir(&self, spot: Spot) -> bool {
        self.layers
            .get(&spot.layer)
            .is_some_and(|layer| layer.is_dir(spot.id))
    }

    /// The node that a child of a layer is.
    #[must_use]
    pub fn spot(&self, layer: LayerId, child: Child) -> Spot {
        match child {
            Child::Node(id) => Spot { layer, id },
            Child::Branch(layer) => Spot {
                layer,
                id: self.layer(layer).root,
            },
        }
    }

    /// What a name in a directory leads to.
    #[must_use]
    pub fn child(&self, directory: Spot, name: &str) -> Option<Child> {
        let layer = self.layers.get(&directory.layer)?;
        layer.names.get(&(directory.id, name.to_string())).copied()
    }

    fn look(&self, directory: Spot, name: &str) -> Option<Spot> {
        let child = self.child(directory, name)?;
        Some(self.spot(directory.layer, child))
    }

    /// The root of a mount.
    #[must_use]
    pub fn root(&self, layer: LayerId) -> Spot {
        self.spot(layer, Child::Branch(layer))
    }

    /// Where a branch hangs.
    #[must_use]
    pub fn hangs_at(&self, branch: LayerId) -> Option<(Spot, String)> {
        self.layers.iter().find_map(|(layer, names)| {
            let found = names
                .names
                .iter()
                .find(|(_, child)| **child == Child::Branch(branch));
            found.map(|((id, name), _)| {
                let directory = Spot {
                    layer: *layer,
                    id: *id,
                };
                (directory, name.clone())
            })
        })
    }

    fn parent(&self, directory: Spot) -> Spot {
        let layer = self.layer(directory.layer);
        if directory.id == layer.root {
            return self
                .hangs_at(directory.layer)
                .map_or(directory, |(parent, _)| parent);
        }
        let place = layer
            .place_of(directory.id)
            .expect("a directory that exists has a place");
        Spot {
            layer: directory.layer,
            id: place.0,
        }
    }

    /// The directory and the name of a place; it need not be taken.
    pub fn place(&self, at: &At) -> Outcome<(Spot, String)> {
        match at {
            At::Child(directory, name) => Ok((*directory, (*name).to_string())),
            At::Path(mount, path) => {
                self.mounted(*mount)?;
                let (name, parents) = path.split_last().ok_or(Reason::NotPermitted)?;
                let directory = self.directory(*mount, parents, &mut 0)?;
                Ok((directory, (*name).to_string()))
            }
        }
    }

    fn mounted(&self, mount: LayerId) -> Outcome<()> {
        match self.layers.contains_key(&mount) {
            true => Ok(()),
            false => Err(Reason::NotFound),
        }
    }

    fn directory(&self, mount: LayerId, names: &[&str], follows: &mut usize) -> Outcome<Spot> {
        let mut current = self.root(mount);
        for name in names {
            let child = self.look(current, name).ok_or(Reason::NotFound)?;
            current = self.as_directory(mount, current, child, follows)?;
        }
        Ok(current)
    }

    pub(super) fn as_directory(
        &self,
        mount: LayerId,
        parent: Spot,
        spot: Spot,
        follows: &mut usize,
    ) -> Outcome<Spot> {
        let end = match &self.inode(spot).kind {
            Kind::Symlink(target) => self.follow(mount, parent, target, follows)?,
            _ => spot,
        };
        match self.is_dir(end) {
            true => Ok(end),
            false => Err(Reason::NotDirectory),
        }
    }

    fn follow(
        &self,
        mount: LayerId,
        parent: Spot,
        target: &str,
        follows: &mut usize,
    ) -> Outcome<Spot> {
        *follows += 1;
        if *follows > FOLLOWS_MAX {
            return Err(Reason::SymlinkLoop);
        }
        let mut current = match target.starts_with('/') {
            true => self.root(mount),
            false => parent,
        };
        let parts: Vec<_> = target
            .split('/')
            .filter(|part| !matches!(*part, "" | "."))
            .collect();
        for (index, part) in parts.iter().enumerate() {
            if *part == ".." {
                current = self.parent(current);
                continue;
            }
            let child = self.look(current, part).ok_or(Reason::NotFound)?;
            if index + 1 == parts.len() {
                return match &self.inode(child).kind {
                    Kind::Symlink(next) => self.follow(mount, current, next, follows),
                    _ => Ok(child),
                };
            }
            current = self.as_directory(mount, current, child, follows)?;
        }
        Ok(current)
    }

    /// The node at a place; a link at its end is followed if asked.
    pub fn lookup(&self, at: &At, follow: bool) -> Outcome<Spot> {
        let mut follows = 0;
        let (mount, directory, name) = match at {
            At::Child(directory, name) => (directory.layer, *directory, *name),
            At::Path(mount, path) => {
                self.mounted(*mount)?;
                let Some((name, parents)) = path.split_last() else {
                    return Ok(self.root(*mount));
                };
                (
                    *mount,
                    self.directory(*mount, parents, &mut follows)?,
                    *name,
                )
            }
        };
        let spot = self.look(directory, name).ok_or(Reason::NotFound)?;
        match &self.inode(spot).kind {
            Kind::Symlink(target) if follow => self.follow(mount, directory, target, &mut follows),
            _ => Ok(spot),
        }
    }

    /// Layers that no name leads to any more are gone, with what depends on them.
    pub(super) fn sweep(&mut self) {
        loop {
            let hung: BTreeSet<LayerId> = self
                .layers
                .values()
                .flat_map(|layer| layer.names.values())
                .filter_map(|child| match child {
                    Child::Branch(layer) => Some(*layer),
                    Child::Node(_) => None,
                })
                .chain(self.mounts.values().copied())
                .collect();
            let before = self.layers.len();
            self.layers.retain(|id, _| hung.contains(id));
            if self.layers.len() == before {
                break;
            }
        }
        let layers = &self.layers;
        self.origins.retain(|id, _| layers.contains_key(id));
        let is_dir = |spot: &Spot| {
            layers
                .get(&spot.layer)
                .is_some_and(|layer| layer.is_dir(spot.id))
        };
        self.quotas.retain(|spot, _| is_dir(spot));
    }

    /// A node that only looking has shown.
    pub fn new_id(&mut self) -> Id {
        self.fresh_id()
    }

    /// Takes in what looking has shown of a node, where it was not known.
    pub fn learn(&mut self, spot: Spot, generation: u64, mtime: i64, ctime: i64) {
        let inode = self.inode(spot);
        if inode.generation.is_some() && inode.mtime.is_some() && inode.ctime.is_some() {
            return;
        }
        let inode = self.inode_mut(spot);
        inode.generation.get_or_insert(generation);
        inode.mtime.get_or_insert(mtime);
        inode.ctime.get_or_insert(ctime);
    }

    /// Whether two worlds have the same names and nodes.
    #[must_use]
    pub fn same_state(&self, other: &Self) -> bool {
        self.layers == other.layers
            && self.quotas == other.quotas
            && self.mounts == other.mounts
            && self.snapshots == other.snapshots
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}
