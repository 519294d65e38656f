//! What operations on bodies and attributes do.

use super::event::Event;
use super::layer::{Child, Kind};
use super::world::{At, Outcome, Spot, World};
use nokv_namespace::ChangeKind;
use nokv_types::Reason;
use std::collections::BTreeSet;

/// What must be in a place for a publish to happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expected {
    /// Whatever is allowed.
    Any,
    /// Nothing.
    Absent,
    /// A file with this generation.
    Generation(u64),
}

/// What is put in a place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Put {
    /// A file with this body.
    File(Vec<u8>),
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink(&'static str),
}

/// One path of a publish.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    /// Where.
    pub path: Vec<&'static str>,
    /// What.
    pub put: Put,
    /// How it looks.
    pub mode: u32,
    /// What must be there before.
    pub expected: Expected,
}

/// A change of an extended attribute.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum XattrChange {
    /// This value.
    Put(u8),
    /// This value, if there is none.
    Create(u8),
    /// This value, if there is one.
    Replace(u8),
    /// None, if there is one.
    Remove,
}

impl World {
    /// All items, or none.
    pub fn publish(&mut self, mount: u32, items: &[Item], parents: bool) -> Outcome<()> {
        let paths: BTreeSet<_> = items.iter().map(|item| &item.path).collect();
        if paths.len() < items.len() {
            return Err(Reason::InvalidArgument);
        }
        for item in items {
            let at = At::Path(mount, item.path.clone());
            if parents && !item.path.is_empty() {
                self.fill(&at)?;
            }
            self.publish_item(&at, item)?;
        }
        Ok(())
    }

    fn publish_item(&mut self, at: &At, item: &Item) -> Outcome<()> {
        let At::Path(mount, path) = at else {
            return Err(Reason::InvalidArgument);
        };
        if path.is_empty() {
            return self.publish_root(*mount, item);
        }
        let (directory, name) = self.place(at)?;
        let found = self.child(directory, &name);
        let spot = found.map(|child| self.spot(directory.layer, child));
        self.expect(spot, item.expected)?;
        let Some(spot) = spot else {
            self.create(directory, &name, item);
            return Ok(());
        };
        let now = self.now;
        match (&item.put, self.inode(spot).kind.clone()) {
            (Put::Directory, Kind::Directory) => {
                let inode = self.inode_mut(spot);
                (inode.mode, inode.mtime, inode.ctime) = (item.mode, Some(now), Some(now));
                self.events
                    .push(Event::new(spot.layer, ChangeKind::Attributes, spot.id));
            }
            (Put::Directory, _) => return Err(Reason::NotDirectory),
            (_, Kind::Directory) => return Err(Reason::IsDirectory),
            (Put::File(body), Kind::File(_)) => {
                let inode = self.inode_mut(spot);
                inode.kind = Kind::File(body.clone());
                inode.generation = inode.generation.map(|generation| generation + 1);
                (inode.mode, inode.mtime, inode.ctime) = (item.mode, Some(now), Some(now));
                let event = Event::new(spot.layer, ChangeKind::Published, spot.id);
                self.events.push(event.to(directory.id, &name));
            }
            _ => {
                self.set(directory, &name, None);
                self.unlinked(spot);
                self.create(directory, &name, item);
                if let Some(event) = self.events.last_mut() {
                    event.displaced = Some(spot.id);
                }
            }
        }
        Ok(())
    }

    fn publish_root(&mut self, mount: u32, item: &Item) -> Outcome<()> {
        if !self.layers.contains_key(&mount) {
            return Err(Reason::NotFound);
        }
        if item.put != Put::Directory {
            return Err(Reason::IsDirectory);
        }
        if item.expected != Expected::Any {
            return Err(Reason::AlreadyExists);
        }
        let root = self.root(mount);
        let now = self.now;
        let inode = self.inode_mut(root);
        (inode.mode, inode.mtime, inode.ctime) = (item.mode, Some(now), Some(now));
        self.events
            .push(Event::new(root.layer, ChangeKind::Attributes, root.id));
        Ok(())
    }

    fn expect(&self, found: Option<Spot>, expected: Expected) -> Outcome<()> {
        match (expected, found) {
            (Expected::Any, _) | (Expected::Absent, None) => Ok(()),
            (Expected::Absent, Some(_)) => Err(Reason::AlreadyExists),
            (Expected::Generation(_), None) => Err(Reason::NotFound),
            (Expected::Generation(wanted), Some(spot)) => {
                // What is not known is learned before anything is expected of it.
                match self.inode(spot).generation == Some(wanted) {
                    true => Ok(()),
                    false => Err(Reason::StaleGeneration),
                }
            }
        }
    }

    fn create(&mut self, directory: Spot, name: &str, item: &Item) {
        match &item.put {
            Put::Directory => self.add(directory, name, Kind::Directory, item.mode),
            Put::File(body) => self.add(directory, name, Kind::File(body.clone()), item.mode),
            Put::Symlink(target) => {
                let kind = Kind::Symlink((*target).to_string());
                self.add(directory, name, kind, item.mode)
            }
        };
    }

    /// chmod(2), utimensat(2), truncate(2).
    pub fn set_attributes(
        &mut self,
        at: &At,
        follow: bool,
        mode: Option<u32>,
        mtime: Option<i64>,
        size: Option<usize>,
    ) -> Outcome<()> {
        let spot = self.lookup(at, follow)?;
        let now = self.now;
        let inode = self.inode_mut(spot);
        if let Some(size) = size {
            match &mut inode.kind {
                Kind::File(body) if body.len() == size => {}
                Kind::File(body) => {
                    body.resize(size, 0);
                    inode.generation = inode.generation.map(|generation| generation + 1);
                    inode.mtime = Some(now);
                }
                Kind::Directory => return Err(Reason::IsDirectory),
                Kind::Symlink(_) | Kind::Pipe => return Err(Reason::InvalidArgument),
            }
        }
        inode.mode = mode.unwrap_or(inode.mode);
        inode.mtime = mtime.or(inode.mtime);
        inode.ctime = Some(now);
        self.events
            .push(Event::new(spot.layer, ChangeKind::Attributes, spot.id));
        Ok(())
    }

    /// setxattr(2), removexattr(2).
    pub fn set_xattr(
        &mut self,
        at: &At,
        follow: bool,
        name: &[u8],
        change: &XattrChange,
    ) -> Outcome<()> {
        let spot = self.lookup(at, follow)?;
        let now = self.now;
        let inode = self.inode_mut(spot);
        let there = inode.xattrs.contains_key(name);
        match change {
            XattrChange::Create(_) if there => return Err(Reason::AlreadyExists),
            XattrChange::Replace(_) | XattrChange::Remove if !there => {
                return Err(Reason::NotFound);
            }
            XattrChange::Remove => {
                inode.xattrs.remove(name);
            }
            XattrChange::Put(value) | XattrChange::Create(value) | XattrChange::Replace(value) => {
                inode.xattrs.insert(name.to_vec(), vec![*value; 2]);
            }
        }
        inode.ctime = Some(now);
        self.events
            .push(Event::new(spot.layer, ChangeKind::Xattr, spot.id));
        Ok(())
    }

    /// Whether a child of a layer is a directory.
    #[must_use]
    pub fn child_is_dir(&self, layer: u32, child: Child) -> bool {
        self.is_dir(self.spot(layer, child))
    }
}
