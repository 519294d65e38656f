//! What becomes of bodies, from the command line: explanations, missing and damaged objects,
//! orphans.

use crate::program::Store;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("UTF-8")
}

fn lines(bytes: Vec<u8>) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).expect("a JSON value");
    text(bytes).lines().map(parse).collect()
}

/// The objects of bodies: those of the mark lie under the last session.
fn objects(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(objects(&path)),
            false if !path.to_string_lossy().contains("ffffffffffffffff") => found.push(path),
            false => {}
        }
    }
    found
}

fn name_of(object: &Path) -> String {
    let parts: Vec<_> = object.iter().rev().take(2).collect();
    format!(
        "{}/{}",
        parts[1].to_string_lossy(),
        parts[0].to_string_lossy()
    )
}

#[test]
fn what_stays_and_goes_is_explained() {
    let store = Store::new();
    store.ok_with_input(&["put", "-", "/a"], &[1; 10_000]);
    let first = objects(&store.dir().join("objects"));
    store.ok(["snapshot", "create", "/", "kept"]);
    store.ok_with_input(&["put", "-", "/a"], &[2; 20_000]);
    let explained = text(store.ok(["gc", "--explain", "/a"]));
    assert!(explained.contains("it is the newest"), "{explained}");
    assert!(explained.contains("snapshot kept"), "{explained}");
    assert!(explained.contains("retention until"), "{explained}");
    let outlook = lines(store.ok(["gc", "--dry-run", "--retention", "0s", "--json"]));
    assert_eq!(outlook[0]["pinned"]["bodies"], 1);
    let object = name_of(&first[0]);
    let explained = lines(store.ok(["gc", "--explain", &object, "--json"]));
    assert_eq!(explained[0]["bodies"][0]["path"], "/a");
    assert_eq!(explained[0]["used_bytes"], 10_000);
    store.ok(["snapshot", "rm", "kept"]);
    let outlook = lines(store.ok(["gc", "--dry-run", "--retention", "0s", "--json"]));
    assert_eq!(outlook[0]["due"]["bodies"], 1);
    assert_eq!(outlook[0]["due"]["bytes"], 10_000);
    store.ok(["gc", "--retention", "0s"]);
    assert!(!first[0].exists(), "it went as it was said");
}

#[test]
fn what_is_missing_damaged_or_too_much_is_found() {
    let store = Store::new();
    store.ok_with_input(&["put", "-", "/a"], &[1; 10_000]);
    let first = objects(&store.dir().join("objects"));
    store.ok_with_input(&["put", "-", "/b"], &[2; 20_000]);
    assert!(text(store.ok(["fsck", "--bodies"])).starts_with("checked 2 objects"));
    assert!(text(store.ok(["scrub"])).contains("29.3 KiB"));
    // A put that came after the sweep of its session.
    store.ok(["gc", "--abandon-uploads"]);
    let orphan = first[0].with_file_name("00000063");
    fs::write(&orphan, b"late").expect("writes");
    let found = lines(store.ok(["fsck", "--bodies", "--json"]));
    assert_eq!(found[0]["problem"], "orphan");
    assert!(orphan.exists(), "a plan changes nothing");
    store.ok(["fsck", "--bodies", "--delete-orphans"]);
    assert!(!orphan.exists());
    // A flipped bit, then nothing at all.
    let sound = fs::read(&first[0]).expect("reads");
    let mut damaged = sound.clone();
    damaged[5_000] ^= 1;
    fs::write(&first[0], damaged).expect("writes");
    store.ok(["fsck", "--bodies"]);
    let scrubbed = store.run(["scrub", "--rate", "1MiB", "--json"]);
    assert_eq!(scrubbed.code, Some(1));
    let found = lines(scrubbed.stdout);
    let finding = &found[0];
    assert_eq!(finding["file"], "/a");
    assert_eq!(finding["object"], name_of(&first[0]).as_str());
    fs::remove_file(&first[0]).expect("removes");
    let checked = store.run(["fsck", "--bodies"]);
    assert_eq!(checked.code, Some(1));
    let shown = text(checked.stdout);
    assert!(
        shown.contains("missing") && shown.contains("/a generation 1"),
        "{shown}"
    );
    fs::create_dir_all(first[0].parent().expect("a directory")).expect("makes");
    fs::write(&first[0], sound).expect("writes");
    store.ok(["fsck", "--bodies"]);
    store.ok(["scrub", "--from-start"]);
}
