//! Several namespaces in one store.

use crate::branches::{lines, text};
use crate::program::Store;
use std::fs;

#[test]
fn mounts_have_trees_of_their_own_until_they_are_retired() {
    let store = Store::new();
    let file = store.local("file");
    fs::write(&file, b"mine").expect("new");
    let file = file.to_str().expect("UTF-8");
    store.ok(["put", file, "/file"]);
    store.ok(["mounts", "register", "team-a", "team-b"]);
    let names: Vec<_> = lines(store.ok(["mounts", "ls", "--json"]))
        .iter()
        .map(|mount| mount["name"].as_str().expect("a name").to_owned())
        .collect();
    assert_eq!(names, ["default", "team-a", "team-b"]);
    store.ok(["--mount", "team-a", "put", file, "/of-a"]);
    assert_eq!(text(store.ok(["ls", "/"])), "file\n");
    assert_eq!(text(store.ok(["ls", "/", "--mount", "team-a"])), "of-a\n");
    assert_eq!(text(store.ok(["--mount", "default", "ls", "/"])), "file\n");
    // A command that is printed to be pasted is for the same mount.
    store.ok(["--mount", "team-a", "mkdir", "/d"]);
    let removed = store.run(["--mount", "team-a", "rm", "-r", "/d"]);
    let told = format!("{}{}", text(removed.stdout), removed.stderr);
    assert!(told.contains("--mount team-a undo"), "{told}");
    for (arguments, code, told) in [
        (&["--mount", "none", "ls", "/"][..], 1, "nokv mounts ls"),
        (&["mounts", "retire", "team-a"], 2, "--yes"),
        (&["mounts", "retire", "default", "--yes"], 1, "default"),
        (&["mounts", "register", "team-a"], 1, "exists already"),
        (&["mounts", "register", "a/b"], 1, "letters"),
    ] {
        let refused = store.run(arguments);
        assert_eq!(refused.code, Some(code), "{arguments:?}");
        let message = refused.stderr;
        assert!(message.contains(told), "{arguments:?}: {message}");
    }
    store.ok(["mounts", "retire", "team-a", "--yes"]);
    let gone = store.run(["--mount", "team-a", "ls", "/"]);
    assert_eq!(gone.code, Some(1));
    assert_eq!(lines(store.ok(["mounts", "ls", "--json"])).len(), 2);
    assert_eq!(text(store.ok(["sessions", "ls"])), "");
    store.ok(["sessions", "end", "7"]);
    store.ok(["fsck"]);
}
