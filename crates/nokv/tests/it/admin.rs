//! `nokv admin`: damage of each kind of file is named with file and offset, a repair brings the
//! store back and lists what is lost; a healthy store is left alone, one in use is refused.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::program::{Outcome, Store};

/// Values above this are in the value log (32 KiB), bodies above 4 KiB are objects: neither is
/// needed here, files are small and many.
const FILE_COUNT: usize = 30;

fn filled() -> Store {
    let store = Store::new();
    for index in 0..FILE_COUNT {
        let bytes = format!("content {index}");
        store.ok_with_input(
            &["put", "-", &format!("/file-{index:02}")],
            bytes.as_bytes(),
        );
    }
    store
}

fn json(outcome: &Outcome) -> Value {
    serde_json::from_slice(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome:?}"))
}

/// The files of the metadata with this ending.
fn files(store: &Store, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(store.dir().join("meta")).expect("a store");
    let paths = entries.map(|entry| entry.expect("readable").path());
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect();
    paths.sort();
    paths
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).expect("readable");
    bytes[at] ^= 1;
    std::fs::write(path, bytes).expect("writable");
}

#[test]
fn a_healthy_store_is_shown_and_left_alone() {
    let store = filled();
    for what in [
        "stats", "manifest", "wal", "tables", "vlog", "verify", "repair",
    ] {
        let text = store.ok(["admin", what]);
        assert!(!text.is_empty(), "{what}");
        let lines = store.ok(["admin", what, "--json"]);
        for line in lines
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            let parsed: Result<Value, _> = serde_json::from_slice(line);
            assert!(parsed.is_ok_and(|value| value.is_object()), "{what}");
        }
    }
    let records = String::from_utf8(store.ok(["admin", "wal", "--limit", "3"])).expect("UTF-8");
    assert!(
        records.contains("record") && records.contains("put"),
        "{records}"
    );
    let before = files(&store, "");
    store.ok(["admin", "repair", "--apply"]);
    assert_eq!(files(&store, ""), before);
    // The folder of the metadata is as good.
    let meta = store.dir().join("meta");
    store.ok(["admin", "verify", "--dir", &meta.to_string_lossy()]);
}

#[test]
fn damage_of_each_kind_of_file_is_named_and_repaired() {
    for (ending, at) in [
        ("CURRENT", 3),
        ("SYNCED", 9),
        (".manifest", 70),
        (".wal", 100),
    ] {
        let store = filled();
        let path = files(&store, ending).pop().expect("there is one");
        let name = path
            .file_name()
            .expect("named")
            .to_string_lossy()
            .into_owned();
        flip(&path, at);
        let verified = store.run(["admin", "verify", "--json"]);
        assert_eq!(verified.code, Some(1), "{name}: {verified:?}");
        let damages = json(&verified)["damages"].clone();
        let is_named = |damage: &Value| damage["file"] == name && damage["offset"].is_u64();
        let named = damages
            .as_array()
            .is_some_and(|all| all.iter().any(is_named));
        assert!(named, "{name}: {damages}");
        let told = store.run(["admin", "verify"]);
        let text = String::from_utf8_lossy(&told.stdout).into_owned();
        assert!(text.contains(&format!("{name}: byte ")), "{text}");
        let planned = store.run(["admin", "repair", "--json"]);
        assert_eq!(planned.code, Some(1), "{name}: {planned:?}");
        assert_eq!(json(&planned)["applied"], false, "{name}");
        assert!(
            !store.dir().join("meta/lost+found").exists(),
            "a plan writes nothing"
        );
        let applied = store.run(["admin", "repair", "--apply", "--json"]);
        assert_eq!(applied.code, Some(0), "{name}: {applied:?}");
        store.ok(["admin", "verify"]);
        let losses = json(&applied)["losses"].as_array().map_or(0, Vec::len);
        if ending == ".wal" {
            assert!(losses > 0, "the first record of the log is lost");
            assert!(store.dir().join("meta/lost+found").join(&name).exists());
            continue;
        }
        assert_eq!(losses, 0, "{name}: {applied:?}");
        for index in 0..FILE_COUNT {
            let body = store.ok(["cat", &format!("/file-{index:02}")]);
            assert_eq!(body, format!("content {index}").into_bytes(), "{name}");
        }
    }
}

#[test]
fn a_damaged_table_is_named_and_salvaged() {
    let store = filled();
    // A damaged mark makes the repair write the log into a table only if the log is damaged, too:
    // its last byte in use is.
    let log = files(&store, ".wal").pop().expect("there is one");
    let bytes = std::fs::read(&log).expect("readable");
    let last = bytes.iter().rposition(|byte| *byte != 0).expect("used");
    flip(&log, last);
    store.run(["admin", "repair", "--apply"]);
    let table = files(&store, ".table")
        .pop()
        .expect("the log became a table");
    let name = table
        .file_name()
        .expect("named")
        .to_string_lossy()
        .into_owned();
    flip(&table, 40);
    let verified = store.run(["admin", "verify"]);
    let text = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(verified.code == Some(1) && text.contains(&name), "{text}");
    let number = name
        .trim_end_matches(".table")
        .trim_start_matches('0')
        .to_owned();
    let blocks = String::from_utf8(store.ok(["admin", "tables", "--blocks", &number]));
    assert!(blocks.expect("UTF-8").contains("damaged"));
    let applied = store.run(["admin", "repair", "--apply"]);
    let text = String::from_utf8_lossy(&applied.stdout).into_owned();
    assert!(
        applied.code == Some(0) && text.contains(&format!("lost: {name}")),
        "{text}"
    );
    store.ok(["admin", "verify"]);
    assert!(store.dir().join("meta/lost+found").join(&name).exists());
}

#[test]
fn a_store_in_use_and_wrong_usage_are_refused() {
    let store = filled();
    let server = store.serve(["--listen", "127.0.0.1:0"]);
    let refused = store.fails(["admin", "verify"]);
    assert!(
        refused.contains("in use") && refused.contains("stop"),
        "{refused}"
    );
    drop(server);
    for wrong in [
        &["admin"][..],
        &["admin", "no-such"],
        &["admin", "wal", "--limit", "x"],
    ] {
        assert_eq!(store.run(wrong).code, Some(2), "{wrong:?}");
    }
    let outcome = store.run(["admin", "verify", "--server", "127.0.0.1:1"]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    let missing = Store::new().fails(["admin", "stats"]);
    assert!(missing.contains("no store"), "{missing}");
}
