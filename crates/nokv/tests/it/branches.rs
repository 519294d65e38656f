//! Branches: made, changed on both sides, compared, merged, removed, collected around.

use crate::program::Store;
use crate::random::Random;
use crate::tree::assert_same;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

const DIRECTORIES: u64 = 20;
const FILES_EACH: u64 = 100;

pub(crate) fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("UTF-8")
}

pub(crate) fn lines(bytes: Vec<u8>) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).expect("one JSON value a line");
    text(bytes).lines().map(parse).collect()
}

/// 2,000 files, published as `/data`; the local original.
pub(crate) fn publish_data(store: &Store) -> PathBuf {
    let root = store.local("original");
    let mut random = Random::new(7);
    for directory in 0..DIRECTORIES {
        let directory = root.join(format!("d{directory:02}"));
        fs::create_dir_all(&directory).expect("new");
        for file in 0..FILES_EACH {
            // Most are kept inline, some are objects.
            let size = if file % 20 == 0 { 6_000 } else { 40 };
            let bytes = random.bytes(size);
            fs::write(directory.join(format!("f{file:03}")), bytes).expect("new");
        }
    }
    let from = root.join(".");
    store.ok(["put", from.to_str().expect("UTF-8"), "/data"]);
    root
}

/// A directory of the store as a local copy.
pub(crate) fn copy_of(store: &Store, path: &str, at: Option<&str>) -> PathBuf {
    let copy = (0..).map(|number| store.local(format!("copy-{number}")));
    let copy = copy.into_iter().find(|copy| !copy.exists()).expect("some");
    let from = format!("{path}/.");
    let mut arguments = vec!["get", from.as_str(), copy.to_str().expect("UTF-8")];
    arguments.extend(at.into_iter().flat_map(|at| ["--at", at]));
    store.ok(arguments);
    copy
}

pub(crate) fn write(store: &Store, path: &str, bytes: &str) {
    store.ok_with_input(&["put", "-", path], bytes.as_bytes());
}

/// The lines of `nokv diff`.
pub(crate) fn diff(store: &Store, arguments: &[&str]) -> BTreeSet<String> {
    let answer = text(store.ok([&["diff"], arguments].concat()));
    answer.lines().map(str::to_owned).collect()
}

fn set(lines: &[&str]) -> BTreeSet<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

/// The whole story, whichever way the store is reached.
fn branches_come_and_go(store: &Store) {
    let original = publish_data(store);
    store.ok(["snapshot", "create", "/data", "start"]);
    let made = &lines(store.ok(["branch", "create", "/data", "/try", "--json"]))[0];
    assert_eq!(
        (&made["path"], &made["parent"]),
        (&"/try".into(), &0.into())
    );
    assert_same(&copy_of(store, "/try", None), &original);
    assert!(diff(store, &["/data", "/try"]).is_empty());
    change_both_sides(store);
    merge_what_is_apart(store);
    settle_conflicts(store);
    branch_of_a_branch(store, &original);
    remove_and_collect(store, &original);
}

fn change_both_sides(store: &Store) {
    write(store, "/try/d00/new", "new");
    write(store, "/try/d01/f001", "other");
    store.ok(["rm", "/try/d02/f002"]);
    store.ok(["mv", "/try/d03/f003", "/try/d04/moved"]);
    store.ok(["mv", "/try/d05", "/try/d05-new"]);
    write(store, "/data/d06/f006", "of the target");
    let expected = [
        "A  d00/new",
        "M  d01/f001",
        "D  d02/f002",
        "R  d03/f003 -> d04/moved",
        "R  d05 -> d05-new",
        "M  d06/f006",
    ];
    assert_eq!(diff(store, &["/data", "/try"]), set(&expected));
    let answer = lines(store.ok(["diff", "/data", "/try", "--json"]));
    let renamed = answer
        .iter()
        .find(|line| line["path"] == "/try/d05-new")
        .expect("listed");
    let (from, kind) = (&renamed["from"], &renamed["kind"]);
    assert_eq!((from, kind), (&"/data/d05".into(), &"directory".into()));
    let since = diff(store, &["/data", "--at", "start"]);
    assert_eq!(since, set(&["M  d06/f006"]));
    let backwards = diff(store, &["/try", "/data", "--at", "-0s"]);
    assert!(backwards.contains("A  d02/f002"), "{backwards:?}");
    assert_eq!(store.run(["diff", "/data"]).code, Some(2));
    let file = store.fails(["diff", "/data/d00/f000", "/try"]);
    assert!(file.contains("not a directory"), "{file}");
}

fn merge_what_is_apart(store: &Store) {
    let tried = &lines(store.ok(["merge", "/try", "/data", "--dry-run", "--json"]))[0];
    assert_eq!(tried["outcome"], "tried");
    assert_eq!(tried["conflict_count"], 0);
    assert_eq!(diff(store, &["/data", "--at", "start"]).len(), 1);
    let merged = store.run(["merge", "/try", "/data"]);
    assert_eq!(merged.code, Some(0), "{merged:?}");
    assert!(merged.stderr.contains("merged"), "{merged:?}");
    assert!(diff(store, &["/data", "/try"]).is_empty());
    assert_eq!(store.ok(["cat", "/data/d05-new/f000"]).len(), 6_000);
    assert_eq!(store.ok(["cat", "/try/d06/f006"]), b"of the target");
    let again = store.run(["merge", "/try", "/data"]);
    assert!(again.stderr.contains("nothing to merge"), "{again:?}");
    let failed = store.fails(["merge", "/data", "/try"]);
    assert!(failed.contains("branch"), "{failed}");
}

fn settle_conflicts(store: &Store) {
    for (choice, content, changed) in [("ours", "a", "f011"), ("theirs", "b", "f012")] {
        let fresh = format!("/{choice}");
        store.ok(["branch", "create", "/data", &fresh]);
        let here = format!("/data/d10/f-{choice}");
        write(store, &here, "a");
        write(store, &format!("{fresh}/d10/f-{choice}"), "b");
        write(store, &format!("{fresh}/d12/apart-{choice}"), "apart");
        write(store, &format!("{fresh}/d11/{changed}"), choice);
        let removed = format!("/data/d11/{changed}");
        store.ok(["rm", &removed]);
        let before = text(store.ok(["ls", "-lR", "/data"]));
        for run in [
            &["merge", &fresh, "/data"][..],
            &["merge", &fresh, "/data", "-n"],
        ] {
            let failed = store.run(run);
            assert_eq!(failed.code, Some(1), "{failed:?}");
            assert!(failed.stderr.contains("2 conflicts"), "{failed:?}");
            assert!(failed.stderr.contains("--on-conflict"), "{failed:?}");
            let listed = text(failed.stdout);
            let name = format!("C  d10/f-{choice}  both gave the name to different things");
            assert!(listed.contains(&name), "{listed}");
            let name = format!("C  d11/{changed}  changed in the branch, removed in the target");
            assert!(listed.contains(&name), "{listed}");
        }
        assert_eq!(text(store.ok(["ls", "-lR", "/data"])), before);
        let run = ["merge", &fresh, "/data", "--json", "--on-conflict", choice];
        let merged = &lines(store.ok(run))[0];
        assert_eq!(
            (&merged["outcome"], &merged["conflict_count"]),
            (&"merged".into(), &2.into())
        );
        assert_eq!(text(store.ok(["cat", &here])), content);
        let is_gone = store.run(["cat", &removed]).code == Some(1);
        assert_eq!(is_gone, choice == "ours", "{choice}");
        assert_eq!(
            store.ok(["cat", &format!("/data/d12/apart-{choice}")]),
            b"apart"
        );
        assert!(diff(store, &["/data", &fresh]).is_empty());
        store.ok(["branch", "rm", &fresh]);
    }
    let wrong = store.run(["merge", "/try", "/data", "--on-conflict", "mine"]);
    assert_eq!(wrong.code, Some(2));
}

fn branch_of_a_branch(store: &Store, original: &std::path::Path) {
    store.ok(["branch", "create", "/data", "/then", "--at", "start"]);
    assert_same(&copy_of(store, "/then", None), original);
    write(store, "/then/d00/one", "1");
    store.ok(["branch", "create", "/then", "/then-too"]);
    write(store, "/then-too/d00/two", "2");
    write(store, "/then/d00/three", "3");
    let expected = set(&["A  d00/two", "D  d00/three"]);
    assert_eq!(diff(store, &["/then", "/then-too"]), expected);
    store.ok(["merge", "/then-too", "/then"]);
    assert_eq!(store.ok(["cat", "/then/d00/two"]), b"2");
    assert_eq!(store.ok(["cat", "/then-too/d00/three"]), b"3");
    store.ok(["snapshot", "create", "/then", "of-a-branch"]);
    store.ok(["rm", "/then/d00/one"]);
    assert_eq!(
        store.ok(["cat", "--at", "of-a-branch", "/then/d00/one"]),
        b"1"
    );
    assert_eq!(
        diff(store, &["/then", "--at", "of-a-branch"]),
        set(&["D  d00/one"])
    );
    let taken = store.fails(["branch", "create", "/data", "/then"]);
    assert!(taken.contains("exists already"), "{taken}");
    let none = store.fails(["branch", "create", "/data", "/x", "--at", "nobody"]);
    assert!(none.contains("nobody"), "{none}");
    let listed = lines(store.ok(["branch", "ls", "--json"]));
    let paths: BTreeSet<_> = listed
        .iter()
        .filter_map(|branch| branch["path"].as_str())
        .collect();
    assert_eq!(paths, BTreeSet::from(["/try", "/then", "/then-too"]));
}

/// What a branch sees stays, whatever is removed and collected around it.
fn remove_and_collect(store: &Store, original: &std::path::Path) {
    store.ok(["branch", "create", "/data", "/kept", "--at", "start"]);
    let failed = store.fails(["branch", "rm", "/data"]);
    assert!(failed.contains("not a branch"), "{failed}");
    store.ok(["branch", "rm", "/then-too", "/try"]);
    assert!(store.fails(["ls", "/try"]).contains("/try"));
    store.ok(["snapshot", "rm", "start"]);
    store.ok(["snapshot", "rm", "of-a-branch"]);
    store.ok(["rm", "-r", "/data"]);
    for _ in 0..3 {
        store.ok(["gc", "--retention", "0s"]);
    }
    assert_same(&copy_of(store, "/kept", None), original);
    assert_eq!(store.ok(["cat", "/then/d00/two"]), b"2");
    assert_eq!(store.ok(["cat", "/then/d00/f000"]).len(), 6_000);
    store.ok(["branch", "rm", "/then", "/kept"]);
    for _ in 0..3 {
        store.ok(["gc", "--retention", "0s"]);
    }
    let status = &lines(store.ok(["status", "--json"]))[0];
    assert!(status.is_object(), "{status}");
    assert!(store.ok(["branch", "ls"]).is_empty());
    assert!(store.ok(["ls", "/"]).is_empty());
}

#[test]
fn branches_come_and_go_in_process() {
    branches_come_and_go(&Store::new());
}

#[test]
fn branches_come_and_go_through_a_server() {
    let store = Store::new();
    store.ok(["init"]);
    let _server = store.serve::<&str>([]);
    branches_come_and_go(&store);
}
