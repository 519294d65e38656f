//! What operations on names do.

use super::event::Event;
use super::layer::{Child, Id, Kind, LayerId};
use super::world::{At, Origin, Outcome, Spot, World};
use nokv_namespace::ChangeKind;
use nokv_types::Reason;
use std::sync::Arc;

/// What a rename does when the name is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rename {
    /// As rename(2).
    Plain,
    /// It must be free.
    NoReplace,
    /// The two change places.
    Exchange,
}

/// What may be removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Removal {
    /// Anything but a directory.
    File,
    /// A directory without entries.
    EmptyDirectory,
    /// Anything.
    Tree,
}

impl World {
    pub(super) fn touch(&mut self, directory: Spot) {
        let now = Some(self.now);
        let inode = self.inode_mut(directory);
        (inode.mtime, inode.ctime) = (now, now);
    }

    pub(super) fn set(&mut self, directory: Spot, name: &str, child: Option<Child>) {
        let names = &mut self.layer_mut(directory.layer).names;
        let at = (directory.id, name.to_string());
        match child {
            Some(child) => names.insert(at, child),
            None => names.remove(&at),
        };
        self.touch(directory);
    }

    /// A new node under a free name.
    pub(super) fn add(&mut self, directory: Spot, name: &str, kind: Kind, mode: u32) -> Spot {
        let id = self.fresh_id();
        let inode = self.fresh(kind, mode);
        self.layer_mut(directory.layer).nodes.insert(id, inode);
        self.set(directory, name, Some(Child::Node(id)));
        let event = Event::new(directory.layer, ChangeKind::Created, id);
        self.events.push(event.to(directory.id, name));
        Spot {
            layer: directory.layer,
            id,
        }
    }

    /// A name of a node went: its ctime moves if it has others.
    pub(super) fn unlinked(&mut self, spot: Spot) {
        let now = Some(self.now);
        self.inode_mut(spot).ctime = now;
        self.layer_mut(spot.layer).sweep();
        self.sweep();
    }

    /// A free name in a live directory.
    fn free(&self, at: &At) -> Outcome<(Spot, String)> {
        let (directory, name) = self.place(at)?;
        self.live(directory)?;
        match self.child(directory, &name) {
            Some(_) => Err(Reason::AlreadyExists),
            None => Ok((directory, name)),
        }
    }

    /// A directory that was given as a node may be gone.
    pub(super) fn live(&self, directory: Spot) -> Outcome<()> {
        match self.is_dir(directory) {
            true => Ok(()),
            false => Err(Reason::NotFound),
        }
    }

    /// mkdir(1), with `-p` if `parents`.
    pub fn make_dir(&mut self, at: &At, mode: u32, parents: bool) -> Outcome<()> {
        if parents {
            match self.lookup(at, true) {
                Ok(spot) if self.is_dir(spot) => return Ok(()),
                Ok(_) | Err(Reason::NotFound) => {}
                Err(reason) => return Err(reason),
            }
            self.fill(at)?;
        }
        let (directory, name) = self.free(at)?;
        self.add(directory, &name, Kind::Directory, mode);
        Ok(())
    }

    /// Makes the missing parents of a path.
    pub(super) fn fill(&mut self, at: &At) -> Outcome<()> {
        let At::Path(mount, path) = at else {
            return Ok(());
        };
        if !self.layers.contains_key(mount) {
            return Err(Reason::NotFound);
        }
        let (mut current, mut follows) = (self.root(*mount), 0);
        for name in path.split_last().map_or(&[][..], |(_, parents)| parents) {
            current = match self.child(current, name) {
                Some(child) => {
                    let spot = self.spot(current.layer, child);
                    self.as_directory(*mount, current, spot, &mut follows)?
                }
                None => self.add(current, name, Kind::Directory, 0o755),
            };
        }
        Ok(())
    }

    /// mknod(2), symlink(2).
    pub fn make_node(&mut self, at: &At, kind: Kind, mode: u32) -> Outcome<()> {
        let (directory, name) = self.free(at)?;
        let is_empty_file = kind == Kind::File(Vec::new());
        let spot = self.add(directory, &name, kind, mode);
        if is_empty_file {
            self.inode_mut(spot).generation = Some(0);
        }
        Ok(())
    }

    /// link(2).
    pub fn link(&mut self, from: &At, to: &At) -> Outcome<()> {
        let spot = self.lookup(from, false)?;
        if self.is_dir(spot) {
            return Err(Reason::NotPermitted);
        }
        let (directory, name) = self.free(to)?;
        if spot.layer != directory.layer {
            return Err(Reason::CrossesBoundary);
        }
        self.set(directory, &name, Some(Child::Node(spot.id)));
        let now = Some(self.now);
        self.inode_mut(spot).ctime = now;
        let event = Event::new(directory.layer, ChangeKind::Created, spot.id);
        self.events.push(event.to(directory.id, &name));
        Ok(())
    }

    /// rename(2), renameat2(2).
    pub fn rename(&mut self, from: &At, to: &At, mode: Rename) -> Outcome<()> {
        let (from, from_name) = self.place(from)?;
        let (to, to_name) = self.place(to)?;
        let moved = self.child(from, &from_name).ok_or(Reason::NotFound)?;
        let taken = self.child(to, &to_name);
        self.live(to)?;
        if from.layer != to.layer {
            return Err(Reason::CrossesBoundary);
        }
        match mode {
            Rename::Exchange => {
                let taken = taken.ok_or(Reason::NotFound)?;
                self.exchange((from, &from_name), moved, (to, &to_name), taken)
            }
            Rename::NoReplace if taken.is_some() => Err(Reason::AlreadyExists),
            _ => self.replace((from, &from_name), moved, (to, &to_name), taken),
        }
    }

    /// Whether `directory` lies in what is moved.
    fn is_inside(&self, moved: Spot, directory: Spot) -> bool {
        if !self.is_dir(moved) {
            return false;
        }
        let mut current = directory;
        loop {
            if current.layer == moved.layer
                && self.layer(current.layer).is_below(current.id, moved.id)
            {
                return true;
            }
            match self.hangs_at(current.layer) {
                Some((above, _)) => current = above,
                None => return false,
            }
        }
    }

    fn exchange(
        &mut self,
        (from, from_name): (Spot, &str),
        moved: Child,
        (to, to_name): (Spot, &str),
        taken: Child,
    ) -> Outcome<()> {
        if moved == taken {
            return Ok(());
        }
        let (source, target) = (self.spot(from.layer, moved), self.spot(to.layer, taken));
        if self.is_inside(source, to) || self.is_inside(target, from) {
            return Err(Reason::InvalidArgument);
        }
        self.arrive(moved, to, to_name);
        self.arrive(taken, from, from_name);
        let event = Event::new(from.layer, ChangeKind::Exchanged, source.id);
        let event = event.from(from.id, from_name).to(to.id, to_name);
        self.events.push(event.displaced(Some(target.id)));
        Ok(())
    }

    fn replace(
        &mut self,
        (from, from_name): (Spot, &str),
        moved: Child,
        (to, to_name): (Spot, &str),
        taken: Option<Child>,
    ) -> Outcome<()> {
        if taken == Some(moved) {
            return Ok(());
        }
        let source = self.spot(from.layer, moved);
        if self.is_inside(source, to) {
            return Err(Reason::InvalidArgument);
        }
        let target = taken.map(|taken| self.spot(to.layer, taken));
        if let Some(target) = target {
            let full = || self.layer(target.layer).entries(target.id).next().is_some();
            match (self.is_dir(source), self.is_dir(target)) {
                (false, true) => return Err(Reason::IsDirectory),
                (true, false) => return Err(Reason::NotDirectory),
                (true, true) if full() => return Err(Reason::NotEmpty),
                _ => {}
            }
        }
        self.set(from, from_name, None);
        self.arrive(moved, to, to_name);
        match taken {
            Some(Child::Node(_)) => self.unlinked(target.expect("taken")),
            _ => self.sweep(),
        }
        let event = Event::new(from.layer, ChangeKind::Renamed, source.id);
        let event = event.from(from.id, from_name).to(to.id, to_name);
        self.events
            .push(event.displaced(target.map(|target| target.id)));
        Ok(())
    }

    fn arrive(&mut self, child: Child, directory: Spot, name: &str) {
        if let Child::Node(id) = child {
            let now = Some(self.now);
            let layer = directory.layer;
            self.inode_mut(Spot { layer, id }).ctime = now;
        }
        self.set(directory, name, Some(child));
    }

    /// unlink(2), rmdir(2), rm -r.
    pub fn remove(&mut self, at: &At, what: Removal) -> Outcome<()> {
        let (directory, name) = self.place(at)?;
        let child = self.child(directory, &name).ok_or(Reason::NotFound)?;
        let spot = self.spot(directory.layer, child);
        let full = self.layer(spot.layer).entries(spot.id).next().is_some();
        match (what, self.is_dir(spot)) {
            (Removal::File, true) => return Err(Reason::IsDirectory),
            (Removal::EmptyDirectory, false) => return Err(Reason::NotDirectory),
            (Removal::EmptyDirectory, true) if full => return Err(Reason::NotEmpty),
            _ => {}
        }
        if what == Removal::Tree && self.is_dir(spot) && matches!(child, Child::Node(_)) {
            let layer = self.layer_mut(directory.layer);
            let below = layer.below(spot.id);
            layer.lagging.extend(below);
        }
        self.set(directory, &name, None);
        match child {
            Child::Node(_) => self.unlinked(spot),
            Child::Branch(_) => self.sweep(),
        }
        let event = Event::new(directory.layer, ChangeKind::Removed, spot.id);
        self.events.push(event.from(directory.id, &name));
        Ok(())
    }

    /// A branch of a directory of `past` (this world, or an earlier one) under a free name.
    pub fn branch(&mut self, past: &Self, source: &At, to: &At) -> Outcome<LayerId> {
        let source = past.lookup(source, true)?;
        if !past.is_dir(source) {
            return Err(Reason::NotDirectory);
        }
        let (directory, name) = self.free(to)?;
        Ok(self.hang(past, source, directory, &name))
    }

    /// A branch of a directory of the past under a name.
    pub(super) fn hang(&mut self, past: &Self, source: Spot, at: Spot, name: &str) -> LayerId {
        let part = past.layer(source.layer).part(source.id);
        let origin = self.origin_of(past, source, &part);
        let layer = self.add_layer(part);
        self.origins.insert(layer, origin);
        self.set(at, name, Some(Child::Branch(layer)));
        let event = Event::new(at.layer, ChangeKind::Branched, source.id);
        self.events.push(event.to(at.id, name));
        layer
    }

    /// A branch of a branch that never changed is one of what that was made from.
    fn origin_of(&self, past: &Self, source: Spot, part: &super::Layer) -> Origin {
        let whole = past.layer(source.layer);
        if let Some(origin) = past.origins.get(&source.layer)
            && source.id == whole.root
            && !past.changed.contains(&source.layer)
        {
            return origin.clone();
        }
        Origin {
            layer: source.layer,
            base: Arc::new(part.clone()),
        }
    }

    /// Puts what a place held in the past in place of what it holds now.
    pub fn restore(&mut self, past: &Self, at: &At) -> Outcome<()> {
        let (directory, name) = self.place(at)?;
        let then = past.lookup(at, false)?;
        let now = self.child(directory, &name);
        if !past.is_dir(then) {
            return self.restore_file(past, then, (directory, &name));
        }
        let displaced = now.map(|child| self.spot(directory.layer, child).id);
        if let Some(Child::Node(id)) = now {
            let layer = self.layer_mut(directory.layer);
            if layer.is_dir(id) {
                let below = layer.below(id);
                layer.lagging.extend(below);
            }
        }
        self.hang(past, then, directory, &name);
        if let Some(event) = self.events.last_mut() {
            event.displaced = displaced;
        }
        if let Some(Child::Node(id)) = now {
            let layer = directory.layer;
            if self.layer(layer).nodes.contains_key(&id) {
                self.unlinked(Spot { layer, id });
            }
        }
        self.sweep();
        Ok(())
    }

    fn restore_file(&mut self, past: &Self, then: Spot, at: (Spot, &str)) -> Outcome<()> {
        let (directory, name) = at;
        let wanted = past.inode(then).clone();
        let now = self.child(directory, name);
        if now == Some(Child::Node(then.id)) {
            let time = Some(self.now);
            let inode = self.inode_mut(Spot {
                layer: directory.layer,
                id: then.id,
            });
            let generation = match inode.kind == wanted.kind {
                true => inode.generation,
                false => None,
            };
            *inode = super::Inode {
                ctime: time,
                generation,
                ..wanted
            };
            let event = Event::new(directory.layer, ChangeKind::Published, then.id);
            self.events.push(event.to(directory.id, name));
            return Ok(());
        }
        let displaced = now.map(|child| self.spot(directory.layer, child));
        if let Some(displaced) = displaced {
            let is_tree = self.is_dir(displaced);
            let layer = self.layer_mut(displaced.layer);
            if is_tree && displaced.layer == directory.layer {
                let below = layer.below(displaced.id);
                layer.lagging.extend(below);
            }
            self.set(directory, name, None);
            match now {
                Some(Child::Node(_)) => self.unlinked(displaced),
                _ => self.sweep(),
            }
        }
        let lives = self.layer(directory.layer).nodes.contains_key(&then.id);
        let id: Id = match lives {
            true => self.fresh_id(),
            false => then.id,
        };
        let made = super::Inode {
            ctime: Some(self.now),
            generation: None,
            ..wanted
        };
        self.layer_mut(directory.layer).nodes.insert(id, made);
        self.set(directory, name, Some(Child::Node(id)));
        let event = Event::new(directory.layer, ChangeKind::Created, id);
        let event = event.to(directory.id, name);
        self.events
            .push(event.displaced(displaced.map(|spot| spot.id)));
        Ok(())
    }
}
