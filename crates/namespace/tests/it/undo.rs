//! Putting the past in place, and taking commands back.

use crate::support::{Store, in_blocks, inline, item, path, reason};
use bytes::Bytes;
use nokv_namespace::{
    Content, Follow, MergeOutcome, MergeRun, OnConflict, Parents, Publish, Remove, RenameMode,
    Restored, SetAttributes, SetXattr, Undone,
};
use nokv_types::{Failure, NodeKind, Reason, Version};

impl Store {
    fn newest(&self) -> Version {
        self.namespace.read_version()
    }

    fn restore(&self, text: &str, at: Version) -> Result<Restored, Failure> {
        self.namespace.restore(&self.context(), &path(text), at)
    }

    fn undo(&self, version: Version) -> Result<Undone, Failure> {
        let undone = self.namespace.undo(&self.context(), version)?;
        let report = self.namespace.check().expect("checks");
        assert_eq!(report.problems, Vec::new());
        Ok(undone)
    }

    /// Everything that can be seen, but for times of directories.
    fn everything(&self) -> Vec<String> {
        let mut lines = Vec::new();
        self.describe("", &mut lines);
        lines
    }

    fn describe(&self, text: &str, lines: &mut Vec<String>) {
        let at = path(if text.is_empty() { "/" } else { text });
        let view = self.view();
        let page = self
            .namespace
            .read_dir_plus(&view, &at, None, 1000)
            .expect("listed");
        for entry in page.entries {
            let below = format!("{text}/{}", entry.name);
            let node = &entry.node;
            let attributes = node.attributes;
            let xattrs = self
                .namespace
                .xattrs(&view, &path(&below), Follow::No)
                .expect("listed");
            let xattrs: Vec<_> = xattrs
                .iter()
                .map(|name| self.namespace.xattr(&view, &path(&below), Follow::No, name))
                .collect();
            let mut line = format!(
                "{below} {:?} {:o} {} {xattrs:?}",
                attributes.kind, attributes.mode, attributes.links
            );
            if attributes.kind != NodeKind::Directory {
                let body = self.namespace.body(&view, &path(&below)).or_else(|_| {
                    let target = self.namespace.read_link(&view, &path(&below))?;
                    Ok::<_, Failure>((node.clone(), inline(&target)))
                });
                line += &format!(
                    " {:?} {:?} {:?}",
                    node.id,
                    attributes.mtime,
                    body.map(|(_, body)| body.layout().clone()).ok()
                );
            }
            lines.push(line);
            if attributes.kind == NodeKind::Directory {
                self.describe(&below, lines);
            }
        }
    }
}

fn filled() -> Store {
    let store = Store::new();
    for directory in ["/a", "/a/d", "/a/d/e", "/k", "/empty"] {
        store.mkdir(directory).expect("made");
    }
    for file in ["/a/f", "/a/d/x", "/a/d/e/y", "/g"] {
        store.put(file, file.as_bytes()).expect("put");
    }
    let (context, from, to) = (store.context(), path("/g"), path("/h"));
    store.namespace.link(&context, &from, &to).expect("linked");
    let target = Bytes::from_static(b"a/f");
    store
        .namespace
        .symlink(&context, &path("/l"), target)
        .expect("linked");
    let value = SetXattr::Put(Bytes::from_static(b"v"));
    store
        .namespace
        .set_xattr(&context, &path("/g"), Follow::No, b"user.k", value)
        .expect("set");
    store
}

/// A command as it is called on a filled store.
type Called = (&'static str, fn(&Store));

/// Every kind of command that makes something.
fn commands_that_make() -> Vec<Called> {
    vec![
        ("mkdir", |store| {
            store.mkdir("/a/new").expect("made");
        }),
        ("create", |store| {
            store.put("/a/new", b"n").expect("put");
        }),
        ("publish", |store| {
            store.put("/a/f", b"other").expect("put");
        }),
        ("publish many", |store| {
            let publish = Publish {
                items: vec![
                    item("/n/m/one", Content::File(inline(b"1"))),
                    item("/n/two", Content::File(inline(b"2"))),
                    item("/g", Content::File(inline(b"3"))),
                    item("/l", Content::File(inline(b"4"))),
                ],
                parents: Parents::Create,
                session: None,
            };
            store
                .namespace
                .publish(&store.context(), publish)
                .expect("published");
        }),
    ]
}

fn rename(store: &Store, from: &str, to: &str, mode: RenameMode) {
    store
        .namespace
        .rename(&store.context(), &path(from), &path(to), mode)
        .expect("moved");
}

fn remove(store: &Store, at: &str, remove: Remove) {
    store
        .namespace
        .remove(&store.context(), &path(at), remove)
        .expect("removed");
}

/// Every kind of command that changes or removes something.
fn commands_that_change() -> Vec<Called> {
    vec![
        ("unlink", |store| remove(store, "/a/f", Remove::File)),
        ("unlink one of two", |store| {
            remove(store, "/g", Remove::File)
        }),
        ("unlink a link", |store| remove(store, "/l", Remove::File)),
        ("rmdir", |store| {
            remove(store, "/empty", Remove::EmptyDirectory)
        }),
        ("remove an empty tree", |store| {
            remove(store, "/empty", Remove::Tree)
        }),
        ("link", |store| {
            let (from, to) = (path("/a/f"), path("/k/f"));
            store
                .namespace
                .link(&store.context(), &from, &to)
                .expect("linked");
        }),
        ("rename", |store| {
            rename(store, "/a/f", "/k/f2", RenameMode::Plain)
        }),
        ("rename over", |store| {
            rename(store, "/a/f", "/g", RenameMode::Plain)
        }),
        ("move", |store| {
            rename(store, "/a/d", "/k/d2", RenameMode::Plain)
        }),
        ("move over", |store| {
            rename(store, "/a/d", "/empty", RenameMode::Plain)
        }),
        ("exchange", |store| {
            rename(store, "/a/d", "/g", RenameMode::Exchange)
        }),
        ("attributes", |store| {
            let changes = SetAttributes {
                mode: Some(0o600),
                uid: Some(7),
                size: Some(2),
                ..SetAttributes::default()
            };
            store
                .namespace
                .set_attributes(&store.context(), &path("/a/f"), Follow::No, changes)
                .expect("changed");
        }),
        ("set xattr", |store| {
            let value = SetXattr::Put(Bytes::from_static(b"w"));
            store
                .namespace
                .set_xattr(&store.context(), &path("/g"), Follow::No, b"user.k", value)
                .expect("set");
        }),
        ("remove xattr", |store| {
            store
                .namespace
                .set_xattr(
                    &store.context(),
                    &path("/h"),
                    Follow::No,
                    b"user.k",
                    SetXattr::Remove,
                )
                .expect("removed");
        }),
    ]
}

#[test]
fn undo_brings_back_what_was_and_its_undo_what_was_undone() {
    for (name, command) in commands_that_make()
        .into_iter()
        .chain(commands_that_change())
    {
        let store = filled();
        let before = store.everything();
        command(&store);
        let (version, after) = (store.newest(), store.everything());
        assert_ne!(before, after, "{name}");
        // Others go on meanwhile, elsewhere.
        store.put("/k/meanwhile", b"m").expect("put");
        let with = |mut lines: Vec<String>| {
            lines.extend(
                store
                    .everything()
                    .into_iter()
                    .filter(|line| line.starts_with("/k/meanwhile")),
            );
            lines.sort();
            lines
        };
        let sorted = |mut lines: Vec<String>| {
            lines.sort();
            lines
        };
        let undone = store
            .undo(version)
            .unwrap_or_else(|failure| panic!("{name}: {failure}"));
        assert_eq!(sorted(store.everything()), with(before), "{name}");
        while store.namespace.reclaim(100).expect("reclaims").more {}
        store
            .undo(undone.version)
            .unwrap_or_else(|failure| panic!("{name} again: {failure}"));
        assert_eq!(sorted(store.everything()), with(after), "{name} again");
    }
}

#[test]
fn a_removed_tree_comes_back_at_once_and_can_go_again() {
    let store = filled();
    let before = store.everything();
    let removed = store
        .namespace
        .remove(&store.context(), &path("/a"), Remove::Tree)
        .expect("removed");
    let gone = store.everything();
    while store.namespace.reclaim(100).expect("reclaims").more {}
    let undone = store.undo(removed.version).expect("undone");
    assert_eq!(store.everything(), before);
    store.put("/a/d/x", b"goes on").expect("put");
    assert_eq!(reason(store.undo(undone.version)), Reason::Conflict);
    store
        .namespace
        .remove_branch(&store.context(), &path("/a"))
        .expect("removed");
    assert_eq!(store.everything(), gone);
}

#[test]
fn what_changed_since_is_not_undone() {
    let store = filled();
    store.put("/a/f", b"one").expect("put");
    let first = store.newest();
    store.put("/a/f", b"two").expect("put");
    let second = store.newest();
    assert_eq!(reason(store.undo(first)), Reason::Conflict);
    store.undo(second).expect("undone");
    store.mkdir("/n").expect("made");
    let made = store.newest();
    store.put("/n/inside", b"in").expect("put");
    assert_eq!(reason(store.undo(made)), Reason::Conflict);
    store
        .namespace
        .remove(&store.context(), &path("/g"), Remove::File)
        .expect("removed");
    let removed = store.newest();
    store.put("/g", b"another").expect("put");
    assert_eq!(reason(store.undo(removed)), Reason::Conflict);
    assert_eq!(reason(store.undo(Version::from_u64(5))), Reason::NotFound);
}

#[test]
fn a_branch_and_a_merge_are_taken_back() {
    let store = filled();
    let before = store.everything();
    let branch = store
        .namespace
        .create_branch(&store.context(), &path("/a"), &path("/b"), None)
        .expect("branched");
    let undone = store.undo(branch.version).expect("undone");
    assert_eq!(store.everything(), before);
    store.undo(undone.version).expect("undone");
    store.put("/b/f", b"branch").expect("put");
    store.put("/b/new", b"new").expect("put");
    let (context, from, to) = (store.context(), path("/b"), path("/a"));
    let merged = store
        .namespace
        .merge(&context, &from, &to, OnConflict::Fail, MergeRun::Merge)
        .expect("merged");
    store.undo(merged.version).expect("undone");
    let of_a = |lines: Vec<String>| -> Vec<String> {
        lines
            .into_iter()
            .filter(|line| line.starts_with("/a"))
            .collect()
    };
    assert_eq!(of_a(store.everything()), of_a(before));
}

#[test]
fn restoring_puts_the_past_in_place_and_can_be_undone() {
    let store = filled();
    let (then, before) = (store.newest(), store.everything());
    store.put("/a/f", b"changed").expect("put");
    store.put("/a/d/new", b"new").expect("put");
    store
        .namespace
        .remove(&store.context(), &path("/a/d/e"), Remove::Tree)
        .expect("removed");
    let changed = store.everything();
    let restored = store.restore("/a", then).expect("restored");
    assert!(restored.branch.is_some());
    assert_eq!(store.everything(), before);
    store.undo(restored.version).expect("undone");
    assert_eq!(store.everything(), changed);
    // Again and again: no chain of branches grows.
    for _ in 0..40 {
        store.restore("/a", then).expect("restored");
        while store.namespace.reclaim(1000).expect("reclaims").more {}
    }
    assert_eq!(store.everything(), before);
    store.put("/a/d/x", b"goes on").expect("put");
    // A directory inside, a file, and what is no more.
    store.restore("/a/d", then).expect("restored");
    assert_eq!(store.everything(), before);
    let at = store.newest();
    store.put("/g", b"other").expect("put");
    store.restore("/g", at).expect("restored");
    store
        .namespace
        .remove(&store.context(), &path("/a/f"), Remove::File)
        .expect("removed");
    store.restore("/a/f", at).expect("restored");
    store
        .namespace
        .remove(&store.context(), &path("/a"), Remove::Tree)
        .expect("removed");
    store.restore("/a", at).expect("restored");
    assert_eq!(store.everything(), before);
    let root = store.restore("/", then);
    assert_eq!(reason(root), Reason::NotPermitted);
    assert_eq!(reason(store.restore("/none", then)), Reason::NotFound);
    let report = store.namespace.check().expect("checks");
    assert_eq!(report.problems, Vec::new());
}

#[test]
fn bodies_that_come_back_keep_their_blocks() {
    let store = filled();
    let session = store.namespace.open_session(60_000).expect("opened").id;
    let many: Vec<u32> = (0..40).collect();
    let put = |at: &str, blocks: &[u32]| {
        store
            .publish(at, in_blocks(session, blocks), Some(session))
            .expect("published");
    };
    put("/large", &many);
    put("/large", &many[..20]);
    let cut = store.newest();
    store.undo(cut).expect("undone");
    put("/large", &many[5..]);
    store.undo(store.newest()).expect("undone");
    let at = store.newest();
    store
        .namespace
        .remove(&store.context(), &path("/large"), Remove::File)
        .expect("removed");
    store.restore("/large", at).expect("restored");
    put("/large", &many[1..]);
    put("/large", &many[2..]);
    store.namespace.close_session(session).expect("closed");
    while store
        .namespace
        .reclaim_within(1000, 0)
        .expect("reclaims")
        .more
    {}
    let (_, body) = store
        .namespace
        .body(&store.view(), &path("/large"))
        .expect("read");
    assert_eq!(body, in_blocks(session, &many[2..]));
    let report = store.namespace.check().expect("checks");
    assert_eq!(report.problems, Vec::new());
    assert_eq!((report.blocks, report.dead_bodies), (38, 0));
}

#[test]
fn a_branch_of_what_came_back_can_be_merged_into_it() {
    let store = Store::new();
    store.mkdir("/data").expect("made");
    store.put("/data/f", b"1").expect("put");
    let before = store.namespace.read_version();
    store.put("/data/f", b"2").expect("put");
    let (namespace, context) = (&store.namespace, store.context());
    namespace
        .restore(&context, &path("/data"), before)
        .expect("restored");
    let made = namespace.create_branch(&context, &path("/data"), &path("/try"), None);
    made.expect("branched");
    store.put("/try/g", b"3").expect("put");
    let merged = namespace.merge(
        &context,
        &path("/try"),
        &path("/data"),
        OnConflict::Fail,
        MergeRun::Merge,
    );
    assert_eq!(merged.expect("merged").outcome, MergeOutcome::Merged);
    assert!(store.stat("/data/g").is_ok());
    namespace
        .check()
        .expect("checks")
        .verdict()
        .expect("consistent");
}
