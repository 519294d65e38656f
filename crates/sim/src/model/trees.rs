//! Merging branches, and taking commands back.

use super::event::Event;
use super::layer::{Child, Id, Layer, LayerId};
use super::merge::{Choice, Merged, merge};
use super::world::{At, Outcome, Spot, TRUNK, World};
use nokv_namespace::ChangeKind;
use nokv_types::Reason;
use std::sync::Arc;

/// The three trees of a merge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Joined {
    /// The branch.
    pub branch: LayerId,
    /// The directory that it was made from.
    pub target: Spot,
    /// As it was then.
    pub base: Arc<Layer>,
    /// As it is.
    pub ours: Layer,
    /// The branch as it is.
    pub theirs: Layer,
}

impl World {
    /// The three trees of a merge of `source` into `target`.
    pub fn join(&self, source: &At, target: &At) -> Outcome<Joined> {
        let theirs = self.lookup(source, true)?;
        let ours = self.lookup(target, true)?;
        let origin = self
            .origins
            .get(&theirs.layer)
            .ok_or(Reason::InvalidArgument)?;
        let branch = self.layer(theirs.layer);
        if branch.root != theirs.id || ours.layer != origin.layer || ours.id != theirs.id {
            return Err(Reason::InvalidArgument);
        }
        Ok(Joined {
            branch: theirs.layer,
            target: ours,
            base: Arc::clone(&origin.base),
            ours: self.layer(ours.layer).part(ours.id),
            theirs: branch.clone(),
        })
    }

    /// Whether nothing of the three trees has names in the target's layer outside of the target:
    /// only then three trees say all.
    #[must_use]
    pub fn is_closed(&self, joined: &Joined) -> bool {
        let whole = self.layer(joined.target.layer);
        let inside = whole.below(joined.target.id);
        let nodes = joined.base.nodes.keys().chain(joined.theirs.nodes.keys());
        let mut all = nodes.chain(joined.ours.nodes.keys());
        let outside = |id: &Id| {
            whole.names.iter().any(|(at, child)| {
                *child == Child::Node(*id) && !inside.contains(&at.0) && *id != joined.target.id
            })
        };
        !all.any(outside)
    }

    /// Puts the merged tree in place of the target's, and the branch on it.
    pub fn put_merged(&mut self, joined: &Joined, merged: &Layer) {
        let target = joined.target;
        let layer = self.layer_mut(target.layer);
        let inside = layer.below(target.id);
        let dirs: Vec<Id> = inside
            .iter()
            .copied()
            .filter(|id| layer.is_dir(*id))
            .collect();
        layer.names.retain(|at, _| !dirs.contains(&at.0));
        layer.nodes.retain(|id, _| !inside.contains(id));
        layer.names.extend(merged.names.clone());
        layer.nodes.extend(merged.nodes.clone());
        layer.sweep();
        self.rest(joined);
    }

    /// The branch shows what its target shows, and goes on from there.
    pub fn rest(&mut self, joined: &Joined) {
        let part = self.layer(joined.target.layer).part(joined.target.id);
        self.changed.remove(&joined.branch);
        if let Some(origin) = self.origins.get_mut(&joined.branch) {
            origin.base = Arc::new(part.clone());
        }
        self.layers.insert(joined.branch, Arc::new(part));
        self.sweep();
    }

    /// What taking back the change from `before` to `after` of a layer comes to.
    #[must_use]
    pub fn undone(&self, layer: LayerId, before: &Self, after: &Self) -> Merged {
        merge(
            after.layer(layer),
            self.layer(layer),
            before.layer(layer),
            Choice::Fail,
        )
    }

    /// Puts another state in place of a layer's.
    pub fn put_layer(&mut self, id: LayerId, layer: Layer) {
        self.layers.insert(id, Arc::new(layer));
        self.sweep();
    }

    /// The layers that differ from those of another world.
    #[must_use]
    pub fn differing(&self, other: &Self) -> Vec<LayerId> {
        let ids = self.layers.keys().chain(other.layers.keys());
        let ids: std::collections::BTreeSet<_> = ids.copied().collect();
        let differs = |id: &LayerId| self.layers.get(id) != other.layers.get(id);
        ids.into_iter().filter(differs).collect()
    }

    /// Branches that an operation changed are no longer what they were made from.
    pub fn note_changes(&mut self, before: &Self) {
        for id in self.differing(before) {
            if before.layers.contains_key(&id) && self.origins.contains_key(&id) {
                self.changed.insert(id);
            }
        }
        let origins = &self.origins;
        self.changed.retain(|id| origins.contains_key(id));
    }

    /// Announces something about the root of the first mount.
    pub fn announce_root(&mut self, kind: ChangeKind) {
        let root = self.root(TRUNK);
        self.events.push(Event::new(TRUNK, kind, root.id));
    }

    /// A directory with all that is below it.
    #[must_use]
    pub fn part(&self, spot: Spot) -> Layer {
        self.layer(spot.layer).part(spot.id)
    }

    /// Whether a place is a branch that never changed since it was made or merged.
    #[must_use]
    pub fn rests(&self, place: &At) -> bool {
        let found = self.lookup(place, true).ok();
        let origins = &self.origins;
        let branch = found.filter(|spot| origins.contains_key(&spot.layer));
        branch.is_some_and(|spot| !self.changed.contains(&spot.layer))
    }

    /// A branch that was merged rests on that, whatever changed in it since `before`.
    pub fn rested_if(&mut self, before: &Self) {
        for (id, origin) in &self.origins {
            let was = before.origins.get(id);
            if was.is_some_and(|was| !Arc::ptr_eq(&was.base, &origin.base)) {
                self.changed.remove(id);
            }
        }
    }

    /// Whether directories are gone that were there before.
    #[must_use]
    pub fn removed_trees(&self, before: &Self) -> bool {
        before.layers.iter().any(|(id, was)| {
            let is = self.layers.get(id);
            let gone = |node: &Id| was.is_dir(*node) && !is.is_some_and(|is| is.is_dir(*node));
            was.nodes.keys().any(gone)
        })
    }

    /// What was made before the run has times that only looking shows.
    pub fn forget_times(&mut self, spot: Spot) {
        let inode = self.inode_mut(spot);
        (inode.mtime, inode.ctime) = (None, None);
    }

    /// Takes what was announced.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }
}
