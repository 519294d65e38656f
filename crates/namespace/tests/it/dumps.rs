//! A dump of any tree, loaded elsewhere, is the same tree; a dump of the past is the past.

use crate::support::{Store, in_blocks, inline, path, reason};
use bytes::Bytes;
use nokv_dump::{Content, Identity, Item, Items, NodeItem, encode_node};
use nokv_namespace::{
    Follow, KnownNode, Load, LoadDirectory, Parents, QuotaLimits, Remove, RenameMode,
    SetAttributes, SetTime, SetXattr, View,
};
use nokv_types::{BranchId, Name, NodeId, NodeKind, NsPath, Reason, SessionId, TimeNanos};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

const HIDDEN: &str = "/.loading";
const NOBODY: Identity = Identity {
    id: NodeId::from_u64(0),
    branch: BranchId::TRUNK,
    at: None,
};

#[derive(Clone, Debug)]
enum Op {
    MakeDir(String, u32),
    Symlink(String),
    Special(String, u8),
    Publish(String, u8),
    Link(String, String),
    Xattr(String, u8),
    Times(String, i64),
    Rename(String, String),
    Remove(String),
    Quota(String, u8),
    Branch(String, String),
}

fn text() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b", "ä", "c c"]);
    proptest::collection::vec(name, 1..4).prop_map(|names| format!("/top/{}", names.join("/")))
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (text(), 0..0o7777_u32).prop_map(|(at, mode)| Op::MakeDir(at, mode)),
        1 => text().prop_map(Op::Symlink),
        2 => (text(), any::<u8>()).prop_map(|(at, kind)| Op::Special(at, kind)),
        5 => (text(), any::<u8>()).prop_map(|(at, body)| Op::Publish(at, body)),
        3 => (text(), text()).prop_map(|(from, to)| Op::Link(from, to)),
        2 => (text(), any::<u8>()).prop_map(|(at, value)| Op::Xattr(at, value)),
        2 => (text(), any::<i64>()).prop_map(|(at, time)| Op::Times(at, time)),
        1 => (text(), text()).prop_map(|(from, to)| Op::Rename(from, to)),
        1 => text().prop_map(Op::Remove),
        1 => (text(), any::<u8>()).prop_map(|(at, limit)| Op::Quota(at, limit)),
        1 => (text(), text()).prop_map(|(from, to)| Op::Branch(from, to)),
    ]
}

/// Does it, or not: what can't be done has no effect.
fn run(store: &Store, op: &Op, session: SessionId) {
    store.clock.advance(Duration::from_millis(3));
    let (namespace, context) = (&store.namespace, &store.context());
    let at = |text: &str| path(text);
    match op {
        Op::MakeDir(to, mode) => {
            drop(namespace.make_dir(context, &at(to), *mode, Parents::Create));
        }
        Op::Symlink(to) => drop(namespace.symlink(context, &at(to), Bytes::from_static(b"../x"))),
        Op::Special(to, number) => {
            let kinds = [
                NodeKind::Fifo,
                NodeKind::Socket,
                NodeKind::CharDevice(u64::from(*number)),
                NodeKind::BlockDevice(1 << 40),
                NodeKind::File,
            ];
            let kind = kinds[usize::from(*number) % kinds.len()];
            drop(namespace.make_node(context, &at(to), kind, 0o640));
        }
        Op::Publish(to, number) => {
            let blocks: Vec<u32> = (0..u32::from(*number % 20)).collect();
            let body = match number % 3 {
                0 => inline(&vec![*number; usize::from(*number)]),
                _ => in_blocks(session, &blocks),
            };
            drop(store.publish(to, body, Some(session)));
        }
        Op::Link(from, to) => drop(namespace.link(context, &at(from), &at(to))),
        Op::Xattr(to, value) => {
            let change = SetXattr::Put(Bytes::copy_from_slice(&[*value; 3]));
            let name = [b"user.a", b"user.b"][usize::from(value % 2)];
            drop(namespace.set_xattr(context, &at(to), Follow::No, name, change));
        }
        Op::Times(to, time) => {
            let time = Some(SetTime::To(TimeNanos::new(*time)));
            let changes = SetAttributes {
                uid: Some(7),
                mtime: time,
                atime: time,
                ..SetAttributes::default()
            };
            drop(namespace.set_attributes(context, &at(to), Follow::No, changes));
        }
        Op::Rename(from, to) => {
            drop(namespace.rename(context, &at(from), &at(to), RenameMode::Plain));
        }
        Op::Remove(from) => drop(namespace.remove(context, &at(from), Remove::Tree)),
        Op::Quota(to, limit) => {
            let limits = QuotaLimits {
                bytes: Some(1 << 40),
                inodes: Some(1000 + u64::from(*limit)),
            };
            drop(namespace.set_quota(context, &at(to), limits));
        }
        Op::Branch(from, to) => drop(namespace.create_branch(context, &at(from), &at(to), None)),
    }
}

/// All that there is below a place, by path, as look-ups show it and as a dump says; a node with
/// several names by its first path.
fn walk(store: &Store, view: &View, top: &str) -> BTreeMap<String, String> {
    let top = top.trim_end_matches('/');
    let items = dump(store, view, if top.is_empty() { "/" } else { top }, 1 << 20);
    let mut counts: BTreeMap<Identity, u32> = BTreeMap::new();
    for item in &items {
        *counts.entry(item.node).or_default() += 1;
    }
    let mut shown = BTreeMap::new();
    let mut first: BTreeMap<Identity, String> = BTreeMap::new();
    for (names, item) in with_paths(&items) {
        let at = format!("{top}{names}");
        let at = path(if at.is_empty() { "/" } else { &at });
        let looked = store.namespace.lookup(view, &at, Follow::No);
        let attributes = looked.expect("it is there").attributes;
        let is_directory = item.kind == NodeKind::Directory;
        if is_directory {
            let page = store.namespace.read_dir_plus(view, &at, None, 1000);
            let listed: Vec<_> = page.expect("lists").entries;
            let below = with_paths(&items).filter(|(path, _)| {
                path.rsplit_once('/')
                    .is_some_and(|(parent, _)| parent == names)
            });
            assert_eq!(below.count(), listed.len(), "{at}");
        }
        let same = first.entry(item.node).or_insert_with(|| names.clone());
        let plain = NodeItem {
            node: NOBODY,
            links: if is_directory { 1 } else { counts[&item.node] },
            name: None,
            depth: 0,
            ..item.clone()
        };
        let told = (
            attributes.mode,
            attributes.mtime,
            attributes.ctime,
            attributes.size,
        );
        let all = format!("{same} {plain:?} {told:?}");
        shown.insert(names, all);
    }
    shown
}

/// Each item with its path from the top.
fn with_paths(items: &[NodeItem]) -> impl Iterator<Item = (String, &NodeItem)> {
    let mut names: Vec<String> = Vec::new();
    items.iter().map(move |item| {
        names.truncate((item.depth as usize).saturating_sub(1));
        names.extend(item.name.as_ref().map(|name| format!("/{name}")));
        (names.concat(), item)
    })
}

fn dump(store: &Store, view: &View, top: &str, bytes_full: usize) -> Vec<NodeItem> {
    let mut items = Vec::new();
    let mut after: Option<Vec<Name>> = None;
    loop {
        let page = store
            .namespace
            .dump(view, &path(top), after.as_deref(), bytes_full)
            .expect("dumps");
        let before = items.len();
        for item in Items::new(page.nodes) {
            match item.expect("valid") {
                Item::Node(node) => items.push(*node),
                Item::Data { .. } => unreachable!("nodes only"),
            }
        }
        assert_eq!((items.len() - before) as u64, page.count);
        match page.next {
            None => return items,
            next => after = next,
        }
    }
}

/// Loads so many at a time.
fn load(store: &Store, items: &[NodeItem], place: &str, at_once: usize) {
    let hidden = store.mkdir(HIDDEN).expect("a new directory");
    let mut chain = vec![LoadDirectory {
        node: hidden.id,
        times: None,
    }];
    let mut known = Vec::new();
    for part in items.chunks(at_once) {
        let mut nodes = Vec::new();
        part.iter().for_each(|item| encode_node(&mut nodes, item));
        let load = Load {
            directories: chain.clone(),
            nodes: nodes.into(),
            known: known.clone(),
            session: None,
        };
        store.clock.advance(Duration::from_millis(1));
        let loaded = store
            .namespace
            .load(&store.context(), &load)
            .expect("loads");
        for (item, node) in part.iter().zip(loaded.nodes) {
            if item.kind == NodeKind::Directory {
                chain.truncate(item.depth as usize + 1);
                let times = Some((item.mtime, item.ctime));
                chain.push(LoadDirectory { node, times });
            } else if item.links > 1 {
                let dumped = item.node;
                known.push(KnownNode { dumped, node });
            }
        }
    }
    for (text, quota) in quotas(items) {
        let limits = QuotaLimits {
            bytes: quota.bytes,
            inodes: quota.inodes,
        };
        let directory = path(&format!("{HIDDEN}/loaded{text}"));
        let set = store
            .namespace
            .set_quota(&store.context(), &directory, limits);
        set.expect("a quota");
    }
    store.clock.advance(Duration::from_millis(1));
    let finished = store
        .namespace
        .finish_load(&store.context(), &path(HIDDEN), &path(place));
    finished.expect("in place");
}

fn quotas(items: &[NodeItem]) -> Vec<(String, nokv_dump::Quota)> {
    let quota = |(path, item): (String, &NodeItem)| item.quota.map(|quota| (path, quota));
    with_paths(items).filter_map(quota).collect()
}

fn grown(ops: &[Op]) -> (Store, SessionId) {
    let store = Store::new();
    store.mkdir("/top").expect("new");
    let session = store
        .namespace
        .open_session(86_400_000)
        .expect("a session")
        .id;
    ops.iter().for_each(|op| run(&store, op, session));
    (store, session)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_was_dumped_is_loaded(
        ops in proptest::collection::vec(op(), 1..60),
        bytes_full in 1..2_000_usize,
        at_once in 1..9_usize,
    ) {
        let (store, _) = grown(&ops);
        let view = store.view();
        let items = dump(&store, &view, "/top", bytes_full);
        prop_assert_eq!(&items, &dump(&store, &view, "/top", 1 << 20));
        let before = walk(&store, &view, "/top");
        load(&store, &items, "/copy", at_once);
        let (top, copy) = (walk(&store, &view, "/top"), walk(&store, &view, "/copy"));
        prop_assert_eq!(&before, &top);
        prop_assert_eq!(before, copy);
        prop_assert!(store.stat(HIDDEN).is_err());
        let report = store.namespace.check().expect("can be checked");
        prop_assert_eq!(report.problems, vec![]);
        for (text, _) in quotas(&items) {
            let place = path(&format!("/copy{text}"));
            let check = store.namespace.check_quota(view.mount, &place).expect("counted");
            prop_assert_eq!(check.counted, check.recounted);
        }
    }

    #[test]
    fn a_dump_of_the_past_is_the_past(
        ops in proptest::collection::vec(op(), 1..40),
        later in proptest::collection::vec(op(), 1..20),
        bytes_full in 1..1_000_usize,
    ) {
        let (store, session) = grown(&ops);
        let then = store.view().at(store.namespace.read_version());
        let expected = dump(&store, &then, "/top", 1 << 20);
        let mut later = later.iter();
        let (mut items, mut after) = (Vec::new(), None::<Vec<Name>>);
        loop {
            // Somebody writes between any two pages.
            let top = path("/top");
            let page = store.namespace.dump(&then, &top, after.as_deref(), bytes_full);
            let page = page.expect("retained");
            items.extend(Items::new(page.nodes).map(|item| item.expect("valid")));
            if let Some(op) = later.next() {
                run(&store, op, session);
            }
            match page.next {
                None => break,
                next => after = next,
            }
        }
        let expected: Vec<_> = expected.into_iter().map(Box::new).map(Item::Node).collect();
        prop_assert_eq!(items, expected);
    }
}

#[test]
fn the_root_gets_what_a_root_had() {
    let (from, to) = (Store::new(), Store::new());
    from.put("/a", b"1").expect("new");
    from.mkdir("/d").expect("new");
    from.put("/d/b", b"2").expect("new");
    let root = NsPath::root();
    let changes = SetAttributes {
        mode: Some(0o700),
        uid: Some(9),
        ..SetAttributes::default()
    };
    let set = from
        .namespace
        .set_attributes(&from.context(), &root, Follow::No, changes);
    set.expect("the root");
    let items = dump(&from, &from.view(), "/", 1 << 20);
    load(&to, &items, "/", 2);
    let view = to.view();
    assert_eq!(walk(&from, &from.view(), ""), walk(&to, &view, ""));
    assert_eq!(to.namespace.check().expect("checks").problems, vec![]);
    to.mkdir(HIDDEN).expect("free again");
    let finish = |place: &str| {
        let context = to.context();
        to.namespace
            .finish_load(&context, &path(HIDDEN), &path(place))
    };
    assert_eq!(reason(finish("/x")), Reason::NotFound, "nothing was loaded");
    to.mkdir("/.loading/loaded").expect("new");
    assert_eq!(reason(finish("/")), Reason::NotEmpty);
    assert_eq!(reason(finish("/a")), Reason::AlreadyExists);
    assert_eq!(
        reason(finish("/.loading/loaded/x")),
        Reason::InvalidArgument
    );
    finish("/x").expect("in place");
}

#[test]
fn what_can_not_be_is_refused() {
    let store = Store::new();
    let hidden = store.mkdir(HIDDEN).expect("new").id;
    let (other, session) = grown(&[Op::Publish("/top/a".to_owned(), 4)]);
    let items = dump(&other, &other.view(), "/top", 1 << 20);
    let load = |items: &[NodeItem], session| {
        let mut nodes = Vec::new();
        items.iter().for_each(|item| encode_node(&mut nodes, item));
        let directory = LoadDirectory {
            node: hidden,
            times: None,
        };
        let load = Load {
            directories: vec![directory],
            nodes: nodes.into(),
            known: Vec::new(),
            session,
        };
        reason(store.namespace.load(&store.context(), &load))
    };
    assert!(matches!(items[1].content, Content::Body(_)));
    assert_eq!(
        load(&items, None),
        Reason::InvalidArgument,
        "no such blocks"
    );
    assert_eq!(load(&items, Some(session)), Reason::SessionExpired);
    assert_eq!(
        load(&items[1..], None),
        Reason::InvalidArgument,
        "no directory"
    );
    assert_eq!(load(&[], None), Reason::InvalidArgument);
    let twice = [items[0].clone(), items[0].clone()];
    assert_eq!(load(&twice, None), Reason::AlreadyExists);
    assert_eq!(
        store.names(HIDDEN),
        Vec::<String>::new(),
        "one command each"
    );
}
