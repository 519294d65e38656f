//! Merging branches: what comes over, what is a conflict, and what becomes of the branch.

use crate::support::{Store, in_blocks, path, reason};
use nokv_namespace::{
    ConflictKind, Follow, MergeOutcome, MergeRun, Merged, OnConflict, QuotaLimits, Remove,
    RenameMode, SetAttributes, SetXattr,
};
use nokv_types::{Failure, Reason};

impl Store {
    fn merge_as(
        &self,
        from: &str,
        to: &str,
        choice: OnConflict,
        run: MergeRun,
    ) -> Result<Merged, Failure> {
        let merged = self
            .namespace
            .merge(&self.context(), &path(from), &path(to), choice, run)?;
        let report = self.namespace.check().expect("checks");
        assert_eq!(report.problems, Vec::new());
        Ok(merged)
    }

    fn merge(&self, from: &str, to: &str) -> Merged {
        self.merge_as(from, to, OnConflict::Fail, MergeRun::Merge)
            .expect("merged")
    }

    fn move_to(&self, from: &str, to: &str) {
        let (from, to) = (path(from), path(to));
        self.namespace
            .rename(&self.context(), &from, &to, RenameMode::Plain)
            .expect("moved");
    }

    fn remove_tree(&self, text: &str) {
        self.namespace
            .remove(&self.context(), &path(text), Remove::Tree)
            .expect("removed");
    }

    fn mode(&self, text: &str, mode: u32) {
        let changes = SetAttributes {
            mode: Some(mode),
            ..SetAttributes::default()
        };
        self.namespace
            .set_attributes(&self.context(), &path(text), Follow::No, changes)
            .expect("changed");
    }

    /// Every path below a directory, with what is there.
    fn tree(&self, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        let page = self
            .namespace
            .read_dir_plus(&self.view(), &path(text), None, 1000)
            .expect("listed");
        for entry in page.entries {
            let below = format!("{text}/{}", entry.name);
            let attributes = entry.node.attributes;
            if attributes.kind == nokv_types::NodeKind::Directory {
                lines.push(format!("{}/ {:o}", entry.name, attributes.mode));
                let inside = self.tree(&below);
                lines.extend(inside.iter().map(|line| format!("{}/{line}", entry.name)));
            } else {
                let body = self.namespace.body(&self.view(), &path(&below));
                let layout = body.expect("read").1.layout().clone();
                let shown = match layout {
                    nokv_types::Layout::Inline(bytes) => {
                        String::from_utf8_lossy(&bytes).into_owned()
                    }
                    nokv_types::Layout::Extents(extents) => format!("{} extents", extents.len()),
                };
                let (mode, links) = (attributes.mode, attributes.links);
                lines.push(format!("{} {mode:o} {links} {shown}", entry.name));
            }
        }
        lines
    }
}

fn branched() -> Store {
    let store = Store::new();
    for directory in ["/a", "/a/d", "/a/d/e", "/a/k"] {
        store.mkdir(directory).expect("made");
    }
    for file in ["/a/f", "/a/g", "/a/d/x", "/a/d/e/y"] {
        store.put(file, b"old").expect("put");
    }
    let (context, from, to) = (store.context(), path("/a/g"), path("/a/h"));
    store.namespace.link(&context, &from, &to).expect("linked");
    store
        .namespace
        .create_branch(&context, &path("/a"), &path("/b"), None)
        .expect("branched");
    store
}

fn kinds(merged: &Merged) -> Vec<(String, ConflictKind)> {
    merged
        .conflicts
        .iter()
        .map(|conflict| (conflict.path.to_string(), conflict.kind))
        .collect()
}

#[test]
fn changes_of_both_sides_come_together() {
    let store = branched();
    store.put("/b/f", b"branch").expect("put");
    store.mkdir("/b/new").expect("made");
    store.put("/b/new/n", b"n").expect("put");
    store.move_to("/b/d/e", "/b/e");
    store.remove_tree("/b/g");
    store.mode("/b/k", 0o700);
    store.put("/a/d/z", b"target").expect("put");
    store.mode("/a/d", 0o711);
    let tried = store
        .merge_as("/b", "/a", OnConflict::Fail, MergeRun::DryRun)
        .expect("tried");
    assert_eq!(tried.outcome, MergeOutcome::Tried);
    let merged = store.merge("/b", "/a");
    assert_eq!(merged.outcome, MergeOutcome::Merged);
    assert_eq!(merged.changes, tried.changes);
    let wanted = [
        "d/ 711",
        "d/x 644 1 old",
        "d/z 644 1 target",
        "e/ 755",
        "e/y 644 1 old",
        "f 644 1 branch",
        "h 644 1 old",
        "k/ 700",
        "new/ 755",
        "new/n 644 1 n",
    ];
    let tree = store.tree("/a");
    let mut shown: Vec<_> = tree.iter().map(String::as_str).collect();
    shown.sort_unstable();
    let mut wanted = wanted.to_vec();
    wanted.sort_unstable();
    assert_eq!(shown, wanted);
    // The branch goes on from there.
    assert_eq!(store.tree("/b"), tree);
    store.put("/b/f", b"again").expect("put");
    store.put("/a/d/z", b"again too").expect("put");
    assert_eq!(store.merge("/b", "/a").changes, 1);
    assert_eq!(store.tree("/b"), store.tree("/a"));
    let nothing = store.merge("/b", "/a");
    assert_eq!((nothing.changes, nothing.conflicts.len()), (0, 0));
}

#[test]
fn what_both_changed_is_a_conflict_and_nothing_happens() {
    let store = branched();
    store.put("/b/f", b"branch").expect("put");
    store.put("/b/ok", b"ok").expect("put");
    store.put("/a/f", b"target").expect("put");
    store.put("/b/same", b"1").expect("put");
    store.put("/a/same", b"2").expect("put");
    store.remove_tree("/b/d");
    store.put("/a/d/later", b"later").expect("put");
    store.put("/b/k/in", b"in").expect("put");
    store.remove_tree("/a/k");
    let before = store.tree("/a");
    let merged = store.merge("/b", "/a");
    assert_eq!(merged.outcome, MergeOutcome::Conflicts);
    let wanted = [
        ("/d/later", ConflictKind::RemovedInBranch),
        ("/f", ConflictKind::Content),
        ("/k/in", ConflictKind::RemovedInTarget),
        ("/same", ConflictKind::Name),
    ];
    let wanted: Vec<_> = wanted
        .iter()
        .map(|(path, kind)| ((*path).to_string(), *kind))
        .collect();
    assert_eq!(kinds(&merged), wanted);
    assert_eq!(store.tree("/a"), before);
}

#[test]
fn a_choice_settles_conflicts_of_files() {
    for choice in [OnConflict::Ours, OnConflict::Theirs] {
        let store = branched();
        store.put("/b/f", b"branch").expect("put");
        store.put("/a/f", b"target").expect("put");
        store.put("/b/same", b"1").expect("put");
        store.put("/a/same", b"2").expect("put");
        store.put("/b/d/x", b"kept").expect("put");
        store.remove_tree("/a/d/x");
        store.remove_tree("/b/d/e/y");
        store.put("/a/d/e/y", b"kept").expect("put");
        let merged = store
            .merge_as("/b", "/a", choice, MergeRun::Merge)
            .expect("merged");
        assert_eq!(merged.outcome, MergeOutcome::Merged, "{merged:?}");
        assert_eq!(merged.conflicts.len(), 4);
        let tree = store.tree("/a");
        let has = |line: &str| tree.iter().any(|found| found == line);
        let theirs = choice == OnConflict::Theirs;
        assert_eq!(has("f 644 1 branch"), theirs, "{tree:?}");
        assert_eq!(has("same 644 1 1"), theirs, "{tree:?}");
        assert_eq!(has("d/x 644 1 kept"), theirs, "{tree:?}");
        assert_eq!(has("d/e/y 644 1 kept"), !theirs, "{tree:?}");
        assert_eq!(store.tree("/b"), tree);
    }
}

#[test]
fn directories_that_both_sides_moved_never_lie_in_each_other() {
    let store = branched();
    store.move_to("/b/d", "/b/k/d");
    store.move_to("/a/k", "/a/d/k");
    let failure = store.merge_as("/b", "/a", OnConflict::Fail, MergeRun::Merge);
    assert_eq!(reason(failure), Reason::Conflict);
    let store = branched();
    store.move_to("/b/d", "/b/k/d");
    store.move_to("/a/d", "/a/other");
    let merged = store.merge("/b", "/a");
    assert_eq!(merged.outcome, MergeOutcome::Conflicts);
    assert_eq!(kinds(&merged), [("/k/d".to_string(), ConflictKind::Moved)]);
    let kept = store
        .merge_as("/b", "/a", OnConflict::Ours, MergeRun::Merge)
        .expect("merged");
    assert_eq!(kept.outcome, MergeOutcome::Merged);
    assert!(store.stat("/a/other/x").is_ok() && store.stat("/b/other/x").is_ok());
}

#[test]
fn only_a_branch_is_merged_and_only_into_what_it_came_from() {
    let store = branched();
    store.mkdir("/c").expect("made");
    for (from, to) in [("/a", "/c"), ("/b", "/c"), ("/b/d", "/a/d"), ("/b", "/b")] {
        let refused = store.merge_as(from, to, OnConflict::Fail, MergeRun::Merge);
        assert_eq!(reason(refused), Reason::InvalidArgument);
    }
    // The origin may have moved.
    store.put("/b/n", b"n").expect("put");
    store.move_to("/a", "/c/a");
    assert_eq!(store.merge("/b", "/c/a").outcome, MergeOutcome::Merged);
    assert!(store.stat("/c/a/n").is_ok());
}

#[test]
fn a_branch_of_a_branch_merges_into_its_parent() {
    let store = branched();
    store.put("/b/f", b"one").expect("put");
    let (context, from, to) = (store.context(), path("/b"), path("/c"));
    store
        .namespace
        .create_branch(&context, &from, &to, None)
        .expect("branched");
    store.put("/c/f", b"two").expect("put");
    store.remove_tree("/c/d");
    store.put("/c/n", b"n").expect("put");
    assert_eq!(store.merge("/c", "/b").outcome, MergeOutcome::Merged);
    assert_eq!(store.tree("/b"), store.tree("/c"));
    assert!(store.stat("/a/d/x").is_ok() && store.stat("/b/d").is_err());
    assert_eq!(store.merge("/b", "/a").outcome, MergeOutcome::Merged);
    assert_eq!(store.tree("/a"), store.tree("/c"));
}

#[test]
fn merged_bodies_and_attributes_keep_their_blocks_and_what_is_left_goes() {
    let store = branched();
    let session = store.namespace.open_session(60_000).expect("opened").id;
    let put = |at: &str, blocks: &[u32]| {
        store
            .publish(at, in_blocks(session, blocks), Some(session))
            .expect("published");
    };
    let many: Vec<u32> = (0..40).collect();
    put("/b/f", &[50]);
    put("/b/large", &many);
    put("/b/large", &many[1..]);
    put("/b/lost", &[60]);
    store.remove_tree("/b/lost");
    let name = path("/b/large");
    let set = |name: &_, value| {
        store
            .namespace
            .set_xattr(&store.context(), name, Follow::No, b"user.k", value)
    };
    set(&name, SetXattr::Put(b"v"[..].into())).expect("set");
    assert_eq!(store.merge("/b", "/a").outcome, MergeOutcome::Merged);
    let value = store
        .namespace
        .xattr(&store.view(), &path("/a/large"), Follow::No, b"user.k");
    assert_eq!(value.expect("read"), &b"v"[..]);
    store.namespace.close_session(session).expect("closed");
    while store
        .namespace
        .reclaim_within(1000, 0)
        .expect("reclaims")
        .more
    {}
    let tree = store.tree("/a");
    assert!(
        tree.contains(&"large 644 1 39 extents".to_string()),
        "{tree:?}"
    );
    assert_eq!(store.tree("/b"), tree);
    let report = store.namespace.check().expect("checks");
    assert_eq!(report.problems, Vec::new());
    assert_eq!((report.blocks, report.dead_bodies), (40, 0));
}

#[test]
fn a_merge_survives_a_restart_with_its_base() {
    let store = branched();
    store.put("/b/f", b"branch").expect("put");
    store.merge("/b", "/a");
    store.put("/a/f", b"later").expect("put");
    let tree = store.tree("/b");
    let files = std::sync::Arc::new(store.files.crash(1));
    let store = Store::on(files, nokv_namespace::Options::default());
    while store
        .namespace
        .reclaim_within(1000, 0)
        .expect("reclaims")
        .more
    {}
    assert_eq!(store.tree("/b"), tree);
    assert_eq!(store.merge("/b", "/a").changes, 0);
}

#[test]
fn writers_of_a_branch_and_of_its_origin_lose_nothing_to_merges() {
    const FILES: usize = 40;
    let store = branched();
    std::thread::scope(|scope| {
        for (top, letter) in [("/a", "o"), ("/b", "w"), ("/b", "v")] {
            let store = &store;
            scope.spawn(move || {
                for number in 0..FILES {
                    let text = format!("{top}/k/{letter}{number}");
                    store.put(&text, text.as_bytes()).expect("put");
                }
            });
        }
        let store = &store;
        scope.spawn(move || {
            let (from, to) = (path("/b"), path("/a"));
            for _ in 0..20 {
                let (choice, run) = (OnConflict::Fail, MergeRun::Merge);
                let merged = store
                    .namespace
                    .merge(&store.context(), &from, &to, choice, run);
                // Writers may be faster every time.
                if let Err(failure) = merged {
                    assert_eq!(failure.reason(), Reason::Conflict);
                }
                store.namespace.reclaim_within(100, 0).expect("reclaims");
            }
        });
    });
    assert_eq!(store.merge("/b", "/a").outcome, MergeOutcome::Merged);
    let tree = store.tree("/a");
    for letter in ["o", "w", "v"] {
        for number in 0..FILES {
            let top = if letter == "o" { "/a" } else { "/b" };
            let line = format!("k/{letter}{number} 644 1 {top}/k/{letter}{number}");
            assert!(tree.contains(&line), "{line}");
        }
    }
    assert_eq!(store.tree("/b"), tree);
}

#[test]
fn a_merge_into_a_full_quota_makes_room_or_fails_and_always_ends() {
    let store = branched();
    store.mkdir("/a/trash").expect("made");
    store.put("/a/trash/one", b"1").expect("put");
    store.put("/a/trash/two", b"2").expect("put");
    store.merge("/b", "/a");
    let limit = |inodes| {
        let limits = QuotaLimits {
            bytes: None,
            inodes: Some(inodes),
        };
        store
            .namespace
            .set_quota(&store.context(), &path("/a"), limits)
            .expect("set");
    };
    // d, d/e, d/e/y, d/x, f, g, h, k, trash, trash/one, trash/two.
    limit(11);
    store.put("/b/new", b"new").expect("put");
    store.put("/b/more", b"more").expect("put");
    let full = store.merge_as("/b", "/a", OnConflict::Fail, MergeRun::Merge);
    assert_eq!(reason(full), Reason::QuotaExceeded);
    // The name of the tree makes room for one; what is in it counts until it is taken apart, which
    // the merge then does.
    store.remove_tree("/a/trash");
    assert_eq!(store.merge("/b", "/a").outcome, MergeOutcome::Merged);
    assert!(store.stat("/a/new").is_ok());
}
