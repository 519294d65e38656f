//! The past brought back: what `rm -r` says, `undo`, `restore`.

use crate::branches::{copy_of, diff, lines, publish_data, text, write};
use crate::program::{Outcome, Store};
use crate::tree::{assert_same, make_nasty};
use std::path::Path;
use std::process::Command;

/// Runs the command that a line of `rm -r`, `undo` or `restore` names, as it stands there, in a
/// shell that does not know of the store.
fn run_named(store: &Store, told: &str) {
    let (_, named) = told.rsplit_once(": ").expect("names a command");
    assert!(named.starts_with("nokv --dir "), "{told}");
    let binary = Path::new(env!("CARGO_BIN_EXE_nokv"));
    let mut path = binary.parent().expect("a file").as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let shell = Command::new("sh")
        .args(["-c", named.trim()])
        .env_clear()
        .env("HOME", store.local(""))
        .env("PATH", path)
        .output();
    let outcome = Outcome::from(shell.expect("sh is installed"));
    assert_eq!(outcome.code, Some(0), "{named}: {outcome:?}");
}

/// What a command that must succeed says beside its answer.
fn told(store: &Store, arguments: &[&str]) -> String {
    let dir = store.dir();
    let dir = dir.to_str().expect("UTF-8");
    let outcome = store.run([arguments, &["--dir", dir]].concat());
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    outcome.stderr.trim().to_owned()
}

/// The version of the last command that can be undone.
fn last(store: &Store) -> String {
    lines(store.ok(["undo", "-n", "--json"]))[0]["undone"].to_string()
}

/// What was removed comes back by the command that was printed, bit for bit.
fn removed_trees_come_back(store: &Store) {
    let local = store.local("nasty");
    make_nasty(&local, 11);
    let from = local.join(".");
    store.ok(["put", from.to_str().expect("UTF-8"), "/a/nasty"]);
    write(store, "/a/beside", "beside");
    let removed = told(store, &["rm", "-r", "/a/nasty"]);
    assert!(removed.starts_with("removed /a/nasty; "), "{removed}");
    assert_eq!(text(store.ok(["ls", "/a"])), "beside\n");
    write(store, "/a/later", "later");
    run_named(store, &removed);
    assert_same(&copy_of(store, "/a/nasty", None), &local);
    assert_eq!(text(store.ok(["ls", "/a"])), "beside\nlater\nnasty\n");
    // Again, with what came back inside, and several at once, around a collection.
    let removed = told(store, &["rm", "-r", "/a"]);
    store.ok(["gc"]);
    run_named(store, &removed);
    assert_same(&copy_of(store, "/a/nasty", None), &local);
    let removed = told(store, &["rm", "-r", "/a/nasty", "/a/later"]);
    for line in removed.lines() {
        run_named(store, line);
    }
    assert_same(&copy_of(store, "/a/nasty", None), &local);
    assert_eq!(store.ok(["cat", "/a/later"]), b"later");
    let removed = &lines(store.ok(["rm", "-r", "--json", "/a/nasty"]))[0];
    let version = removed["version"].to_string();
    assert_eq!(removed["undo"], format!("nokv undo {version}"));
    store.ok(["gc", "--retention", "0s"]);
    let failed = store.fails(["undo", &version]);
    assert!(failed.contains("retained"), "{failed}");
    assert!(store.fails(["undo"]).contains("retained"));
}

fn commands_are_taken_back(store: &Store) {
    let original = publish_data(store);
    let start = lines(store.ok(["snapshot", "create", "/data", "start", "--json"]));
    let start = start[0]["version"].to_string();
    let mut versions = Vec::new();
    let commands: [&[&str]; 4] = [
        &["mv", "/data/d02", "/data/moved"],
        &["ln", "/data/d03/f003", "/data/d03/linked"],
        &["mkdir", "/data/dir"],
        &["rm", "/data/d04/f000"],
    ];
    write(store, "/data/d00/f000", "other");
    versions.push(last(store));
    for command in commands {
        store.ok(command);
        versions.push(last(store));
    }
    assert_eq!(diff(store, &["/data", "--at", "start"]).len(), 5);
    let shown = text(store.ok(["undo", "-n"]));
    assert_eq!(shown, "removed         /data/d04/f000\n");
    // Not in the order in which they happened; what is apart is taken back apart.
    for index in [2, 0, 4, 1, 3] {
        let undone = told(store, &["undo", &versions[index]]);
        assert!(undone.starts_with("undid version"), "{undone}");
    }
    assert!(diff(store, &["/data", "--at", "start"]).is_empty());
    assert_same(&copy_of(store, "/data/d02", None), &original.join("d02"));
    let body = std::fs::read(original.join("d04/f000")).expect("there");
    assert_eq!(store.ok(["cat", "/data/d04/f000"]), body);
    // An undo is undone by what it printed.
    let undone = told(store, &["undo", &last(store)]);
    assert_eq!(diff(store, &["/data", "--at", "start"]).len(), 1);
    run_named(store, &undone);
    assert!(diff(store, &["/data", "--at", "start"]).is_empty());
    // What changed since is never overwritten.
    write(store, "/data/d05/f005", "first");
    let first = last(store);
    write(store, "/data/d05/f005", "second");
    let failed = store.fails(["undo", &first]);
    assert!(failed.contains("changed since"), "{failed}");
    assert_eq!(store.ok(["cat", "/data/d05/f005"]), b"second");
    assert_eq!(store.run(["undo", "yesterday"]).code, Some(2));
    let failed = store.fails(["undo", &start]);
    assert!(failed.contains("no command"), "{failed}");
    the_past_is_put_in_place(store, &original);
}

fn the_past_is_put_in_place(store: &Store, original: &Path) {
    store.ok(["restore", "/data/d05/f005", "--at", "start"]);
    let body = std::fs::read(original.join("d05/f005")).expect("there");
    assert_eq!(store.ok(["cat", "/data/d05/f005"]), body);
    store.ok(["rm", "-r", "/data/d06"]);
    write(store, "/data/d07/f007", "other");
    let before = text(store.ok(["ls", "-lR", "/data"]));
    // A time, not only a name: that of the snapshot, to the millisecond.
    let snapshot = &lines(store.ok(["snapshot", "ls", "--json"]))[0];
    let created = snapshot["created"].as_str().expect("a time").to_owned();
    let restored = told(store, &["restore", "/data", "--at", &created]);
    assert!(restored.starts_with("restored /data; "), "{restored}");
    assert_same(&copy_of(store, "/data", None), original);
    store.ok(["gc"]);
    run_named(store, &restored);
    assert_eq!(text(store.ok(["ls", "-lR", "/data"])), before);
    // A merge is one command, and can be undone like any other.
    let before = text(store.ok(["ls", "-lR", "/data"]));
    store.ok(["branch", "create", "/data", "/try"]);
    write(store, "/try/d08/f008", "of the branch");
    store.ok(["rm", "-r", "/try/d09"]);
    store.ok(["merge", "/try", "/data"]);
    assert_eq!(store.ok(["cat", "/data/d08/f008"]), b"of the branch");
    store.ok(["undo"]);
    assert_eq!(text(store.ok(["ls", "-lR", "/data"])), before);
    let failed = store.fails(["restore", "/", "--at", "start"]);
    assert!(failed.contains("root"), "{failed}");
    let failed = store.fails(["restore", "/none", "--at", "start"]);
    assert!(failed.contains("/none"), "{failed}");
    assert_eq!(store.run(["restore", "/data"]).code, Some(2));
}

#[test]
fn removed_trees_come_back_in_process() {
    removed_trees_come_back(&Store::new());
}

#[test]
fn removed_trees_come_back_through_a_server() {
    let store = Store::new();
    store.ok(["init"]);
    let _server = store.serve::<&str>([]);
    removed_trees_come_back(&store);
}

#[test]
fn commands_are_taken_back_in_process() {
    commands_are_taken_back(&Store::new());
}

#[test]
fn commands_are_taken_back_through_a_server() {
    let store = Store::new();
    store.ok(["init"]);
    let _server = store.serve::<&str>([]);
    commands_are_taken_back(&store);
}
