//! Dumps: trees come back as they were, into the same store and another; damage loses nothing.

use crate::program::Store;
use crate::tree::{assert_same, make_nasty};
use std::fs;
use std::path::Path;

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A store with a tree in `/tree`, and the tree.
fn store(seed: u64) -> (Store, std::path::PathBuf) {
    println!("seed {seed}");
    let store = Store::new();
    let local = store.local("tree");
    make_nasty(&local, seed);
    store.ok(["put", &format!("{}/.", text(&local)), "/tree"]);
    store.ok(["ln", "/tree/plain.txt", "/tree/second name"]);
    store.ok(["quota", "set", "/tree/empty", "--inodes", "100"]);
    fs::hard_link(local.join("plain.txt"), local.join("second name")).expect("new");
    (store, local)
}

fn got(store: &Store, path: &str, name: &str) -> std::path::PathBuf {
    let local = store.local(name);
    store.ok(["get", path, text(&local)]);
    local
}

/// The time of the top changed when the second name was made here.
fn assert_same_below(left: &Path, right: &Path) {
    let time = left
        .metadata()
        .and_then(|top| top.modified())
        .expect("there");
    let top = fs::File::open(right).expect("there");
    top.set_modified(time).expect("ours");
    assert_same(left, right);
}

#[test]
fn a_tree_comes_back_in_both_forms_with_and_without_bodies() {
    let (store, local) = store(71);
    let served = store.serve::<&str>([]);
    for (number, arguments) in [
        &["--form", "binary"][..],
        &["--form", "jsonl"],
        &["--with-bodies"],
        &["--with-bodies", "--form", "jsonl"],
    ]
    .into_iter()
    .enumerate()
    {
        let file = store.local(format!("dump-{number}"));
        let mut words = vec!["dump", "/tree", "-o", text(&file)];
        words.extend(arguments);
        store.ok(words);
        let (place, name) = (format!("/copy-{number}"), format!("got-{number}"));
        store.ok(["load", text(&file), &place]);
        let copy = got(&store, &place, &name);
        assert_same_below(&local, &copy);
        let stat = store.ok(["stat", "--json", &format!("{place}/second name")]);
        assert!(String::from_utf8_lossy(&stat).contains("\"links\":2"));
        let quota = store.ok(["quota", "get", &format!("{place}/empty"), "--json"]);
        assert!(String::from_utf8_lossy(&quota).contains("100"));
        let again = store.fails(["load", text(&file), &place]);
        assert!(again.contains("exists already"), "{again}");
    }
    let names = store.ok(["ls", "-a", "/"]);
    assert!(!String::from_utf8_lossy(&names).contains(".nokv-load-"));
    store.ok(["fsck"]);
    drop(served);
    store.ok(["fsck"]);
}

#[test]
fn another_store_takes_bytes_and_refuses_references() {
    let (store, local) = store(72);
    let other = Store::new();
    let (whole, referring) = (store.local("whole"), store.local("referring"));
    store.ok(["dump", "/tree", "--with-bodies", "-o", text(&whole)]);
    store.ok(["dump", "/tree", "-o", text(&referring)]);
    let refused = other.fails(["load", text(&referring), "/tree"]);
    assert!(refused.contains("--with-bodies"), "{refused}");
    assert_eq!(other.ok(["ls", "-a", "/"]), b"", "nothing is left");
    other.ok(["load", text(&whole), "/tree"]);
    let copy = got(&other, "/tree", "copy");
    assert_same_below(&local, &copy);
    let dump = store.ok(["dump", "/tree/empty", "-o", "-", "--form", "jsonl"]);
    let third = Store::new();
    third.ok_with_input(&["load", "-", "/"], &dump);
    assert_eq!(third.ok(["ls", "/"]), b"inside\n");
    let busy = third.run_with_input(&["load", "-", "/"], &dump);
    assert!(busy.assert_failed().contains("not empty"), "{busy:?}");
}

#[test]
fn a_damaged_dump_is_named_with_its_place_and_leaves_nothing() {
    let (store, _) = store(73);
    let file = store.local("dump");
    store.ok(["dump", "/tree", "--with-bodies", "-o", text(&file)]);
    let whole = fs::read(&file).expect("there");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for (damaged, told) in [
        (&whole[..whole.len() / 2], "cut off at offset"),
        (&flipped[..], "damaged at offset"),
        (b"another file, longer than a head", "damaged at offset 0"),
        (b"", "cut off at offset 0"),
    ] {
        fs::write(&file, damaged).expect("ours");
        let line = store.fails(["load", text(&file), "/copy"]);
        assert!(line.contains(told) && line.contains("dump: "), "{line}");
        assert_eq!(store.ok(["ls", "-a", "/"]), b"tree\n");
    }
    assert!(!store.local("none.partial").exists());
    let line = store.fails(["dump", "/nowhere", "-o", text(&store.local("none"))]);
    assert!(line.contains("/nowhere"), "{line}");
    assert!(!store.local("none").exists() && !store.local("none.partial").exists());
}

#[test]
fn a_load_that_was_killed_says_what_it_left() {
    let (store, local) = store(74);
    let file = store.local("dump");
    store.ok(["dump", "/tree", "-o", text(&file)]);
    store.ok(["mkdir", "/.nokv-load-0bf903911984eee4"]);
    let line = store.fails(["load", text(&file), "/copy"]);
    let command = line
        .rsplit_once("nokv rm -r ")
        .expect("it says what to do")
        .1;
    store.ok(["rm", "-r", command]);
    store.ok(["load", text(&file), "/copy"]);
    assert_same_below(&local, &got(&store, "/copy", "copy"));
}

#[test]
fn the_past_is_dumped() {
    let store = Store::new();
    store.ok_with_input(&["put", "-", "/a"], b"then");
    store.ok(["snapshot", "create", "/", "before"]);
    store.ok_with_input(&["put", "-", "/a"], b"now");
    let dump = store.ok(["dump", "-o", "-", "--form", "jsonl", "--at", "before"]);
    assert!(String::from_utf8_lossy(&dump).contains("\"inline\":\"then\""));
    let listed = store.ok(["snapshot", "ls"]);
    assert!(!String::from_utf8_lossy(&listed).contains("dump-"));
}
