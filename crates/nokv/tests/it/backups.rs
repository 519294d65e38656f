//! Backups: a store that was killed and lost comes back from one.

use crate::program::Store;
use crate::tree::{assert_same, make_nasty};
use std::fs;
use std::path::Path;

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn a_lost_store_comes_back() {
    let store = Store::new();
    let url = format!("file://{}", text(&store.local("bodies")));
    let from = format!("{url}/backups");
    let local = store.local("tree");
    make_nasty(&local, 81);
    let served = store.serve(["--objects", &url]);
    store.ok(["put", &format!("{}/.", text(&local)), "/tree"]);
    store.ok(["backup"]);
    store.ok_with_input(&["put", "-", "/later"], b"later");
    let made = store.ok(["backup", "--json"]);
    assert!(String::from_utf8_lossy(&made).contains("\"backup\":2"));
    let status = store.ok(["status"]);
    assert!(String::from_utf8_lossy(&status).contains("backup lag"));
    store.ok_with_input(&["put", "-", "/lost"], &[7; 9_000]);
    served.kill();
    // What the backup needs stays, whatever is removed afterwards.
    store.ok(["rm", "-r", "/tree"]);
    store.ok(["gc", "--retention", "0s"]);
    fs::remove_dir_all(store.dir()).expect("lost");

    let line = store.fails(["restore-store", "--from", &from, text(&store.local("."))]);
    assert!(line.contains("not empty"), "{line}");
    store.ok(["restore-store", "--from", &from, text(&store.dir())]);
    assert_eq!(store.ok(["ls", "/"]), b"later\ntree\n");
    let copy = store.local("copy");
    store.ok(["get", "/tree", text(&copy)]);
    assert_same(&local, &copy);
    store.ok(["fsck"]);
    // It goes on, and so do its backups.
    store.ok_with_input(&["put", "-", "/new"], &[8; 9_000]);
    let made = store.ok(["backup", "--json", "--keep", "2"]);
    assert!(String::from_utf8_lossy(&made).contains("\"removed\":[1]"));
    store.ok(["backup", "verify"]);
    store.ok(["backup", "rm", "2"]);
    let listed = store.ok(["backup", "ls"]);
    assert_eq!(listed.iter().filter(|byte| **byte == b'\n').count(), 1);
    assert_eq!(store.ok(["cat", "/new"]), [8; 9_000]);
    let older = store.local("older");
    let line = store.fails(["restore-store", "--from", &from, "--at", "1", text(&older)]);
    assert!(line.contains("backup 1 does not exist"), "{line}");
}

#[test]
fn bodies_in_the_directory_are_not_backed_up_by_mistake() {
    let store = Store::new();
    store.ok_with_input(&["put", "-", "/a"], b"1");
    let line = store.fails(["backup"]);
    assert!(line.contains("--to"), "{line}");
    let to = format!("file://{}", text(&store.local("backups")));
    store.ok(["backup", "--to", &to]);
    let other = Store::new();
    other.ok_with_input(&["put", "-", "/a"], b"1");
    let line = other.fails(["backup", "--to", &to]);
    assert!(line.contains("another store"), "{line}");
}
