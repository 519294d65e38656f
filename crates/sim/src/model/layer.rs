//! One layer: names and nodes.

use std::collections::{BTreeMap, BTreeSet};

/// A node. Shared between a layer and its copies, as identities are in the store.
pub type Id = u32;
/// A layer. Never used twice.
pub type LayerId = u32;

/// What a node is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A directory; its names are in [`Layer::names`].
    Directory,
    /// A regular file.
    File(Vec<u8>),
    /// A symbolic link.
    Symlink(String),
    /// A named pipe.
    Pipe,
}

/// A node apart from its names. `None`: not known here, to be learned by looking.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inode {
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Number of the body.
    pub generation: Option<u64>,
    /// Last change of body or entries.
    pub mtime: Option<i64>,
    /// Last change of anything.
    pub ctime: Option<i64>,
    /// Extended attributes.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What a name leads to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Child {
    /// A node of the same layer.
    Node(Id),
    /// The root of a branch that hangs here.
    Branch(LayerId),
}

/// Names and nodes of a trunk or a branch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layer {
    /// Its topmost directory.
    pub root: Id,
    /// What is in each directory.
    pub names: BTreeMap<(Id, String), Child>,
    /// All nodes that a name, or the root, leads to.
    pub nodes: BTreeMap<Id, Inode>,
    /// Nodes that had a name in a removed tree and live on: until the tree is taken apart in the
    /// background their link count is too high, and their ctime moves then.
    pub lagging: BTreeSet<Id>,
    /// How many more names a node had where this is a branch of a part: they still count.
    pub outside: BTreeMap<Id, usize>,
}

impl Inode {
    /// What counts when two layers are compared: all but generation, ctime and times of
    /// directories.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        let mtime = |inode: &Self| match inode.kind {
            Kind::Directory => None,
            _ => inode.mtime,
        };
        self.kind == other.kind
            && self.mode == other.mode
            && self.xattrs == other.xattrs
            && mtime(self) == mtime(other)
    }

    /// Bytes that count against quotas.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match &self.kind {
            Kind::File(body) => body.len() as u64,
            Kind::Symlink(target) => target.len() as u64,
            Kind::Directory | Kind::Pipe => 0,
        }
    }
}

impl Layer {
    /// Whether it is a directory of this layer.
    #[must_use]
    pub fn is_dir(&self, id: Id) -> bool {
        matches!(
            self.nodes.get(&id).map(|inode| &inode.kind),
            Some(Kind::Directory)
        )
    }

    /// The entries of a directory.
    pub fn entries(&self, id: Id) -> impl Iterator<Item = (&String, Child)> {
        let range = (id, String::new())..(id + 1, String::new());
        self.names
            .range(range)
            .map(|((_, name), child)| (name, *child))
    }

    /// Where a directory is; `None` for the root.
    #[must_use]
    pub fn place_of(&self, id: Id) -> Option<&(Id, String)> {
        let found = self
            .names
            .iter()
            .find(|(_, child)| **child == Child::Node(id));
        found.map(|(at, _)| at)
    }

    /// Whether a directory is `above` or inside of it.
    #[must_use]
    pub fn is_below(&self, id: Id, above: Id) -> bool {
        let mut current = id;
        for _ in 0..=self.nodes.len() {
            if current == above {
                return true;
            }
            match self.place_of(current) {
                Some((parent, _)) => current = *parent,
                None => return false,
            }
        }
        true
    }

    /// The names of a node; for a directory what stat(2) calls links.
    #[must_use]
    pub fn links(&self, id: Id, is_dir: impl Fn(Child) -> bool) -> usize {
        match self.is_dir(id) {
            true => 2 + self.entries(id).filter(|(_, child)| is_dir(*child)).count(),
            false => self.names_of(id) + self.outside.get(&id).copied().unwrap_or(0),
        }
    }

    fn names_of(&self, id: Id) -> usize {
        self.names
            .values()
            .filter(|child| **child == Child::Node(id))
            .count()
    }

    /// All directories from `top` down, and all nodes with a name in them.
    #[must_use]
    pub fn below(&self, top: Id) -> BTreeSet<Id> {
        let mut reached = BTreeSet::from([top]);
        let mut pending = vec![top];
        while let Some(at) = pending.pop() {
            for (_, child) in self.entries(at) {
                if let Child::Node(id) = child
                    && reached.insert(id)
                {
                    pending.push(id);
                }
            }
        }
        reached
    }

    /// Forgets what no name leads to.
    pub fn sweep(&mut self) {
        let reached = self.below(self.root);
        self.nodes.retain(|id, _| reached.contains(id));
        self.names.retain(|at, _| reached.contains(&at.0));
        self.lagging.retain(|id| reached.contains(id));
        self.outside.retain(|id, _| reached.contains(id));
    }

    /// A copy of a directory with all that is below it, as a layer of its own.
    #[must_use]
    pub fn part(&self, top: Id) -> Self {
        let mut part = self.clone();
        part.root = top;
        part.sweep();
        for id in part.nodes.keys().filter(|id| !self.is_dir(**id)) {
            let outside = self.names_of(*id) - part.names_of(*id);
            if outside > 0 {
                *part.outside.entry(*id).or_default() += outside;
            }
        }
        part
    }

    /// Whether branches hang in it.
    #[must_use]
    pub fn has_branches(&self) -> bool {
        self.names
            .values()
            .any(|child| matches!(child, Child::Branch(_)))
    }

    /// Whether names and nodes are the same, as [`Inode::same`].
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        let mut pairs = self.nodes.iter().zip(&other.nodes);
        self.names == other.names
            && self.nodes.len() == other.nodes.len()
            && pairs.all(|(one, other)| one.0 == other.0 && one.1.same(other.1))
    }

    /// Every name is in a directory and leads to a node, every node has a name, a directory one,
    /// and all are reached from the root.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let whole = self.names.iter().all(|(at, child)| {
            self.is_dir(at.0)
                && match child {
                    Child::Node(id) => self.nodes.contains_key(id),
                    Child::Branch(_) => true,
                }
        });
        let single = self.nodes.keys().all(|id| {
            let names = self.names_of(*id);
            match self.is_dir(*id) {
                true => names == usize::from(*id != self.root),
                false => names > 0,
            }
        });
        let reached = self.below(self.root);
        whole && single && self.nodes.keys().all(|id| reached.contains(id))
    }
}
