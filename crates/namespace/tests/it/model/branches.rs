//! Random histories of branches beside a model that copies whole trees.
//!
//! The model knows nothing of layers: a branch is a copy, a merge compares three copies name by
//! name and node by node, the past is a list of copies. Directories `/t`, `/b0`, `/b1`, `/b2` are
//! its trees; node identities are shared between a tree and its copies, as they are in the store.

use crate::support::{Store, inline, path, shape};
use nokv_namespace::{
    Content, Expect, Follow, MergeOutcome, MergeRun, NewAttributes, Node, OnConflict, Options,
    Parents, Publish, PublishItem, Remove, RenameMode, SetAttributes, View,
};
use nokv_types::{Failure, NodeId, NodeKind, Reason, Version};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

type Id = u32;
const ROOT: Id = 0;
const TOPS: [&str; 4] = ["t", "b0", "b1", "b2"];

/// What a node is, apart from its names.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Inode {
    Directory(u32),
    File(u32, Vec<u8>),
}

/// A tree: names, and nodes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Tree {
    names: BTreeMap<(Id, String), Id>,
    nodes: BTreeMap<Id, Inode>,
}

impl Tree {
    fn is_dir(&self, id: Id) -> bool {
        matches!(self.nodes.get(&id), Some(Inode::Directory(_)))
    }

    fn find(&self, path: &[&str]) -> Result<Id, Reason> {
        path.iter().try_fold(ROOT, |at, name| {
            if !self.is_dir(at) {
                return Err(Reason::NotDirectory);
            }
            let found = self.names.get(&(at, (*name).to_string()));
            found.copied().ok_or(Reason::NotFound)
        })
    }

    /// The directory and the name of a path that is not the root.
    fn place(&self, path: &[&str]) -> Result<(Id, String), Reason> {
        let (name, parents) = path.split_last().expect("not the root");
        let directory = self.find(parents)?;
        match self.is_dir(directory) {
            true => Ok((directory, (*name).to_string())),
            false => Err(Reason::NotDirectory),
        }
    }

    /// Forgets what no name leads to.
    fn sweep(&mut self) {
        let mut reached = BTreeSet::from([ROOT]);
        let mut pending = vec![ROOT];
        while let Some(at) = pending.pop() {
            for (_, id) in self
                .names
                .range((at, String::new())..(at + 1, String::new()))
            {
                if reached.insert(*id) {
                    pending.push(*id);
                }
            }
        }
        self.nodes.retain(|id, _| reached.contains(id));
        self.names.retain(|at, _| reached.contains(&at.0));
    }

    fn is_below(&self, id: Id, above: Id) -> bool {
        let mut current = id;
        for _ in 0..100 {
            if current == above {
                return true;
            }
            match self.names.iter().find(|(_, child)| **child == current) {
                Some(((directory, _), _)) => current = *directory,
                None => return false,
            }
        }
        true
    }

    fn rename(&mut self, from: &[&str], to: &[&str]) -> Result<(), Reason> {
        let (from, to) = (self.place(from)?, self.place(to)?);
        let source = *self.names.get(&from).ok_or(Reason::NotFound)?;
        let target = self.names.get(&to).copied();
        if target == Some(source) {
            return Ok(());
        }
        if self.is_dir(source) && self.is_below(to.0, source) {
            return Err(Reason::InvalidArgument);
        }
        if let Some(target) = target {
            match (self.is_dir(source), self.is_dir(target)) {
                (false, true) => return Err(Reason::IsDirectory),
                (true, false) => return Err(Reason::NotDirectory),
                (true, true) if self.names.keys().any(|at| at.0 == target) => {
                    return Err(Reason::NotEmpty);
                }
                _ => {}
            }
        }
        self.names.remove(&from);
        self.names.insert(to, source);
        self.sweep();
        Ok(())
    }

    /// The three-way merge of two trees over their origin; `None`: a conflict.
    fn merge(base: &Self, ours: &Self, theirs: &Self) -> Option<Self> {
        fn three<T: PartialEq + Clone>(
            base: Option<&T>,
            ours: Option<&T>,
            theirs: Option<&T>,
        ) -> Result<Option<T>, ()> {
            match () {
                () if theirs == base || ours == theirs => Ok(ours.cloned()),
                () if ours == base => Ok(theirs.cloned()),
                () => Err(()),
            }
        }
        let mut merged = Self::default();
        let names = [base, ours, theirs].map(|tree| tree.names.keys().cloned());
        for at in names.into_iter().flatten().collect::<BTreeSet<_>>() {
            let [b, o, t] = [base, ours, theirs].map(|tree| tree.names.get(&at));
            if let Some(id) = three(b, o, t).ok()? {
                merged.names.insert(at, id);
            }
        }
        let nodes = [base, ours, theirs].map(|tree| tree.nodes.keys().copied());
        for id in nodes.into_iter().flatten().collect::<BTreeSet<_>>() {
            let [b, o, t] = [base, ours, theirs].map(|tree| tree.nodes.get(&id));
            if let Some(node) = three(b, o, t).ok()? {
                merged.nodes.insert(id, node);
            }
        }
        merged.is_sound().then_some(merged)
    }

    /// Every name is in a directory and leads to a node, every node has a name, a directory one,
    /// and all are reached from the root.
    fn is_sound(&self) -> bool {
        let whole = self
            .names
            .iter()
            .all(|(at, id)| self.is_dir(at.0) && self.nodes.contains_key(id));
        let single = self.nodes.keys().all(|id| {
            let names = self.names.values().filter(|child| *child == id).count();
            match self.is_dir(*id) {
                true => names == usize::from(*id != ROOT),
                false => names > 0,
            }
        });
        let mut swept = self.clone();
        swept.sweep();
        whole && single && swept == *self
    }
}

/// A tree in its place.
#[derive(Clone, Debug)]
struct Top {
    tree: Tree,
    /// Which it is: another one may have had its place.
    incarnation: u32,
    /// What it was made from, and how that was.
    origin: Option<(u32, Tree)>,
    /// Whether it was changed since.
    changed: bool,
}

#[derive(Clone, Debug, Default)]
struct World {
    tops: BTreeMap<usize, Top>,
    next: u32,
}

impl World {
    fn fresh(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    /// A copy of a tree of this or an earlier world.
    fn branch(&mut self, source: &Top, place: usize) {
        let origin = (source.incarnation, source.tree.clone());
        self.hang(source, place, origin);
    }

    /// The same, put back: of what it was made from if nothing changed in it.
    fn restore(&mut self, source: &Top, place: usize) {
        let origin = match (&source.origin, source.changed) {
            (Some(origin), false) => origin.clone(),
            _ => (source.incarnation, source.tree.clone()),
        };
        self.hang(source, place, origin);
    }

    fn hang(&mut self, source: &Top, place: usize, origin: (u32, Tree)) {
        let top = Top {
            tree: source.tree.clone(),
            incarnation: self.fresh(),
            origin: Some(origin),
            changed: false,
        };
        self.tops.insert(place, top);
    }
}

type Text = Vec<&'static str>;

#[derive(Clone, Debug)]
enum Op {
    MakeDir(usize, Text),
    Put(usize, Text, u8),
    Link(usize, Text, Text),
    Rename(usize, Text, Text),
    Remove(usize, Text),
    Mode(usize, Text, u32),
    Branch(usize, usize, Option<u8>),
    RemoveTop(usize),
    Merge(usize, usize),
    Restore(usize, u8),
    Undo,
    Reclaim,
    Restart(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let name = || prop::sample::select(vec!["a", "b", "c"]);
    let text = move || proptest::collection::vec(name(), 1..4);
    let top = || 0..TOPS.len();
    prop_oneof![
        6 => (top(), text()).prop_map(|(top, at)| Op::MakeDir(top, at)),
        8 => (top(), text(), any::<u8>()).prop_map(|(top, at, byte)| Op::Put(top, at, byte)),
        2 => (top(), text(), text()).prop_map(|(top, from, to)| Op::Link(top, from, to)),
        6 => (top(), text(), text()).prop_map(|(top, from, to)| Op::Rename(top, from, to)),
        4 => (top(), text()).prop_map(|(top, at)| Op::Remove(top, at)),
        3 => (top(), text(), 0..0o777_u32).prop_map(|(top, at, mode)| Op::Mode(top, at, mode)),
        6 => (top(), 1..TOPS.len(), proptest::option::weighted(0.3, any::<u8>()))
            .prop_map(|(from, to, at)| Op::Branch(from, to, at)),
        1 => (1..TOPS.len()).prop_map(Op::RemoveTop),
        6 => (1..TOPS.len(), top()).prop_map(|(from, to)| Op::Merge(from, to)),
        2 => (top(), any::<u8>()).prop_map(|(top, at)| Op::Restore(top, at)),
        3 => Just(Op::Undo),
        1 => Just(Op::Reclaim),
        1 => any::<u64>().prop_map(Op::Restart),
    ]
}

fn text_of(top: usize, at: &[&str]) -> String {
    let mut text = format!("/{}", TOPS[top]);
    for name in at {
        text.push('/');
        text.push_str(name);
    }
    text
}

struct Run {
    store: Store,
    world: World,
    history: Vec<(Version, World)>,
    ids: BTreeMap<Id, NodeId>,
    next: Id,
    /// The last command, if it can be taken back in the model.
    undoable: Option<(usize, Version, Tree)>,
}

impl Run {
    fn new(shape: Options) -> Self {
        let store = Store::with(shape);
        store.mkdir("/t").expect("made");
        let mut world = World::default();
        let top = Top {
            tree: Tree {
                names: BTreeMap::new(),
                nodes: BTreeMap::from([(ROOT, Inode::Directory(0o755))]),
            },
            incarnation: world.fresh(),
            origin: None,
            changed: true,
        };
        world.tops.insert(0, top);
        let history = vec![(store.namespace.read_version(), world.clone())];
        Self {
            store,
            world,
            history,
            ids: BTreeMap::new(),
            next: 1,
            undoable: None,
        }
    }

    fn past(&self, at: u8) -> (Version, World) {
        let index = usize::from(at) * self.history.len() / 256;
        self.history[index].clone()
    }

    fn step(&mut self, op: &Op) {
        self.store.clock.advance(Duration::from_millis(10));
        let before = self.store.namespace.read_version();
        let undoable = self.undoable.take();
        let mut next = self.world.clone();
        let wanted = self.expect(&mut next, op, undoable.as_ref());
        let outcome = self.execute(op, undoable.as_ref());
        match (&wanted, &outcome) {
            (Ok(()), Ok(())) => {}
            (Err(wanted), Err(failure)) if *wanted == failure.reason() => return,
            _ => panic!("{op:?}: the model says {wanted:?}, the namespace {outcome:?}"),
        }
        let version = self.store.namespace.read_version();
        if version > before && !matches!(op, Op::Reclaim | Op::Restart(_)) {
            if let Op::MakeDir(top, _)
            | Op::Put(top, ..)
            | Op::Link(top, ..)
            | Op::Rename(top, ..)
            | Op::Mode(top, ..)
            | Op::Remove(top, _) = op
            {
                let nonempty = self.removes_a_tree(*top, op);
                let tree = self.world.tops[top].tree.clone();
                self.undoable = (!nonempty).then_some((*top, version, tree));
            }
            self.history.push((version, next.clone()));
        }
        self.world = next;
        self.compare(&self.store.view(), &self.world.clone());
    }

    /// Whether a tree goes that comes back as a branch, whose border the model does not know.
    fn removes_a_tree(&self, top: usize, op: &Op) -> bool {
        let Op::Remove(_, at) = op else { return false };
        let tree = &self.world.tops[&top].tree;
        let id = tree.find(at).expect("it was removed");
        tree.names.keys().any(|name| name.0 == id)
    }

    fn expect(
        &mut self,
        world: &mut World,
        op: &Op,
        undoable: Option<&(usize, Version, Tree)>,
    ) -> Result<(), Reason> {
        match op {
            Op::Branch(from, to, at) => {
                let past = at.map(|at| self.past(at).1);
                let source = past.as_ref().unwrap_or(world).tops.get(from);
                let source = source.cloned().ok_or(Reason::NotFound)?;
                if world.tops.contains_key(to) {
                    return Err(Reason::AlreadyExists);
                }
                world.branch(&source, *to);
                Ok(())
            }
            Op::RemoveTop(top) => world.tops.remove(top).map(drop).ok_or(Reason::NotFound),
            Op::Merge(from, to) => {
                let from_top = world.tops.get(from).cloned().ok_or(Reason::NotFound)?;
                let to_top = world.tops.get_mut(to).ok_or(Reason::NotFound)?;
                let origin = from_top.origin.filter(|(of, _)| *of == to_top.incarnation);
                let (of, base) = origin.ok_or(Reason::InvalidArgument)?;
                let merged = Tree::merge(&base, &to_top.tree, &from_top.tree);
                let merged = merged.ok_or(Reason::Conflict)?;
                to_top.changed |= merged != to_top.tree;
                to_top.tree = merged.clone();
                let branch = world.tops.get_mut(from).expect("found above");
                branch.tree = merged.clone();
                branch.origin = Some((of, merged));
                branch.changed = false;
                Ok(())
            }
            Op::Restore(top, at) => {
                let past = self.past(*at).1;
                let source = past.tops.get(top).cloned().ok_or(Reason::NotFound)?;
                world.restore(&source, *top);
                Ok(())
            }
            Op::Undo => {
                if let Some((top, _, tree)) = undoable {
                    let top = world.tops.get_mut(top).expect("it was just changed");
                    top.tree = tree.clone();
                    top.changed = true;
                }
                Ok(())
            }
            Op::Reclaim | Op::Restart(_) => Ok(()),
            _ => self.expect_inside(world, op),
        }
    }

    /// Operations within one tree.
    fn expect_inside(&mut self, world: &mut World, op: &Op) -> Result<(), Reason> {
        let (Op::MakeDir(top, _)
        | Op::Put(top, ..)
        | Op::Link(top, ..)
        | Op::Rename(top, ..)
        | Op::Remove(top, _)
        | Op::Mode(top, ..)) = op
        else {
            return Ok(());
        };
        let top = world.tops.get_mut(top).ok_or(Reason::NotFound)?;
        let before = top.tree.clone();
        let tree = &mut top.tree;
        let mut id = || {
            self.next += 1;
            self.next - 1
        };
        match op {
            Op::MakeDir(_, at) => {
                let place = tree.place(at)?;
                if tree.names.contains_key(&place) {
                    return Err(Reason::AlreadyExists);
                }
                let id = id();
                tree.names.insert(place, id);
                tree.nodes.insert(id, Inode::Directory(0o755));
            }
            Op::Put(_, at, byte) => {
                let place = tree.place(at)?;
                let id = match tree.names.get(&place) {
                    Some(found) if tree.is_dir(*found) => return Err(Reason::IsDirectory),
                    Some(found) => *found,
                    None => id(),
                };
                tree.names.insert(place, id);
                tree.nodes.insert(id, Inode::File(0o644, vec![*byte; 3]));
                top.changed = true;
                return Ok(());
            }
            Op::Link(_, from, to) => {
                let id = tree.find(from)?;
                if tree.is_dir(id) {
                    return Err(Reason::NotPermitted);
                }
                let place = tree.place(to)?;
                if tree.names.contains_key(&place) {
                    return Err(Reason::AlreadyExists);
                }
                tree.names.insert(place, id);
            }
            Op::Rename(_, from, to) => tree.rename(from, to)?,
            Op::Remove(_, at) => {
                let place = tree.place(at)?;
                tree.names.remove(&place).ok_or(Reason::NotFound)?;
                tree.sweep();
            }
            Op::Mode(_, at, wanted) => {
                let id = tree.find(at)?;
                match tree.nodes.get_mut(&id).expect("found") {
                    Inode::Directory(mode) | Inode::File(mode, _) => *mode = *wanted,
                }
                top.changed = true;
                return Ok(());
            }
            _ => {}
        }
        top.changed |= top.tree != before;
        Ok(())
    }

    fn execute(
        &mut self,
        op: &Op,
        undoable: Option<&(usize, Version, Tree)>,
    ) -> Result<(), Failure> {
        let namespace = self.store.namespace.clone();
        let context = self.store.context();
        let at = |top: &usize, at: &[&str]| path(&text_of(*top, at));
        match op {
            Op::MakeDir(top, text) => namespace
                .make_dir(&context, &at(top, text), 0o755, Parents::Required)
                .map(drop),
            Op::Put(top, text, byte) => {
                let item = PublishItem {
                    path: at(top, text),
                    content: Content::File(inline(&[*byte; 3])),
                    attributes: NewAttributes::mode(0o644),
                    expect: Expect::Any,
                };
                let publish = Publish {
                    items: vec![item],
                    parents: Parents::Required,
                    session: None,
                };
                namespace.publish(&context, publish).map(drop)
            }
            Op::Link(top, from, to) => namespace
                .link(&context, &at(top, from), &at(top, to))
                .map(drop),
            Op::Rename(top, from, to) => {
                let (from, to) = (at(top, from), at(top, to));
                namespace
                    .rename(&context, &from, &to, RenameMode::Plain)
                    .map(drop)
            }
            Op::Remove(top, text) => namespace
                .remove(&context, &at(top, text), Remove::Tree)
                .map(drop),
            Op::Mode(top, text, mode) => {
                let changes = SetAttributes {
                    mode: Some(*mode),
                    ..SetAttributes::default()
                };
                namespace
                    .set_attributes(&context, &at(top, text), Follow::No, changes)
                    .map(drop)
            }
            _ => self.execute_on_trees(op, undoable),
        }
    }

    /// Operations on whole trees.
    fn execute_on_trees(
        &mut self,
        op: &Op,
        undoable: Option<&(usize, Version, Tree)>,
    ) -> Result<(), Failure> {
        let namespace = self.store.namespace.clone();
        let context = self.store.context();
        let at = |top: &usize| path(&text_of(*top, &[]));
        match op {
            Op::Branch(from, to, past) => {
                let past = past.map(|past| self.past(past).0);
                namespace
                    .create_branch(&context, &at(from), &at(to), past)
                    .map(drop)
            }
            Op::RemoveTop(top) => namespace.remove(&context, &at(top), Remove::Tree).map(drop),
            Op::Merge(from, to) => {
                let (from, to) = (at(from), at(to));
                let choice = OnConflict::Fail;
                let merged = namespace.merge(&context, &from, &to, choice, MergeRun::Merge)?;
                match merged.outcome {
                    MergeOutcome::Merged => Ok(()),
                    _ => Err(Failure::new(Reason::Conflict, "conflicts")),
                }
            }
            Op::Restore(top, past) => {
                let version = self.past(*past).0;
                namespace.restore(&context, &at(top), version).map(drop)
            }
            Op::Undo => match undoable {
                Some((_, version, _)) => namespace.undo(&context, *version).map(drop),
                None => Ok(()),
            },
            Op::Reclaim => namespace.reclaim(20).map(drop),
            Op::Restart(seed) => {
                let files = Arc::new(self.store.files.crash(*seed));
                self.store = Store::on(files, Options::default());
                Ok(())
            }
            _ => unreachable!("an operation within a tree"),
        }
    }

    /// All trees are as in the model, and all records fit together.
    fn compare(&mut self, view: &View, world: &World) {
        let (namespace, root) = (&self.store.namespace, path("/"));
        let page = namespace.read_dir_plus(view, &root, None, 100);
        let page = page.expect("listed");
        let mut names: Vec<_> = world
            .tops
            .keys()
            .map(|top| TOPS[*top].to_string())
            .collect();
        names.sort();
        let found: Vec<_> = page
            .entries
            .iter()
            .map(|entry| entry.name.to_string())
            .collect();
        assert_eq!(found, names);
        for (top, known) in &world.tops {
            let text = text_of(*top, &[]);
            let node = self
                .store
                .namespace
                .lookup(view, &path(&text), Follow::No)
                .expect("there");
            self.compare_node(view, &text, &node, &known.tree, ROOT);
        }
    }

    fn compare_node(&mut self, view: &View, text: &str, node: &Node, tree: &Tree, id: Id) {
        assert_eq!(*self.ids.entry(id).or_insert(node.id), node.id, "{text}");
        let attributes = &node.attributes;
        match &tree.nodes[&id] {
            Inode::File(mode, body) => {
                let read = self.store.namespace.body(view, &path(text)).expect("read");
                assert_eq!((&read.0, &read.1), (node, &inline(body)), "{text}");
                assert_eq!(attributes.mode, *mode, "{text}");
            }
            Inode::Directory(mode) => {
                assert_eq!(attributes.mode, *mode, "{text}");
                assert_eq!(attributes.kind, NodeKind::Directory);
                let page = self
                    .store
                    .namespace
                    .read_dir_plus(view, &path(text), None, 100)
                    .expect("listed");
                let wanted: Vec<_> = tree
                    .names
                    .range((id, String::new())..(id + 1, String::new()))
                    .collect();
                let names: Vec<_> = page.entries.iter().map(|e| e.name.to_string()).collect();
                let wanted_names: Vec<_> = wanted.iter().map(|(at, _)| at.1.clone()).collect();
                assert_eq!(names, wanted_names, "{text}");
                assert_eq!(attributes.size, names.len() as u64, "{text}");
                for (entry, (_, child)) in page.entries.iter().zip(wanted) {
                    let below = format!("{text}/{}", entry.name);
                    self.compare_node(view, &below, &entry.node, tree, *child);
                }
            }
        }
    }

    fn finish(mut self) {
        let check = |run: &Self| {
            let report = run.store.namespace.check().expect("checks");
            assert_eq!(report.problems, Vec::new());
        };
        check(&self);
        for (version, world) in self.history.clone() {
            self.compare(&self.store.view().at(version), &world);
        }
        let namespace = self.store.namespace.clone();
        while namespace.reclaim_within(7, 0).expect("reclaims").more {}
        check(&self);
        self.compare(&self.store.view(), &self.world.clone());
        for top in 0..TOPS.len() {
            let (context, at) = (self.store.context(), path(&text_of(top, &[])));
            drop(namespace.remove(&context, &at, Remove::Tree));
        }
        while namespace.reclaim_within(1000, 0).expect("reclaims").more {}
        let report = namespace.check().expect("checks");
        assert_eq!(
            (report.nodes, report.entries, report.dead_bodies),
            (1, 0, 0)
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn branches_merges_and_the_past_equal_a_model_of_copies(
        shape in shape(), ops in proptest::collection::vec(op(), 1..50),
    ) {
        let mut run = Run::new(shape);
        for op in &ops {
            run.step(op);
        }
        run.finish();
    }
}
