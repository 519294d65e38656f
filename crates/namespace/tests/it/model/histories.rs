//! Random histories, model beside namespace: every outcome, every version, every page is compared.

use super::state::{Expected, Id, Kind, Model, ROOT};
use crate::support::{Store, inline, path, reason, shape};
use bytes::Bytes;
use nokv_namespace::{
    Change, ChangeKind, ChangedPlace, Content, Expect, Follow, NewAttributes, Node, Page, Parents,
    Publish, PublishItem, QuotaLimits, Remove, RenameMode, Scope, SetAttributes, SetTime, View,
};
use nokv_types::{Failure, Generation, Name, NodeId, NodeKind, NsPath, Reason, TimeNanos, Version};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

type Text = Vec<&'static str>;

#[derive(Clone, Debug)]
pub(super) enum Op {
    MakeDir {
        at: Text,
        parents: bool,
    },
    Symlink {
        at: Text,
        target: &'static str,
    },
    Link {
        from: Text,
        to: Text,
    },
    Publish {
        items: Vec<(Text, u8)>,
        parents: bool,
        expect: u8,
    },
    Rename {
        from: Text,
        to: Text,
        mode: char,
    },
    Remove {
        at: Text,
        what: char,
    },
    SetAttributes {
        at: Text,
        follow: bool,
        mode: u32,
        mtime: Option<i64>,
    },
    Reclaim {
        limit: usize,
    },
    BeginPage {
        at: Text,
    },
    NextPage,
}

fn text() -> impl Strategy<Value = Text> {
    let name = prop::sample::select(vec!["a", "b", "c"]);
    prop_oneof![
        1 => Just(Vec::new()),
        20 => proptest::collection::vec(name, 1..4),
    ]
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let target = prop::sample::select(vec!["a", "../b", "/a/b", "b/c", "/", "c/../a", "."]);
    prop_oneof![
        6 => (text(), any::<bool>()).prop_map(|(at, parents)| Op::MakeDir { at, parents }),
        2 => (text(), target).prop_map(|(at, target)| Op::Symlink { at, target }),
        2 => (text(), text()).prop_map(|(from, to)| Op::Link { from, to }),
        6 => (proptest::collection::vec((text(), any::<u8>()), 1..4), any::<bool>(), 0..4_u8)
            .prop_map(|(items, parents, expect)| Op::Publish { items, parents, expect }),
        6 => (text(), text(), prop::sample::select(vec!['p', 'n', 'x']))
            .prop_map(|(from, to, mode)| Op::Rename { from, to, mode }),
        4 => (text(), prop::sample::select(vec!['f', 'd', 't']))
            .prop_map(|(at, what)| Op::Remove { at, what }),
        2 => (text(), any::<bool>(), 0..0o7777_u32, proptest::option::of(0..1000_i64))
            .prop_map(|(at, follow, mode, mtime)| Op::SetAttributes { at, follow, mode, mtime }),
        1 => (1..20_usize).prop_map(|limit| Op::Reclaim { limit }),
        1 => text().prop_map(|at| Op::BeginPage { at }),
        2 => Just(Op::NextPage),
    ]
}

fn ns(text: &[&str]) -> NsPath {
    path(&format!("/{}", text.join("/")))
}

pub(super) struct Run {
    pub(super) store: Store,
    pub(super) model: Model,
    /// The model after each version that changed something.
    pub(super) history: Vec<(Version, Model)>,
    ids: BTreeMap<NodeId, Id>,
    pages: Option<(NodeId, Page, BTreeMap<String, Id>)>,
    /// What directories may hold.
    pub(super) quotas: BTreeMap<Id, QuotaLimits>,
}

impl Run {
    pub(super) fn new(store: Store) -> Self {
        let now = store.context().now;
        let model = Model::new(now);
        let history = vec![(store.namespace.read_version(), model.clone())];
        Self {
            store,
            model,
            history,
            ids: BTreeMap::new(),
            pages: None,
            quotas: BTreeMap::new(),
        }
    }

    pub(super) fn step(&mut self, op: &Op) {
        self.store.clock.advance(Duration::from_millis(1500));
        let mut next = self.model.clone();
        next.now = self.store.context().now;
        let before = self.store.namespace.read_version();
        let mut expected = expect(&mut next, op);
        if expected.is_ok() && self.overshoots(&next) {
            expected = Err(Reason::QuotaExceeded);
        }
        let outcome = self.execute(op);
        match (&expected, &outcome) {
            (Ok(()), Ok(())) => {
                let version = self.store.namespace.read_version();
                if version > before {
                    self.history.push((version, next.clone()));
                }
                self.model = next;
                let inodes = &self.model.inodes;
                self.quotas.retain(|id, _| inodes.contains_key(id));
            }
            (Err(wanted), Err(failure)) if *wanted == failure.reason() => {}
            _ => panic!("{op:?}: the model says {expected:?}, the namespace {outcome:?}"),
        }
    }

    /// Whether some quota would hold more than before and more than it may.
    fn overshoots(&self, next: &Model) -> bool {
        self.quotas.iter().any(|(id, limits)| {
            let (before, after) = (self.model.held(*id), next.held(*id));
            next.inodes.contains_key(id)
                && (after.0 > before.0 && limits.bytes.is_some_and(|limit| after.0 > limit)
                    || after.1 > before.1 && limits.inodes.is_some_and(|limit| after.1 > limit))
        })
    }

    fn execute(&mut self, op: &Op) -> Result<(), Failure> {
        let (namespace, context) = (&self.store.namespace, self.store.context());
        match op {
            Op::MakeDir { at, parents } => {
                let parents = parents_of(*parents);
                namespace
                    .make_dir(&context, &ns(at), 0o700, parents)
                    .map(drop)
            }
            Op::Symlink { at, target } => namespace
                .symlink(&context, &ns(at), Bytes::from(*target))
                .map(drop),
            Op::Link { from, to } => namespace.link(&context, &ns(from), &ns(to)).map(drop),
            Op::Publish {
                items,
                parents,
                expect,
            } => {
                let parents = parents_of(*parents);
                let items = items
                    .iter()
                    .map(|(at, byte)| publish_item(at, *byte, *expect))
                    .collect();
                let publish = Publish {
                    items,
                    parents,
                    session: None,
                };
                namespace.publish(&context, publish).map(drop)
            }
            Op::Rename { from, to, mode } => {
                let mode = rename_mode(*mode);
                namespace
                    .rename(&context, &ns(from), &ns(to), mode)
                    .map(drop)
            }
            Op::Remove { at, what } => namespace
                .remove(&context, &ns(at), removal(*what))
                .map(drop),
            Op::SetAttributes {
                at,
                follow,
                mode,
                mtime,
            } => {
                let changes = SetAttributes {
                    mode: Some(*mode),
                    mtime: mtime.map(|mtime| SetTime::To(TimeNanos::new(mtime))),
                    ..SetAttributes::default()
                };
                let follow = if *follow { Follow::Yes } else { Follow::No };
                namespace
                    .set_attributes(&context, &ns(at), follow, changes)
                    .map(drop)
            }
            Op::Reclaim { limit } => namespace.reclaim(*limit).map(drop),
            Op::BeginPage { at } => self.begin_page(at),
            Op::NextPage => {
                self.next_page();
                Ok(())
            }
        }
    }

    /// Begins to list a directory with one entry a page; `next_page` goes on while everything
    /// changes.
    fn begin_page(&mut self, at: &[&str]) -> Result<(), Failure> {
        let page = self
            .store
            .namespace
            .read_dir_plus(&self.store.view(), &ns(at), None, 1)?;
        let id = self.model.lookup(at, true).expect("both found it");
        let left = self.model.entries(id).expect("a directory").clone();
        self.pages = Some((page.directory.id, page, left));
        Ok(())
    }

    fn next_page(&mut self) {
        let Some((directory, page, mut left)) = self.pages.take() else {
            return;
        };
        for entry in &page.entries {
            let first = left.pop_first().expect("no entry is invented");
            assert_eq!(first.0, entry.name.to_string());
        }
        let Some(next) = &page.next else {
            assert!(left.is_empty(), "entries left out: {left:?}");
            return;
        };
        let view = self.store.view().at(page.version);
        let page = self
            .store
            .namespace
            .read_dir_plus(&view, directory, Some(next), 1)
            .expect("page");
        self.pages = Some((directory, page, left));
    }

    /// The whole tree at a version equals the model's.
    pub(super) fn compare(&mut self, version: Version, model: &Model) {
        let view = self.store.view().at(version);
        let root = self
            .store
            .namespace
            .lookup(&view, &NsPath::root(), Follow::No)
            .expect("root");
        self.compare_node(&view, &root, model, ROOT);
    }

    fn compare_node(&mut self, view: &View, node: &Node, model: &Model, id: Id) {
        assert_eq!(
            *self.ids.entry(node.id).or_insert(id),
            id,
            "identity of {node:?}"
        );
        let inode = &model.inodes[&id];
        let attributes = &node.attributes;
        assert_eq!(attributes.mode, inode.mode, "{node:?}");
        assert_eq!(attributes.mtime, inode.mtime, "{node:?}");
        if model.lagging.contains(&id) {
            assert!(attributes.links as usize >= model.links(id), "{node:?}");
        } else {
            assert_eq!(attributes.ctime, inode.ctime, "{node:?}");
            assert_eq!(attributes.links as usize, model.links(id), "{node:?}");
        }
        match &inode.kind {
            Kind::File { body, generation } => {
                assert_eq!(node.generation.get(), *generation);
                let read = self.store.namespace.body(view, node.id).expect("read");
                assert_eq!(read, (node.clone(), inline(body)));
            }
            Kind::Symlink(target) => {
                let read = self.store.namespace.read_link(view, node.id).expect("read");
                assert_eq!(read, target.as_bytes());
            }
            Kind::Directory { entries, .. } => {
                assert_eq!(attributes.kind, NodeKind::Directory);
                let page = self.store.namespace.read_dir_plus(view, node.id, None, 100);
                let page = page.expect("listed");
                let names: Vec<_> = page
                    .entries
                    .iter()
                    .map(|entry| entry.name.to_string())
                    .collect();
                assert_eq!(names, entries.keys().cloned().collect::<Vec<_>>());
                assert_eq!(attributes.size as usize, names.len());
                for (entry, id) in page.entries.iter().zip(entries.values()) {
                    self.compare_node(view, &entry.node, model, *id);
                }
            }
        }
    }
}

fn parents_of(create: bool) -> Parents {
    match create {
        true => Parents::Create,
        false => Parents::Required,
    }
}

fn rename_mode(letter: char) -> RenameMode {
    match letter {
        'p' => RenameMode::Plain,
        'n' => RenameMode::NoReplace,
        _ => RenameMode::Exchange,
    }
}

fn removal(letter: char) -> Remove {
    match letter {
        'f' => Remove::File,
        'd' => Remove::EmptyDirectory,
        _ => Remove::Tree,
    }
}

fn publish_item(at: &[&str], byte: u8, expect: u8) -> PublishItem {
    let expect = match expect {
        0 | 1 => Expect::Any,
        2 => Expect::Absent,
        _ => Expect::Generation(Generation::new(1)),
    };
    let content = Content::File(inline(&vec![byte; usize::from(byte % 5)]));
    let attributes = NewAttributes::mode(u32::from(byte));
    PublishItem {
        path: ns(at),
        content,
        attributes,
        expect,
    }
}

/// What the model says to an operation; it changes only on success.
fn expect(model: &mut Model, op: &Op) -> Result<(), Reason> {
    match op {
        Op::MakeDir { at, parents } => model.make_dir(at, 0o700, *parents),
        Op::Symlink { at, target } => model.symlink(at, target),
        Op::Link { from, to } => model.link(from, to),
        Op::Publish {
            items,
            parents,
            expect,
        } => {
            let expected = match expect {
                0 | 1 => Expected::Any,
                2 => Expected::Absent,
                _ => Expected::Generation(1),
            };
            let mut paths: Vec<_> = items.iter().map(|(at, _)| at).collect();
            paths.sort();
            paths.dedup();
            if paths.len() < items.len() {
                return Err(Reason::InvalidArgument);
            }
            for (at, byte) in items {
                if *parents {
                    model.fill(at)?;
                }
                let body = vec![*byte; usize::from(byte % 5)];
                model.publish(at, body, u32::from(*byte), expected)?;
            }
            Ok(())
        }
        Op::Rename { from, to, mode } => model.rename(from, to, *mode),
        Op::Remove { at, what } => model.remove(at, *what),
        Op::SetAttributes {
            at,
            follow,
            mode,
            mtime,
        } => model.set_attributes(at, *follow, *mode, *mtime),
        Op::BeginPage { at } => {
            let id = model.lookup(at, true)?;
            model.entries(id).map(drop).ok_or(Reason::NotDirectory)
        }
        Op::Reclaim { .. } | Op::NextPage => Ok(()),
    }
}

proptest! {
    #[test]
    fn any_history_equals_the_model_at_every_version(
        shape in shape(), ops in proptest::collection::vec(op(), 1..60),
    ) {
        let mut run = Run::new(Store::with(shape));
        for op in &ops {
            run.step(op);
        }
        while run.pages.is_some() {
            run.next_page();
        }
        replay(&run);
        for (version, model) in run.history.clone() {
            run.compare(version, &model);
        }
        run.store.namespace.check().expect("checks").verdict().expect("consistent");
        while run.store.namespace.reclaim_within(7, 0).expect("reclaims").more {}
        let (namespace, view) = (&run.store.namespace, run.store.view());
        namespace.check().expect("checks").verdict().expect("consistent");
        let usage = namespace.usage(&view, &NsPath::root()).expect("counted");
        let report = namespace.check().expect("checks");
        assert_eq!(report.nodes, usage.files + usage.directories, "nothing else is left");
        let (version, model) = (namespace.read_version(), run.model.clone());
        run.compare(version, &model);
        let first = run.store.view().at(run.history[0].0);
        if run.history[0].0 < run.store.namespace.floor() {
            let past = run.store.namespace.lookup(&first, &NsPath::root(), Follow::No);
            assert_eq!(reason(past), Reason::Compacted);
        }
    }
}

#[test]
fn names_of_any_bytes_survive() {
    let store = Store::new();
    for name in [
        &b"with space"[..],
        "\u{fc}ml\u{e4}ut".as_bytes(),
        b"new\nline",
        b"\xff\xfe",
        &[b'n'; 255],
    ] {
        let name = Name::new(name.to_vec()).expect("legal");
        let at = NsPath::root().join(&name).expect("legal");
        let made = store
            .namespace
            .make_dir(&store.context(), &at, 0o755, Parents::Required);
        let page = store
            .namespace
            .read_dir_plus(&store.view(), &NsPath::root(), None, 10);
        let entries = page.expect("listed").entries;
        assert!(entries.iter().any(|entry| entry.name == name));
        assert_eq!(
            store
                .namespace
                .lookup(&store.view(), &at, Follow::No)
                .expect("found"),
            made.expect("made").node
        );
    }
}

#[test]
fn a_link_that_a_publish_replaces_is_no_longer_followed_by_its_later_items() {
    let mut run = Run::new(Store::new());
    let publish = vec![(vec!["b", "b", "b"], 1), (vec!["b", "b", "a"], 1)];
    for op in [
        Op::MakeDir {
            at: vec!["b"],
            parents: false,
        },
        Op::Symlink {
            at: vec!["b", "b"],
            target: "../b",
        },
        Op::Publish {
            items: publish,
            parents: false,
            expect: 0,
        },
    ] {
        run.step(&op);
    }
}

/// The changes, applied one by one to a map of names, give the tree: none is missing, doubled or
/// out of order.
fn replay(run: &Run) {
    let (namespace, view) = (&run.store.namespace, run.store.view());
    let mut names: BTreeMap<(NodeId, Name), NodeId> = BTreeMap::new();
    let mut after = run.history[0].0;
    loop {
        let page = namespace
            .changes(view.mount, Scope::Mount, after, 3)
            .expect("retained");
        for change in &page.changes {
            assert!(change.version > after && change.version <= page.through);
            apply_change(&mut names, change);
            if let Some(to) = &change.to {
                let past = view.at(change.version);
                let path = to.path.as_ref().expect("not in a removed tree");
                let found = namespace
                    .lookup(&past, path, Follow::No)
                    .expect("there at its version");
                assert_eq!(found.id, change.node, "{change:?}");
            }
        }
        if page.changes.is_empty() && page.through >= namespace.read_version() {
            break;
        }
        after = page.through;
    }
    let mut directories = vec![namespace.mounts()[0].root];
    let mut reached = 0;
    while let Some(directory) = directories.pop() {
        for entry in namespace
            .read_dir_plus(&view, directory, None, 100)
            .expect("listed")
            .entries
        {
            assert_eq!(names.get(&(directory, entry.name)), Some(&entry.node.id));
            reached += 1;
            if entry.node.attributes.kind == NodeKind::Directory {
                directories.push(entry.node.id);
            }
        }
    }
    assert_eq!(
        names.len(),
        reached,
        "names that were removed without a change"
    );
}

/// What a watcher makes of a change.
fn apply_change(names: &mut BTreeMap<(NodeId, Name), NodeId>, change: &Change) {
    let at = |place: &Option<ChangedPlace>| {
        place
            .as_ref()
            .map(|place| (place.directory, place.name.clone()))
    };
    if let Some(from) = at(&change.from) {
        assert_eq!(names.remove(&from), Some(change.node), "{change:?}");
        if change.kind == ChangeKind::Exchanged {
            names.insert(from, change.displaced.expect("the other one"));
        }
    }
    if let Some(to) = at(&change.to) {
        let before = names.insert(to, change.node);
        match change.kind {
            ChangeKind::Created | ChangeKind::Renamed | ChangeKind::Exchanged => {
                assert_eq!(before, change.displaced, "{change:?}");
            }
            _ => assert_eq!(before, Some(change.node), "{change:?}"),
        }
    }
    let mut gone = match (change.kind, change.node_kind) {
        (ChangeKind::Removed, NodeKind::Directory) => vec![change.node],
        _ => Vec::new(),
    };
    while let Some(directory) = gone.pop() {
        names.retain(|at, node| {
            if at.0 == directory {
                gone.push(*node);
            }
            at.0 != directory
        });
    }
}
