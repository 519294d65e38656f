//! The change feed: scopes, cursors, restarts.

use crate::support::{Store, path, reason};
use nokv_namespace::{
    ChangeKind, Follow, Options, Remove, RenameMode, Scope, SetAttributes, SetXattr,
};
use nokv_types::{Reason, Version};
use std::sync::Arc;
use std::time::Duration;

/// What is heard after a cursor: kind, the name that went, the name that is.
fn heard(store: &Store, scope: Scope, after: Version) -> Vec<(ChangeKind, String, String)> {
    let mount = store.namespace.default_mount();
    let page = store
        .namespace
        .changes(mount, scope, after, 1000)
        .expect("retained");
    let text = |place: &Option<nokv_namespace::ChangedPlace>| {
        place
            .as_ref()
            .map_or(String::new(), |place| match &place.path {
                Some(path) => path.to_string(),
                None => "?".to_string(),
            })
    };
    page.changes
        .iter()
        .map(|change| (change.kind, text(&change.from), text(&change.to)))
        .collect()
}

fn rename(store: &Store, from: &str, to: &str) {
    let (context, mode) = (store.context(), RenameMode::Plain);
    store
        .namespace
        .rename(&context, &path(from), &path(to), mode)
        .expect("renamed");
}

#[test]
fn scope_is_answered_at_the_version_of_the_change() {
    let store = Store::new();
    let tree = store.mkdir("/in").expect("made").id;
    store.mkdir("/out").expect("made");
    let start = store.namespace.read_version();
    store.mkdir("/in/deep").expect("made");
    store.put("/in/deep/f", b"1").expect("published");
    store.put("/out/f", b"not heard").expect("published");
    store.put("/in/deep/f", b"2").expect("published");
    rename(&store, "/in/deep/f", "/out/g");
    store
        .put("/out/g", b"not heard any more")
        .expect("published");
    rename(&store, "/out/f", "/in/h");
    rename(&store, "/in", "/out/in");
    store
        .put("/out/in/h", b"heard where it is now")
        .expect("published");
    store
        .namespace
        .remove(&store.context(), &path("/out/in/deep"), Remove::Tree)
        .expect("removed");
    let text = |kind, from: &str, to: &str| (kind, from.to_string(), to.to_string());
    use ChangeKind::{Created, Published, Removed, Renamed};
    let expected = [
        text(Created, "", "/in/deep"),
        text(Created, "", "/in/deep/f"),
        text(Published, "", "/in/deep/f"),
        text(Renamed, "/in/deep/f", "/out/g"),
        text(Renamed, "/out/f", "/in/h"),
        text(Renamed, "/in", "/out/in"),
        text(Published, "", "/out/in/h"),
        text(Removed, "/out/in/deep", ""),
    ];
    assert_eq!(heard(&store, Scope::Tree(tree), start), expected);
    while store.namespace.reclaim(100).expect("reclaims").more {}
    assert_eq!(
        heard(&store, Scope::Tree(tree), start),
        expected,
        "said twice, the same"
    );
    let entries = heard(&store, Scope::Node(tree), start);
    assert_eq!(
        entries.len(),
        5,
        "made, moved in, moved, published, removed: {entries:?}"
    );
    assert_eq!(heard(&store, Scope::Mount, start).len(), 10);
}

#[test]
fn every_kind_of_change_is_announced() {
    let store = Store::new();
    let start = store.namespace.read_version();
    store.put("/a", b"x").expect("published");
    store.put("/b", b"y").expect("published");
    let context = store.context();
    let changes = SetAttributes {
        mode: Some(0o600),
        ..SetAttributes::default()
    };
    store
        .namespace
        .set_attributes(&context, &path("/a"), Follow::No, changes)
        .expect("set");
    let value = SetXattr::Put("v".into());
    store
        .namespace
        .set_xattr(&context, &path("/a"), Follow::No, b"user.x", value)
        .expect("set");
    store
        .namespace
        .rename(&context, &path("/a"), &path("/b"), RenameMode::Exchange)
        .expect("done");
    store
        .namespace
        .link(&context, &path("/a"), &path("/c"))
        .expect("linked");
    rename(&store, "/a", "/b");
    store
        .namespace
        .remove(&context, &path("/b"), Remove::File)
        .expect("removed");
    use ChangeKind::{Attributes, Created, Exchanged, Removed, Renamed, Xattr};
    let kinds: Vec<_> = heard(&store, Scope::Mount, start)
        .into_iter()
        .map(|heard| heard.0)
        .collect();
    assert_eq!(
        kinds,
        [
            Created, Created, Attributes, Xattr, Exchanged, Created, Renamed, Removed
        ]
    );
}

#[test]
fn a_cursor_resumes_across_a_restart_and_an_old_one_is_told_so() {
    let store = Store::new();
    let start = store.namespace.read_version();
    store.put("/a", b"x").expect("published");
    let middle = store.namespace.read_version();
    store.put("/b", b"y").expect("published");
    let (all, rest) = (
        heard(&store, Scope::Mount, start),
        heard(&store, Scope::Mount, middle),
    );
    assert_eq!((all.len(), rest.len()), (2, 1));
    store.namespace.close().expect("closed");
    let store = Store::on(Arc::clone(&store.files), Options::default());
    assert_eq!(heard(&store, Scope::Mount, start), all);
    assert_eq!(heard(&store, Scope::Mount, middle), rest);
    store.clock.advance(Duration::from_secs(2 * 3600));
    while store.namespace.reclaim(100).expect("reclaims").more {}
    let mount = store.namespace.default_mount();
    let gap = store.namespace.changes(mount, Scope::Mount, start, 10);
    assert_eq!(reason(gap), Reason::Compacted);
    let now = store.namespace.read_version();
    assert_eq!(heard(&store, Scope::Mount, now), []);
    let waited = store
        .namespace
        .wait_for_change(now, Duration::from_millis(1));
    assert_eq!(waited, now);
    store.put("/c", b"").expect("published");
    assert!(
        store
            .namespace
            .wait_for_change(now, Duration::from_secs(60))
            > now
    );
    assert_eq!(heard(&store, Scope::Mount, now).len(), 1);
}
