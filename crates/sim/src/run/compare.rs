//! The namespace at a version beside the model of it: every name, node, body and attribute.

use super::Run;
use crate::model::{Child, Id, Inode, Kind, Layer, LayerId, Spot, World};
use crate::violation::{Violation, broken};
use nokv_namespace::{DirEntry, Follow, Node, View};
use nokv_types::{BranchId, Failure, NodeId, NodeKind, Version};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Entries of a page: small, so that directories have several.
const PAGE_ENTRIES: usize = 3;

/// Which node of the store is which of the model.
#[derive(Clone, Default)]
pub(crate) struct Known {
    pub(crate) nodes: BTreeMap<Id, NodeId>,
    pub(crate) ids: BTreeMap<NodeId, Id>,
    pub(crate) branches: BTreeMap<LayerId, BranchId>,
    pub(crate) layers: BTreeMap<BranchId, LayerId>,
}

impl Known {
    /// Whether the two may be the same node; remembers that they are.
    pub(crate) fn is(&mut self, id: Id, node: NodeId) -> bool {
        *self.nodes.entry(id).or_insert(node) == node && *self.ids.entry(node).or_insert(id) == id
    }

    /// Forgets nodes and layers that no world has.
    pub(crate) fn retain(&mut self, live: &BTreeSet<Id>, layers: &BTreeSet<LayerId>) {
        self.branches.retain(|layer, _| layers.contains(layer));
        self.layers.retain(|_, layer| layers.contains(layer));
        self.nodes.retain(|id, _| live.contains(id));
        self.ids.retain(|_, id| live.contains(id));
    }

    fn is_layer(&mut self, layer: LayerId, branch: BranchId) -> bool {
        branch == BranchId::TRUNK
            || *self.branches.entry(layer).or_insert(branch) == branch
                && *self.layers.entry(branch).or_insert(layer) == layer
    }
}

/// A walk through a version.
struct Walk<'r> {
    run: &'r mut Run,
    view: View,
    hasher: DefaultHasher,
    /// What the model learns from looking.
    learned: Vec<(Spot, u64, i64, i64)>,
}

/// Why a walk ended early.
pub(super) enum Stop {
    /// The namespace refused.
    Failed(Failure),
    /// It is not as in the model.
    Wrong(Violation),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Violation> for Stop {
    fn from(violation: Violation) -> Self {
        Self::Wrong(violation)
    }
}

impl Run {
    /// Compares a version with a world; what it looks like, byte for byte, must always be the same.
    pub(super) fn compare(&mut self, version: Version, world: &World) -> Result<(), Stop> {
        let mounts: Vec<_> = world.mounts.clone().into_iter().collect();
        let mut learned = Vec::new();
        for (name, layer) in mounts {
            let Ok(mount) = self.namespace.mount(&name) else {
                continue;
            };
            // One that was retired can't be read, and its name may be another's.
            if self.mounts.get(&layer) != Some(&mount.id) {
                continue;
            }
            let view = View::latest(mount.id).at(version);
            let mut walk = Walk {
                run: self,
                view,
                hasher: DefaultHasher::new(),
                learned: Vec::new(),
            };
            let root = walk.run.namespace.lookup(&view, mount.root, Follow::No)?;
            walk.node(&root, world, world.root(layer))?;
            let digest = walk.hasher.finish();
            learned.append(&mut walk.learned);
            let first = *self.digests.entry((version, layer)).or_insert(digest);
            if first != digest {
                let text = format!("{name} at {version} is not what it was when first read");
                broken::<()>("repeatable-reads", text)?;
            }
        }
        self.learn(world, learned);
        Ok(())
    }

    /// What looking said of the newest world, where the model did not know.
    fn learn(&mut self, world: &World, learned: Vec<(Spot, u64, i64, i64)>) {
        let newest = self.history.last_mut();
        let Some(moment) = newest.filter(|moment| std::ptr::eq(&raw const *moment.world, world))
        else {
            return;
        };
        let world = std::sync::Arc::make_mut(&mut moment.world);
        for (spot, generation, mtime, ctime) in learned {
            world.learn(spot, generation, mtime, ctime);
        }
    }

    /// A whole layer as it is, where the model can't say; nodes that it does not know are new.
    pub(super) fn look(
        &mut self,
        version: Version,
        world: &mut World,
        layer: LayerId,
    ) -> Result<Layer, Stop> {
        let mount = self.namespace.default_mount();
        let branch = self
            .known
            .branches
            .get(&layer)
            .copied()
            .unwrap_or(BranchId::TRUNK);
        let view = View {
            mount,
            branch,
            at: Some(version),
        };
        let before = world.layer(layer).clone();
        let before_names = before.names.clone();
        let root = *self.known.nodes.get(&before.root).expect("a root is known");
        let mut found = Layer {
            names: BTreeMap::new(),
            nodes: BTreeMap::new(),
            ..before
        };
        let mut pending = vec![self.namespace.lookup(&view, root, Follow::No)?];
        let mut seen = BTreeSet::new();
        while let Some(node) = pending.pop() {
            let id = self.id_of(&node, world);
            if !seen.insert(id) {
                continue;
            }
            let inode = self.inode_of(&view, &node)?;
            found.nodes.insert(id, inode);
            if node.attributes.kind != NodeKind::Directory {
                continue;
            }
            for entry in self.entries(&view, node.id)? {
                let child = match entry.node.branch == branch {
                    true => Child::Node(self.id_of(&entry.node, world)),
                    // Merges neither make nor end branches.
                    false => *before_names
                        .get(&(id, entry.name.to_string()))
                        .expect("a branch hangs where it hung"),
                };
                found.names.insert((id, entry.name.to_string()), child);
                if entry.node.branch == branch {
                    pending.push(entry.node);
                }
            }
        }
        Ok(found)
    }

    fn id_of(&mut self, node: &Node, world: &mut World) -> Id {
        if let Some(id) = self.known.ids.get(&node.id) {
            return *id;
        }
        let id = world.new_id();
        self.known.is(id, node.id);
        id
    }

    fn entries(&self, view: &View, directory: NodeId) -> Result<Vec<DirEntry>, Stop> {
        let mut entries = Vec::new();
        let mut after = None;
        loop {
            let page =
                self.namespace
                    .read_dir_plus(view, directory, after.as_ref(), PAGE_ENTRIES)?;
            let directory_size = page.directory.attributes.size;
            entries.extend(page.entries);
            after = page.next;
            if after.is_none() {
                if directory_size != entries.len() as u64 {
                    let text = format!("{directory} says {directory_size}: {entries:?}");
                    broken::<()>("counted", text)?;
                }
                return Ok(entries);
            }
        }
    }

    fn inode_of(&self, view: &View, node: &Node) -> Result<Inode, Stop> {
        let kind = match node.attributes.kind {
            NodeKind::Directory => Kind::Directory,
            NodeKind::Symlink => {
                let target = self.namespace.read_link(view, node.id)?;
                Kind::Symlink(String::from_utf8_lossy(&target).into_owned())
            }
            NodeKind::File => {
                let (_, body) = self.namespace.body(view, node.id)?;
                match body.layout() {
                    nokv_types::Layout::Inline(bytes) => Kind::File(bytes.to_vec()),
                    nokv_types::Layout::Extents(_) => {
                        Kind::File(vec![0; usize::try_from(body.size()).unwrap_or(0)])
                    }
                }
            }
            _ => Kind::Pipe,
        };
        let mut xattrs = BTreeMap::new();
        for name in self.namespace.xattrs(view, node.id, Follow::No)? {
            let value = self.namespace.xattr(view, node.id, Follow::No, &name)?;
            xattrs.insert(name.to_vec(), value.to_vec());
        }
        Ok(Inode {
            kind,
            mode: node.attributes.mode,
            generation: Some(node.generation.get()),
            mtime: Some(node.attributes.mtime.get()),
            ctime: Some(node.attributes.ctime.get()),
            xattrs,
        })
    }
}

impl Walk<'_> {
    fn node(&mut self, node: &Node, world: &World, spot: Spot) -> Result<(), Stop> {
        let wrong = |what: &str, is: &dyn std::fmt::Debug, wanted: &dyn std::fmt::Debug| {
            let text = format!("{what} of {node:?} is {is:?}, must be {wanted:?}");
            broken::<()>("equals-the-model", text)
        };
        format!("{node:?}").hash(&mut self.hasher);
        let known = &mut self.run.known;
        if !known.is(spot.id, node.id) || !known.is_layer(spot.layer, node.branch) {
            let is = known.ids.get(&node.id).copied();
            wrong("identity", &is, &spot)?;
        }
        let view = View {
            branch: node.branch,
            ..self.view
        };
        let wanted = world.inode(spot);
        let found = self.run.inode_of(&view, node)?;
        format!("{found:?}").hash(&mut self.hasher);
        if found.kind != wanted.kind {
            wrong("content", &found.kind, &wanted.kind)?;
        }
        if found.mode != wanted.mode {
            wrong("mode", &found.mode, &wanted.mode)?;
        }
        if found.xattrs != wanted.xattrs {
            wrong("attributes", &found.xattrs, &wanted.xattrs)?;
        }
        let layer = world.layer(spot.layer);
        let lags = layer.lagging.contains(&spot.id);
        let learned = (
            spot,
            node.generation.get(),
            node.attributes.mtime.get(),
            node.attributes.ctime.get(),
        );
        if wanted.mtime.is_some() && found.mtime != wanted.mtime {
            wrong("mtime", &found.mtime, &wanted.mtime)?;
        }
        // The time of a directory's record and that of its entries: the later one shows.
        let later = wanted.kind == Kind::Directory && found.ctime > wanted.ctime;
        if wanted.ctime.is_some() && found.ctime != wanted.ctime && !lags && !later {
            wrong("ctime", &found.ctime, &wanted.ctime)?;
        }
        if matches!(wanted.kind, Kind::File(_))
            && wanted
                .generation
                .is_some_and(|wanted| wanted != node.generation.get())
        {
            wrong("generation", &node.generation, &wanted.generation)?;
        }
        self.learned.push(learned);
        let links = layer.links(spot.id, |child| world.child_is_dir(spot.layer, child));
        let is = node.attributes.links as usize;
        if is < links || is > links && !lags {
            wrong("links", &is, &links)?;
        }
        match wanted.kind {
            Kind::Directory => self.entries(&view, node, world, spot),
            _ => Ok(()),
        }
    }

    fn entries(&mut self, view: &View, node: &Node, world: &World, at: Spot) -> Result<(), Stop> {
        let entries = self.run.entries(view, node.id)?;
        let names: Vec<_> = entries.iter().map(|entry| entry.name.to_string()).collect();
        let layer = world.layer(at.layer);
        let wanted: Vec<_> = layer.entries(at.id).map(|(name, _)| name.clone()).collect();
        if names != wanted {
            let text = format!(
                "{at:?} at {:?} has {names:?}, must have {wanted:?}",
                self.view.at
            );
            broken::<()>("equals-the-model", text)?;
        }
        for (entry, (_, child)) in entries.iter().zip(layer.entries(at.id)) {
            self.node(&entry.node, world, world.spot(at.layer, child))?;
        }
        Ok(())
    }
}
