//! Branches: what they show, what writing in them changes, how they end.

use crate::support::{Store, path, reason};
use bytes::Bytes;
use nokv_namespace::{
    Branch, Context, Follow, Node, Parents, Remove, RenameMode, SetAttributes, SetXattr, View,
};
use nokv_types::{BranchId, Failure, Name, Reason, Version};

/// Short ways to say things of branches.
impl Store {
    fn branch(&self, from: &str, to: &str) -> Result<Branch, Failure> {
        self.branch_at(from, to, None)
    }

    fn branch_at(&self, from: &str, to: &str, at: Option<Version>) -> Result<Branch, Failure> {
        self.namespace
            .create_branch(&self.context(), &path(from), &path(to), at)
    }

    fn remove(&self, text: &str, remove: Remove) -> Result<Version, Failure> {
        let removed = self
            .namespace
            .remove(&self.context(), &path(text), remove)?;
        Ok(removed.version)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), Failure> {
        let (from, to) = (path(from), path(to));
        self.namespace
            .rename(&self.context(), &from, &to, RenameMode::Plain)
            .map(drop)
    }

    fn link(&self, from: &str, to: &str) -> Result<(), Failure> {
        self.namespace
            .link(&self.context(), &path(from), &path(to))
            .map(drop)
    }

    fn body(&self, text: &str) -> Result<Vec<u8>, Failure> {
        self.body_in(&self.view(), text)
    }

    fn body_in(&self, view: &View, text: &str) -> Result<Vec<u8>, Failure> {
        let (_, body) = self.namespace.body(view, &path(text))?;
        match body.layout() {
            nokv_types::Layout::Inline(bytes) => Ok(bytes.to_vec()),
            nokv_types::Layout::Extents(_) => panic!("not inline"),
        }
    }

    fn names_in(&self, view: &View, text: &str) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        let mut after: Option<Name> = None;
        loop {
            let page = self
                .namespace
                .read_dir_plus(view, &path(text), after.as_ref(), 2)
                .expect("listed");
            assert!(page.directory.attributes.size >= names.len() as u64);
            names.extend(page.entries.iter().map(|entry| entry.name.to_string()));
            match page.next {
                Some(next) => after = Some(next),
                None => {
                    assert_eq!(page.directory.attributes.size, names.len() as u64);
                    return names;
                }
            }
        }
    }

    fn chmod(&self, text: &str, mode: u32) -> Result<Node, Failure> {
        let changes = SetAttributes {
            mode: Some(mode),
            ..SetAttributes::default()
        };
        let (context, at) = (self.context(), path(text));
        let changed = self
            .namespace
            .set_attributes(&context, &at, Follow::No, changes)?;
        Ok(changed.node)
    }

    fn consistent(&self) {
        let report = self.namespace.check().expect("checks");
        assert_eq!(report.problems, Vec::new());
    }
}

/// `/a` with a few things in it, branched to `/b`.
fn branched() -> Store {
    let store = Store::new();
    store.mkdir("/a").expect("made");
    store.mkdir("/a/d").expect("made");
    store.put("/a/d/x", b"x").expect("put");
    store.put("/a/f", b"one").expect("put");
    store.put("/a/g", b"two").expect("put");
    store.link("/a/g", "/a/h").expect("linked");
    store.branch("/a", "/b").expect("branched");
    store
}

#[test]
fn a_branch_shows_its_origin_and_both_go_their_own_way() {
    let store = branched();
    assert_eq!(store.names("/b"), ["d", "f", "g", "h"]);
    assert_eq!(store.body("/b/d/x").expect("read"), b"x");
    // In the branch.
    store.put("/b/f", b"changed").expect("put");
    store.put("/b/new", b"new").expect("put");
    store.mkdir("/b/d/e").expect("made");
    store.remove("/b/g", Remove::File).expect("removed");
    // In the origin.
    store.put("/a/f", b"origin").expect("put");
    store.put("/a/late", b"late").expect("put");
    store.remove("/a/d/x", Remove::File).expect("removed");
    assert_eq!(store.names("/a"), ["d", "f", "g", "h", "late"]);
    assert_eq!(store.names("/b"), ["d", "f", "h", "new"]);
    assert_eq!(store.names("/a/d"), [""; 0]);
    assert_eq!(store.names("/b/d"), ["e", "x"]);
    assert_eq!(store.body("/a/f").expect("read"), b"origin");
    assert_eq!(store.body("/b/f").expect("read"), b"changed");
    assert_eq!(store.stat("/a/h").expect("there").attributes.links, 2);
    assert_eq!(store.stat("/b/h").expect("there").attributes.links, 1);
    assert_eq!(reason(store.stat("/b/g")), Reason::NotFound);
    assert_eq!(store.stat("/b").expect("there").attributes.links, 3);
    assert_eq!(store.stat("/b/d").expect("there").attributes.links, 3);
    store.consistent();
}

#[test]
fn a_branch_of_the_past_shows_the_past() {
    let store = Store::new();
    store.mkdir("/a").expect("made");
    store.put("/a/f", b"one").expect("put");
    let before = store.namespace.read_version();
    store.put("/a/f", b"two").expect("put");
    store.remove("/a/f", Remove::File).expect("removed");
    store.branch_at("/a", "/b", Some(before)).expect("branched");
    assert_eq!(store.body("/b/f").expect("read"), b"one");
    assert_eq!(store.names("/a"), [""; 0]);
    store.consistent();
}

#[test]
fn attributes_and_extended_attributes_of_a_branch_are_its_own() {
    let store = branched();
    let context = store.context();
    let set = |at: &str, name: &[u8], change| {
        let at = path(at);
        store
            .namespace
            .set_xattr(&context, &at, Follow::No, name, change)
    };
    set("/a/f", b"user.a", SetXattr::Put(Bytes::from_static(b"1"))).expect("set");
    let branch = store.branch("/a", "/c").expect("branched");
    set("/c/f", b"user.b", SetXattr::Put(Bytes::new())).expect("set");
    set("/c/f", b"user.a", SetXattr::Remove).expect("removed");
    set("/a/f", b"user.a", SetXattr::Put(Bytes::from_static(b"2"))).expect("set");
    let list = |at: &str| {
        let names = store.namespace.xattrs(&store.view(), &path(at), Follow::No);
        names.expect("listed")
    };
    assert_eq!(list("/a/f"), [&b"user.a"[..]]);
    assert_eq!(list("/c/f"), [&b"user.b"[..]]);
    let value = store
        .namespace
        .xattr(&store.view(), &path("/c/f"), Follow::No, b"user.b");
    assert_eq!(value.expect("read"), Bytes::new());
    store.chmod("/c/d", 0o700).expect("changed");
    store.chmod("/c", 0o711).expect("changed");
    assert_eq!(store.stat("/a/d").expect("there").attributes.mode, 0o755);
    assert_eq!(store.stat("/c/d").expect("there").attributes.mode, 0o700);
    assert_eq!(store.stat("/a").expect("there").attributes.mode, 0o755);
    assert_eq!(store.stat("/c").expect("there").attributes.mode, 0o711);
    assert_eq!(store.stat("/c").expect("there").branch, branch.id);
    store.consistent();
}

#[test]
fn moving_within_a_branch_works_and_between_branches_does_not() {
    let store = branched();
    store.rename("/b/d", "/b/moved").expect("moved");
    store.rename("/b/f", "/b/moved/f").expect("moved");
    assert_eq!(store.names("/b"), ["g", "h", "moved"]);
    assert_eq!(store.names("/b/moved"), ["f", "x"]);
    assert_eq!(store.names("/a"), ["d", "f", "g", "h"]);
    assert_eq!(
        reason(store.rename("/b/moved", "/b/moved/f2/y")),
        Reason::NotFound
    );
    let below = store.rename("/b/moved", "/b/moved/inside");
    assert_eq!(reason(below), Reason::InvalidArgument);
    for (from, to) in [("/b/g", "/a/k"), ("/a/f", "/b/k"), ("/b/moved", "/k")] {
        assert_eq!(reason(store.rename(from, to)), Reason::CrossesBoundary);
    }
    assert_eq!(reason(store.link("/b/g", "/a/k")), Reason::CrossesBoundary);
    let below = store.rename("/b", "/b/moved/b");
    assert_eq!(reason(below), Reason::CrossesBoundary);
    // The root of a branch moves in the branch that it hangs in, and never below itself.
    store.mkdir("/e").expect("made");
    store.rename("/b", "/e/b").expect("moved");
    assert_eq!(store.names("/e/b/moved"), ["f", "x"]);
    store.put("/e/b/moved/z", b"z").expect("put");
    let listed = store
        .namespace
        .branches(store.view().mount)
        .expect("listed");
    assert_eq!(listed[0].path, Some(path("/e/b")));
    store.consistent();
}

#[test]
fn a_branch_of_a_branch_sees_what_its_parent_was() {
    let store = branched();
    store.put("/b/f", b"branch").expect("put");
    store.remove("/b/g", Remove::File).expect("removed");
    store.branch("/b", "/c").expect("branched");
    store.put("/b/f", b"later").expect("put");
    store.put("/b/more", b"more").expect("put");
    store.put("/c/own", b"own").expect("put");
    assert_eq!(store.names("/c"), ["d", "f", "h", "own"]);
    assert_eq!(store.body("/c/f").expect("read"), b"branch");
    assert_eq!(store.body("/c/d/x").expect("read"), b"x");
    store.remove("/c/h", Remove::File).expect("removed");
    store.put("/c/g", b"again").expect("put");
    assert_eq!(store.names("/c"), ["d", "f", "g", "own"]);
    assert_eq!(store.names("/b"), ["d", "f", "h", "more"]);
    // And goes on when its parent is removed.
    store
        .namespace
        .remove_branch(&store.context(), &path("/b"))
        .expect("removed");
    store.consistent();
    while store
        .namespace
        .reclaim_within(100, 0)
        .expect("reclaims")
        .more
    {}
    assert_eq!(store.names("/c"), ["d", "f", "g", "own"]);
    assert_eq!(store.body("/c/f").expect("read"), b"branch");
    store.consistent();
}

#[test]
fn a_branch_met_through_another_stays_as_it_was_and_can_not_be_changed_there() {
    let store = branched();
    store.rename("/b", "/a/b").expect("moved");
    store.put("/a/b/f", b"then").expect("put");
    store.branch("/a", "/c").expect("branched");
    store.put("/a/b/f", b"now").expect("put");
    assert_eq!(store.body("/c/b/f").expect("read"), b"then");
    assert_eq!(store.names("/c/b"), ["d", "f", "g", "h"]);
    for refused in [
        store.put("/c/b/f", b"x").map(drop),
        store.put("/c/b/y", b"x").map(drop),
        store.remove("/c/b/f", Remove::File).map(drop),
        store.chmod("/c/b", 0o700).map(drop),
        store.mkdir("/c/b/d/e").map(drop),
    ] {
        assert_eq!(reason(refused), Reason::NotPermitted);
    }
    assert_eq!(
        reason(store.rename("/c/b", "/c/k")),
        Reason::CrossesBoundary
    );
    // It can be branched, and taken out of sight, which leaves the other as it is.
    store.branch("/c/b", "/c/again").expect("branched");
    store.put("/c/again/f", b"mine").expect("put");
    store.remove("/c/b", Remove::Tree).expect("removed");
    assert_eq!(store.names("/c"), ["again", "d", "f", "g", "h"]);
    assert_eq!(store.body("/a/b/f").expect("read"), b"now");
    store.consistent();
}

#[test]
fn removing_a_tree_with_branches_removes_them_and_nothing_else() {
    let store = branched();
    store.put("/b/f", b"branch").expect("put");
    store.mkdir("/e").expect("made");
    store.rename("/b", "/e/b").expect("moved");
    store.remove("/e", Remove::Tree).expect("removed");
    while store
        .namespace
        .reclaim_within(100, 0)
        .expect("reclaims")
        .more
    {}
    let listed = store.namespace.branches(store.view().mount);
    assert_eq!(listed.expect("listed"), []);
    assert_eq!(store.names("/a"), ["d", "f", "g", "h"]);
    store.consistent();
}

#[test]
fn a_tree_removed_in_a_branch_is_gone_there_only() {
    let store = branched();
    store.link("/a/d/x", "/a/y").expect("linked");
    store.branch("/a", "/c").expect("branched");
    store.put("/c/d/own", b"own").expect("put");
    store.remove("/c/d", Remove::Tree).expect("removed");
    assert_eq!(store.names("/c"), ["f", "g", "h", "y"]);
    while store.namespace.reclaim(100).expect("reclaims").more {}
    assert_eq!(store.stat("/c/y").expect("there").attributes.links, 1);
    assert_eq!(store.stat("/a/y").expect("there").attributes.links, 2);
    assert_eq!(store.names("/a/d"), ["x"]);
    store.mkdir("/c/d").expect("made anew");
    assert_eq!(store.names("/c/d"), [""; 0]);
    store.consistent();
}

#[test]
fn an_empty_directory_is_empty_as_the_branch_sees_it() {
    let store = branched();
    let refused = store.remove("/b/d", Remove::EmptyDirectory);
    assert_eq!(reason(refused), Reason::NotEmpty);
    store.remove("/b/d/x", Remove::File).expect("removed");
    store
        .remove("/b/d", Remove::EmptyDirectory)
        .expect("removed");
    assert_eq!(store.names("/b"), ["f", "g", "h"]);
    assert_eq!(store.names("/a/d"), ["x"]);
    // The branch itself too.
    for name in ["f", "g", "h"] {
        store
            .remove(&format!("/b/{name}"), Remove::File)
            .expect("removed");
    }
    store.remove("/b", Remove::EmptyDirectory).expect("removed");
    assert_eq!(store.names("/"), ["a"]);
    store.consistent();
}

#[test]
fn nodes_of_a_branch_are_asked_for_in_it() {
    let store = branched();
    let branch = store.stat("/b").expect("there").branch;
    store.put("/b/f", b"branch").expect("put");
    let node = store.stat("/b/f").expect("there");
    let view = View {
        branch,
        ..store.view()
    };
    assert_eq!(store.namespace.lookup(&view, node.id, Follow::No), Ok(node));
    // Paths begin at the branch's root.
    assert_eq!(store.body_in(&view, "/f").expect("read"), b"branch");
    assert_eq!(store.names_in(&view, "/"), ["d", "f", "g", "h"]);
    let context = Context {
        branch,
        ..store.context()
    };
    let made = store
        .namespace
        .make_dir(&context, &path("/k"), 0o700, Parents::Required);
    assert_eq!(made.expect("made").node.branch, branch);
    assert_eq!(store.names("/b"), ["d", "f", "g", "h", "k"]);
    let view = View {
        branch: BranchId::new(77),
        ..view
    };
    let missing = store.namespace.lookup(&view, &path("/f"), Follow::No);
    assert_eq!(reason(missing), Reason::NotFound);
    store.consistent();
}

#[test]
fn what_a_branch_was_stays_readable_after_it_is_removed() {
    let store = branched();
    store.put("/b/f", b"branch").expect("put");
    let before = store.namespace.read_version();
    store.remove("/b", Remove::Tree).expect("removed");
    let view = store.view().at(before);
    assert_eq!(store.body_in(&view, "/b/f").expect("read"), b"branch");
    while store.namespace.reclaim(100).expect("reclaims").more {}
    assert_eq!(store.body_in(&view, "/b/f").expect("read"), b"branch");
    assert_eq!(store.names_in(&view, "/b"), ["d", "f", "g", "h"]);
    store.branch_at("/b", "/back", Some(before)).expect("back");
    assert_eq!(store.body("/back/f").expect("read"), b"branch");
    store.consistent();
}

#[test]
fn errors_of_making_a_branch() {
    let store = branched();
    assert_eq!(reason(store.branch("/a", "/b")), Reason::AlreadyExists);
    assert_eq!(reason(store.branch("/a/f", "/n")), Reason::NotDirectory);
    assert_eq!(reason(store.branch("/none", "/n")), Reason::NotFound);
    assert_eq!(reason(store.branch("/a", "/no/n")), Reason::NotFound);
    let removed = store.namespace.remove_branch(&store.context(), &path("/a"));
    assert_eq!(reason(removed), Reason::InvalidArgument);
    // A chain has an end, also one of branches without changes: each can be merged into the one
    // that it was made from.
    let mut from = "/a".to_string();
    for depth in 0..15 {
        let to = format!("/free{depth}");
        store.branch(&from, &to).expect("branched");
        from = to;
    }
    assert_eq!(reason(store.branch(&from, "/more")), Reason::TooLarge);
    let mut from = "/a".to_string();
    for depth in 0..15 {
        let to = format!("/n{depth}");
        store.branch(&from, &to).expect("branched");
        store.put(&format!("{to}/own"), b"own").expect("put");
        from = to;
    }
    assert_eq!(store.names(&from), ["d", "f", "g", "h", "own"]);
    assert_eq!(reason(store.branch(&from, "/more")), Reason::TooLarge);
    store.consistent();
}

impl Store {
    fn diff_of(&self, views: [&View; 2], from: &str, to: &str) -> Vec<String> {
        let (from, to) = (path(from), path(to));
        let mut lines = Vec::new();
        let mut after = 0;
        loop {
            let (from, to) = ((views[0], (&from).into()), (views[1], (&to).into()));
            let page = self.namespace.diff(from, to, after, 2).expect("compared");
            assert!(page.differences.len() <= 2);
            lines.extend(page.differences.iter().map(|difference| {
                let shown = |path: &Option<_>| match path {
                    None => "-".to_string(),
                    Some(path) => format!("{path}"),
                };
                let (from, to) = (shown(&difference.from), shown(&difference.to));
                format!("{:?} {from} {to}", difference.kind)
            }));
            match page.next {
                Some(next) => after = next,
                None => return lines,
            }
        }
    }

    fn diff(&self, from: &str, to: &str) -> Vec<String> {
        self.diff_of([&self.view(), &self.view()], from, to)
    }
}

#[test]
fn the_differences_of_a_branch_are_its_changes_and_those_of_its_origin() {
    let store = branched();
    assert_eq!(store.diff("/a", "/b"), [""; 0]);
    store.put("/b/f", b"changed").expect("put");
    store.rename("/b/d", "/b/moved").expect("moved");
    store.remove("/b/g", Remove::File).expect("removed");
    store.mkdir("/b/new").expect("made");
    store.put("/b/new/n", b"n").expect("put");
    store.chmod("/b/h", 0o600).expect("changed");
    let of_branch = [
        "Modified /f /f",
        "Removed /g -",
        "Attributes /h /h",
        "Renamed /d /moved",
        "Added - /new",
        "Added - /new/n",
    ];
    let sorted = |mut lines: Vec<String>| {
        lines.sort();
        lines
    };
    let mut wanted: Vec<String> = of_branch.iter().map(ToString::to_string).collect();
    assert_eq!(sorted(store.diff("/a", "/b")), sorted(wanted.clone()));
    store.put("/a/d/later", b"later").expect("put");
    store.remove("/a/d/x", Remove::File).expect("removed");
    wanted.push("Removed /d/later -".to_string());
    wanted.push("Added - /moved/x".to_string());
    assert_eq!(sorted(store.diff("/a", "/b")), sorted(wanted));
    // The other way round.
    let back = store.diff("/b", "/a");
    assert!(back.contains(&"Added - /g".to_string()), "{back:?}");
    assert!(back.contains(&"Removed /new/n -".to_string()), "{back:?}");
}

#[test]
fn two_versions_of_a_directory_are_compared() {
    let store = branched();
    let before = store.view().at(store.namespace.read_version());
    store.put("/a/f", b"changed").expect("put");
    store.remove("/a/d", Remove::Tree).expect("removed");
    store.rename("/a/g", "/a/g2").expect("moved");
    store.mkdir("/other").expect("made");
    store.put("/other/z", b"z").expect("put");
    let lines = store.diff_of([&before, &store.view()], "/a", "/a");
    let wanted = [
        "Removed /d -",
        "Removed /d/x -",
        "Modified /f /f",
        "Renamed /g /g2",
    ];
    assert_eq!(lines, wanted);
    // Different directories have everything different.
    let lines = store.diff_of([&before, &store.view()], "/a/d", "/other");
    assert_eq!(lines, ["Removed /x -", "Added - /z"]);
}
