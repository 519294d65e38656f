//! The state of the model and what each operation does to it.

use nokv_types::{Reason, TimeNanos};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) type Id = usize;
pub(crate) type Outcome<T> = Result<T, Reason>;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    File {
        body: Vec<u8>,
        generation: u64,
    },
    Directory {
        entries: BTreeMap<String, Id>,
        parent: Id,
    },
    Symlink(String),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Inode {
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) mtime: TimeNanos,
    pub(crate) ctime: TimeNanos,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Model {
    pub(crate) inodes: BTreeMap<Id, Inode>,
    next: Id,
    pub(crate) now: TimeNanos,
    /// Files that had names in a removed tree and live on: until the tree is taken apart in the
    /// background their link count is too high, and their ctime moves then.
    pub(crate) lagging: BTreeSet<Id>,
}

pub(crate) const ROOT: Id = 0;
const FOLLOWS_MAX: usize = 40;

/// Expectation of a publish.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expected {
    Any,
    Absent,
    Generation(u64),
}

impl Model {
    pub(crate) fn new(now: TimeNanos) -> Self {
        let kind = Kind::Directory {
            entries: BTreeMap::new(),
            parent: ROOT,
        };
        let root = Inode {
            kind,
            mode: 0o755,
            mtime: now,
            ctime: now,
        };
        Self {
            inodes: BTreeMap::from([(ROOT, root)]),
            next: 1,
            lagging: BTreeSet::new(),
            now,
        }
    }

    /// Bytes and names below a directory; each name counts.
    pub(crate) fn held(&self, id: Id) -> (u64, u64) {
        let mut held = (0, 0);
        for child in self
            .inodes
            .get(&id)
            .and_then(|_| self.entries(id))
            .into_iter()
            .flat_map(BTreeMap::values)
        {
            let below = match &self.inodes[child].kind {
                Kind::File { body, .. } => (body.len() as u64, 0),
                Kind::Symlink(target) => (target.len() as u64, 0),
                Kind::Directory { .. } => self.held(*child),
            };
            held = (held.0 + below.0, held.1 + below.1 + 1);
        }
        held
    }

    pub(crate) fn entries(&self, id: Id) -> Option<&BTreeMap<String, Id>> {
        match &self.inodes[&id].kind {
            Kind::Directory { entries, .. } => Some(entries),
            _ => None,
        }
    }

    pub(crate) fn links(&self, id: Id) -> usize {
        let directories = self.inodes.values().filter_map(|inode| match &inode.kind {
            Kind::Directory { entries, .. } => Some(entries),
            _ => None,
        });
        match self.entries(id) {
            Some(entries) => {
                2 + entries
                    .values()
                    .filter(|child| self.entries(**child).is_some())
                    .count()
            }
            None => directories
                .flat_map(BTreeMap::values)
                .filter(|child| **child == id)
                .count(),
        }
    }

    fn child(&self, directory: Id, name: &str) -> Option<Id> {
        self.entries(directory)
            .and_then(|entries| entries.get(name).copied())
    }

    /// Where `path` ends: the directory, the name, and what is there.
    pub(crate) fn place(&self, path: &[&str]) -> Outcome<(Id, String)> {
        let (name, parents) = path.split_last().ok_or(Reason::NotPermitted)?;
        Ok((self.directory(parents, &mut 0)?, (*name).to_string()))
    }

    fn directory(&self, names: &[&str], follows: &mut usize) -> Outcome<Id> {
        let mut current = ROOT;
        for name in names {
            let child = self.child(current, name).ok_or(Reason::NotFound)?;
            current = self.as_directory(current, child, follows)?;
        }
        Ok(current)
    }

    fn as_directory(&self, parent: Id, id: Id, follows: &mut usize) -> Outcome<Id> {
        match &self.inodes[&id].kind {
            Kind::Directory { .. } => Ok(id),
            Kind::File { .. } => Err(Reason::NotDirectory),
            Kind::Symlink(target) => {
                let end = self.follow(parent, target, follows)?;
                match self.inodes[&end].kind {
                    Kind::Directory { .. } => Ok(end),
                    _ => Err(Reason::NotDirectory),
                }
            }
        }
    }

    fn follow(&self, parent: Id, target: &str, follows: &mut usize) -> Outcome<Id> {
        *follows += 1;
        if *follows > FOLLOWS_MAX {
            return Err(Reason::SymlinkLoop);
        }
        let mut current = if target.starts_with('/') {
            ROOT
        } else {
            parent
        };
        let parts: Vec<_> = target
            .split('/')
            .filter(|part| !matches!(*part, "" | "."))
            .collect();
        for (index, part) in parts.iter().enumerate() {
            if *part == ".." {
                if let Kind::Directory { parent, .. } = self.inodes[&current].kind {
                    current = parent;
                }
                continue;
            }
            let child = self.child(current, part).ok_or(Reason::NotFound)?;
            if index + 1 == parts.len() {
                return match &self.inodes[&child].kind {
                    Kind::Symlink(next) => self.follow(current, next, follows),
                    _ => Ok(child),
                };
            }
            current = self.as_directory(current, child, follows)?;
        }
        Ok(current)
    }

    pub(crate) fn lookup(&self, path: &[&str], follow: bool) -> Outcome<Id> {
        if path.is_empty() {
            return Ok(ROOT);
        }
        let mut follows = 0;
        let (name, parents) = path.split_last().expect("not empty");
        let directory = self.directory(parents, &mut follows)?;
        let id = self.child(directory, name).ok_or(Reason::NotFound)?;
        match &self.inodes[&id].kind {
            Kind::Symlink(target) if follow => self.follow(directory, target, &mut follows),
            _ => Ok(id),
        }
    }

    fn touch(&mut self, directory: Id) {
        let now = self.now;
        let inode = self.inodes.get_mut(&directory).expect("a live directory");
        (inode.mtime, inode.ctime) = (now, now);
    }

    fn set(&mut self, directory: Id, name: &str, id: Option<Id>) {
        match &mut self.inodes.get_mut(&directory).expect("live").kind {
            Kind::Directory { entries, .. } => match id {
                Some(id) => drop(entries.insert(name.to_string(), id)),
                None => drop(entries.remove(name)),
            },
            _ => panic!("not a directory"),
        }
        self.touch(directory);
    }

    fn add(&mut self, directory: Id, name: &str, kind: Kind, mode: u32) -> Id {
        let id = self.next;
        self.next += 1;
        let inode = Inode {
            kind,
            mode,
            mtime: self.now,
            ctime: self.now,
        };
        self.inodes.insert(id, inode);
        self.set(directory, name, Some(id));
        id
    }

    /// Forgets what no name leads to.
    fn sweep(&mut self) {
        let mut live = vec![ROOT];
        let mut reached = BTreeSet::new();
        while let Some(id) = live.pop() {
            if reached.insert(id) {
                live.extend(self.entries(id).into_iter().flat_map(BTreeMap::values));
            }
        }
        self.inodes.retain(|id, _| reached.contains(id));
    }

    /// A name of `id` went: its ctime moves if it has others.
    fn unlinked(&mut self, id: Id) {
        let now = self.now;
        self.inodes.get_mut(&id).expect("live").ctime = now;
        self.sweep();
    }

    pub(crate) fn make_dir(&mut self, path: &[&str], mode: u32, parents: bool) -> Outcome<()> {
        if parents {
            if let Ok(id) = self.lookup(path, true)
                && self.entries(id).is_some()
            {
                return Ok(());
            }
            match self.lookup(path, true) {
                Ok(_) | Err(Reason::NotFound) => {}
                Err(reason) => return Err(reason),
            }
            self.fill(path)?;
        }
        let (directory, name) = self.place(path)?;
        if self.child(directory, &name).is_some() {
            return Err(Reason::AlreadyExists);
        }
        let kind = Kind::Directory {
            entries: BTreeMap::new(),
            parent: directory,
        };
        self.add(directory, &name, kind, mode);
        Ok(())
    }

    /// Makes the missing parents of a path.
    pub(crate) fn fill(&mut self, path: &[&str]) -> Outcome<()> {
        let (mut current, mut follows) = (ROOT, 0);
        for name in path.split_last().map_or(&[][..], |(_, parents)| parents) {
            current = match self.child(current, name) {
                Some(child) => self.as_directory(current, child, &mut follows)?,
                None => {
                    let kind = Kind::Directory {
                        entries: BTreeMap::new(),
                        parent: current,
                    };
                    self.add(current, name, kind, 0o755)
                }
            };
        }
        Ok(())
    }

    pub(crate) fn symlink(&mut self, path: &[&str], target: &str) -> Outcome<()> {
        let (directory, name) = self.place(path)?;
        if self.child(directory, &name).is_some() {
            return Err(Reason::AlreadyExists);
        }
        self.add(directory, &name, Kind::Symlink(target.to_string()), 0o777);
        Ok(())
    }

    pub(crate) fn link(&mut self, from: &[&str], to: &[&str]) -> Outcome<()> {
        let id = self.lookup(from, false)?;
        if self.entries(id).is_some() {
            return Err(Reason::NotPermitted);
        }
        let (directory, name) = self.place(to)?;
        if self.child(directory, &name).is_some() {
            return Err(Reason::AlreadyExists);
        }
        self.set(directory, &name, Some(id));
        let now = self.now;
        self.inodes.get_mut(&id).expect("live").ctime = now;
        Ok(())
    }

    pub(crate) fn publish(
        &mut self,
        path: &[&str],
        body: Vec<u8>,
        mode: u32,
        expected: Expected,
    ) -> Outcome<()> {
        let (directory, name) = self.place(path).map_err(|reason| match reason {
            Reason::NotPermitted => Reason::IsDirectory,
            reason => reason,
        })?;
        let found = self.child(directory, &name);
        let generation = found.map(|id| match self.inodes[&id].kind {
            Kind::File { generation, .. } => generation,
            _ => 0,
        });
        match (expected, generation) {
            (Expected::Absent, Some(_)) => return Err(Reason::AlreadyExists),
            (Expected::Generation(_), None) => return Err(Reason::NotFound),
            (Expected::Generation(wanted), Some(is)) if wanted != is => {
                return Err(Reason::StaleGeneration);
            }
            _ => {}
        }
        let now = self.now;
        match found {
            Some(id) => {
                let inode = self.inodes.get_mut(&id).expect("live");
                match &mut inode.kind {
                    Kind::Directory { .. } => return Err(Reason::IsDirectory),
                    Kind::File {
                        body: before,
                        generation,
                    } => {
                        *before = body;
                        *generation += 1;
                        (inode.mode, inode.mtime, inode.ctime) = (mode, now, now);
                    }
                    Kind::Symlink(_) => {
                        self.set(directory, &name, None);
                        self.unlinked(id);
                        self.add(
                            directory,
                            &name,
                            Kind::File {
                                body,
                                generation: 1,
                            },
                            mode,
                        );
                    }
                }
            }
            None => {
                self.add(
                    directory,
                    &name,
                    Kind::File {
                        body,
                        generation: 1,
                    },
                    mode,
                );
            }
        }
        Ok(())
    }

    fn is_below(&self, id: Id, ancestor: Id) -> bool {
        let mut current = id;
        loop {
            if current == ancestor {
                return true;
            }
            match self.inodes[&current].kind {
                Kind::Directory { parent, .. } if current != ROOT => current = parent,
                _ => return false,
            }
        }
    }

    pub(crate) fn rename(&mut self, from: &[&str], to: &[&str], mode: char) -> Outcome<()> {
        let (from_dir, from_name) = self.place(from)?;
        let (to_dir, to_name) = self.place(to)?;
        let source = self.child(from_dir, &from_name).ok_or(Reason::NotFound)?;
        let target = self.child(to_dir, &to_name);
        if mode == 'x' && target.is_none() {
            return Err(Reason::NotFound);
        }
        if mode == 'n' && target.is_some() {
            return Err(Reason::AlreadyExists);
        }
        if target == Some(source) {
            return Ok(());
        }
        let is_dir = |model: &Self, id| model.entries(id).is_some();
        if is_dir(self, source) && self.is_below(to_dir, source) {
            return Err(Reason::InvalidArgument);
        }
        if mode == 'x' {
            let target = target.expect("checked above");
            if is_dir(self, target) && self.is_below(from_dir, target) {
                return Err(Reason::InvalidArgument);
            }
            self.move_to(source, to_dir, &to_name);
            self.move_to(target, from_dir, &from_name);
            return Ok(());
        }
        if let Some(target) = target {
            match (is_dir(self, source), self.entries(target)) {
                (false, Some(_)) => return Err(Reason::IsDirectory),
                (true, None) => return Err(Reason::NotDirectory),
                (true, Some(entries)) if !entries.is_empty() => return Err(Reason::NotEmpty),
                _ => {}
            }
        }
        self.set(from_dir, &from_name, None);
        self.move_to(source, to_dir, &to_name);
        if let Some(target) = target {
            self.unlinked(target);
        }
        Ok(())
    }

    fn move_to(&mut self, id: Id, directory: Id, name: &str) {
        let now = self.now;
        let inode = self.inodes.get_mut(&id).expect("live");
        inode.ctime = now;
        if let Kind::Directory { parent, .. } = &mut inode.kind {
            *parent = directory;
        }
        self.set(directory, name, Some(id));
    }

    pub(crate) fn remove(&mut self, path: &[&str], what: char) -> Outcome<()> {
        let (directory, name) = self.place(path)?;
        let id = self.child(directory, &name).ok_or(Reason::NotFound)?;
        match (what, self.entries(id)) {
            ('f', Some(_)) => return Err(Reason::IsDirectory),
            ('d', None) => return Err(Reason::NotDirectory),
            ('d', Some(entries)) if !entries.is_empty() => return Err(Reason::NotEmpty),
            _ => {}
        }
        if what == 't' {
            let below: Vec<_> = self
                .inodes
                .keys()
                .copied()
                .filter(|file| self.has_name_below(*file, id))
                .collect();
            self.lagging.extend(below);
        }
        self.set(directory, &name, None);
        self.unlinked(id);
        Ok(())
    }

    fn has_name_below(&self, file: Id, ancestor: Id) -> bool {
        self.inodes.keys().any(|directory| {
            self.entries(*directory)
                .is_some_and(|entries| entries.values().any(|id| *id == file))
                && self.is_below(*directory, ancestor)
        })
    }

    pub(crate) fn set_attributes(
        &mut self,
        path: &[&str],
        follow: bool,
        mode: u32,
        mtime: Option<i64>,
    ) -> Outcome<()> {
        let id = self.lookup(path, follow)?;
        let now = self.now;
        let inode = self.inodes.get_mut(&id).expect("live");
        inode.mode = mode;
        inode.mtime = mtime.map_or(inode.mtime, TimeNanos::new);
        inode.ctime = now;
        Ok(())
    }
}
